"""The model card of a run folder: README.md, as Hugging Face reads it, and as a person does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sigconv import files
from sigconv.report import shown
from sigconv.train import results
from sigconv.train.job import Job

LEAST = 0.5  # recall: classes found less often than that are named


def write(asked: results.Question, job: Job, record: Mapping[str, Any], since: Mapping[str, Any]) -> None:
    """README.md: front matter, question, results, data with checksums, limits, how to load the weights, how to repeat.

    asked is the recipe's question, since the environment that the run began in. Nothing is written without a folder.
    """
    if job.folder is not None:
        files.write_text(job.folder / "README.md", text(asked, job, record, since))


def text(asked: results.Question, job: Job, record: Mapping[str, Any], since: Mapping[str, Any]) -> str:
    """The card as one text."""
    header, rows = results.beside(record["metrics"])
    parts = [
        f"---\n{_front(record)}---\n\n# {asked.title}",
        "\n".join(f"- **{name}:** {_plain(value)}" for name, value in asked.fields.items()),
        f"## Results\n\n{_size(job)}{_table(rows, header)}",
        _calibration(job),
        f"## Data\n\n{_data(job)}",
        "## Limits\n\n" + "\n".join(f"- {line}" for line in limits(job, since)),
        f"## Weights\n\n{_weights(job, record)}",
        f"## To do it again\n\n```bash\n{results.commands(record)['again']}\n```\n\n{_code(since)}",
        "`report.html` has the curves, the pictures, the configuration and the environment.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front(record: Mapping[str, Any]) -> str:
    """The front matter, as YAML: what a hub indexes a model by."""
    import yaml

    scored = [row[0].replace(" ", "_") for row in results.beside(record["metrics"])[1] if isinstance(row[1], float)]
    facts = {"library_name": "sigconv", "tags": ["sigconv", "convolution", record["recipe"]], "metrics": scored}
    return yaml.safe_dump(facts, sort_keys=False)


def limits(job: Job, since: Mapping[str, Any]) -> list[str]:
    """What the figures do not say, one sentence each."""
    size = "the" if job.test_size is None else f"{job.test_size:,}"
    lines = [
        f"Measured on {size} test items of the data named above: items of another kind or origin were not looked at."
    ]
    overall = _rows(job, "test")
    if "accuracy" in overall and len(overall["accuracy"]) > 2:
        lines.append(f"By chance alone the accuracy is uncertain: {str(overall['accuracy'][2]).partition('; ')[2]}.")
    lines.append("One seed: how much another one changes the figures was not measured, unless they say so.")
    weak = [name for name, row in _rows(job, "test by class").items() if row[1] and row[3] < LEAST]
    if weak:
        more = f" and {len(weak) - 10} more" if len(weak) > 10 else ""
        lines.append(f"Of these classes less than half of the items are found: {', '.join(weak[:10])}{more}.")
    bare = [name for name, row in _rows(job, "test by class").items() if not row[1]]
    if bare:
        lines.append(f"{len(bare)} classes have no test item: nothing is known of them.")
    git = since.get("git")
    if isinstance(git, Mapping) and git.get("changed"):
        lines.append(
            "Made with code that had changes beside its commit: the commit alone may not give the same figures."
        )
    return lines


def _calibration(job: Job) -> str:
    """How far confidence can be believed, if a classifier was assessed."""
    overall = _rows(job, "test")
    if "ece" not in overall:
        return ""
    lines = [[name, overall[name][1]] for name in ("ece", "log loss", "brier") if name in overall]
    says = (
        "Expected calibration error in 15 equal bins (Guo et al. 2017), log loss in nats, Brier score, on the test set:"
    )
    return f"## Calibration\n\n{says}\n\n{_table(lines, ['', 'value'])}"


def _rows(job: Job, name: str) -> dict[str, Sequence[Any]]:
    """A table's rows by their first cells; none where there is no such table."""
    return {str(row[0]): row for row in job.tables.get(name, ((), ()))[1]}


def _size(job: Job) -> str:
    return "" if job.test_size is None else f"On {job.test_size:,} test items.\n\n"


def _data(job: Job) -> str:
    """Items and checksums of every part."""
    if not job.data:
        return "No data set was handed to training: see above."
    keys = list(dict.fromkeys(key for facts in job.data.values() for key in facts))
    return _table([[part, *(facts.get(key) for key in keys)] for part, facts in job.data.items()], ["part", *keys])


def _weights(job: Job, record: Mapping[str, Any]) -> str:
    """How to load them."""
    held = [] if job.folder is None else sorted(path.name for path in job.folder.glob("*.safetensors"))
    if not held:
        return "This run trained no weights."
    first = "model.safetensors" if "model.safetensors" in held else held[0]
    others = [name for name in held if name != first]
    return (
        f"```python\nfrom safetensors.torch import load_file\n\n"
        f'model.load_state_dict(load_file("{first}"))  # model: as recipes/{record["recipe"]}.py builds it\n```'
        + (f"\n\nOf the models it is compared with: {', '.join(f'`{name}`' for name in others)}." if others else "")
    )


def _code(since: Mapping[str, Any]) -> str:
    """The versions the run was made with, in a line."""
    git = since.get("git")
    commit = f", commit {git.get('commit')}" if isinstance(git, Mapping) else ""
    return (
        f"Made with sigconv {since.get('sigconv')}{commit}, torch {since.get('torch')}, Python {since.get('python')}."
    )


def _table(rows: Iterable[Sequence[Any]], header: Sequence[str]) -> str:
    """A table in Markdown, numbers as the page has them."""
    line = lambda cells: "| " + " | ".join(_plain(shown(cell)) for cell in cells) + " |"
    return "\n".join([line(header), "|" + " --- |" * len(header), *map(line, rows)])


def _plain(words: str) -> str:
    """A text in one line, of which Markdown makes neither a column nor markup."""
    for sign in "\\|*_<`[":
        words = words.replace(sign, f"\\{sign}")
    return " ".join(words.split())
