"""A reader fed with bytes that lead to new lines of it: guided.py KIND FOLDER SECONDS; needs atheris."""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["sigconv.readers"]):
    import seeds


def main(kind: str, folder: Path, seconds: str) -> None:
    """Begin with the good files; end at the first that is neither read nor refused."""
    (folder / "made").mkdir()
    for name, content in seeds.made(kind, folder / "made").items():
        (folder / name).write_bytes(content)
    path = folder / "made" / ("dataset_description.json" if kind == "bids" else f"fuzzed{Path(name).suffix}")

    def one(content: bytes) -> None:
        path.write_bytes(content)
        try:
            seeds.read(kind, path.parent if kind == "bids" else path)
        except (ValueError, OSError) as error:
            if "\n" in str(error):
                raise RuntimeError("an error of several lines") from error

    options = [f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=8192"]
    atheris.Setup([sys.argv[0], *options, str(folder)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
