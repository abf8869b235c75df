"""draw a filter bank: its kernels, their spectra, what it makes of a signal: sigconv show BANK -o FILE"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sigconv import console
from sigconv.cli import _arguments, _discover, _outputs

SCANS = (".nii", ".mgz", ".mgh", ".hdr", ".img")

USAGE = """usage: sigconv show BANK -o FILE.png|.html [--ndim N] [--fs RATE[,RATE…]] [--on SIGNAL] [--what W] [--json]

  BANK       a family, or family.function:option=value:option=value, for example
             gabor    gabor.pyramid:wavelengths=4,8:directions=13    laws.bank:names=E5L5S5
  -o FILE    .png draws one picture; .html a page with the table of filters and all pictures
  --ndim N   axes of space (as many as SIGNAL has; else 2, or what the family usually has)
  --fs       samples per unit, one or one per axis (1, or SIGNAL's own)
  --on       a recording (.wav), scan (.nii, .mgz, .hdr), image (.png, .jpg) or array (.npy) to draw feature maps of
  --what     of a .png: kernels (default), spectra or responses (default with --on)
  --json     one JSON object on the last line of stdout

Families:
{table}"""


def main(arguments: list[str]) -> int:
    """sigconv show BANK -o FILE [--ndim N] [--fs RATE] [--on SIGNAL] [--what W] [--json]"""
    if {"--help", "-h"} & set(arguments) or not arguments:
        console.show(USAGE.format(table=_discover.table("filters")))
        return 0 if arguments else 2
    options, spec = _read(arguments)
    out = Path(options["output"])
    _outputs.place(out, suffixes=(".png", ".html"))
    signal, rates = _signal(options["on"]) if options["on"] else (None, None)
    signal = None if signal is None else _finite(signal, options["on"])
    fs = rates if options["fs"] is None else options["fs"]
    ndim = signal.ndim if options["ndim"] is None and signal is not None else options["ndim"]
    bank = _bank(spec, ndim, fs)
    if signal is not None and signal.ndim != bank.ndim:
        raise console.UsageError(f"--on {options['on']!r} has {signal.ndim} axes of space, and {spec} {bank.ndim}")
    _draw(bank, spec, signal, options["what"], out)
    record = {"bank": spec, "filters": len(bank), "ndim": bank.ndim, "file": str(out), "table": list(bank.table())}
    if options["json"]:
        console.answer(record)
    else:
        console.show(f"{bank.table()}\n{out}")
    return 0


def _bank(spec: str, ndim: int | None, fs: Any) -> Any:
    """The bank, in so many dimensions; in as many as its family usually has, where none is said."""
    from sigconv import filters

    family = filters.families().get(spec.partition(":")[0].partition(".")[0])
    try:
        return filters.build(spec, getattr(family, "USUAL", 2) if ndim is None else ndim, fs)
    except (ValueError, TypeError) as error:
        raise console.UsageError(str(error)) from None


def _draw(bank: Any, spec: str, signal: Any, what: str | None, out: Path) -> None:
    from sigconv import files, plot
    from sigconv.filters import _pictures
    from sigconv.report import Page

    draw = {"kernels": lambda: _pictures.kernels(bank), "spectra": lambda: _pictures.spectra(bank)}
    if signal is not None:
        draw["responses"] = lambda: _pictures.responses(bank, signal)
    if out.suffix == ".png":
        chosen = what or ("kernels" if signal is None else "responses")
        if chosen not in draw:
            raise console.UsageError("--what responses needs a signal: --on FILE")
        with files.writing(out) as file:
            file.write(plot.png(draw[chosen]()[0]))
        return
    page = Page(f"filter bank {spec}")
    page.text(repr(bank)).heading("filters").table(bank.table().cells(), bank.table().headings())
    for name, picture in draw.items():
        page.heading(name).picture(plot.png(picture()[0]), name)
    page.save(out)


def _signal(path: str) -> tuple[Any, Any]:
    """What a file holds, (*space) in float32, and its sampling rates where it says them."""
    import numpy as np

    from sigconv.readers import image, nifti, npy, wav

    name = path.lower()
    if name.endswith(".wav"):
        x, fs = wav.read(path)
        if len(x) > 1:
            console.say(f"{path!r} has {len(x)} channels: their mean is drawn")
        return x.mean(0, dtype=np.float32), fs
    if name.removesuffix(".gz").endswith(SCANS):
        volume = nifti.read(path)
        if volume.meta["channels"]:
            raise console.UsageError(
                f"--on {path!r} holds colours, {volume.meta['channels']}: expected one number a voxel"
            )
        return _plain(volume.data, path), nifti.rates(volume)
    if name.endswith(".npy"):
        return _plain(npy.read(path), path), None
    if name.endswith((".png", ".jpg", ".jpeg")):
        return image.read(path), None
    raise console.UsageError(f"--on {path!r}: expected a .wav, .nii, .mgz, .hdr, .npy, .png or .jpg file")


def _plain(x: Any, path: str) -> Any:
    """Real numbers along at least one axis, in float32."""
    if x.ndim == 0 or x.size == 0 or x.dtype.kind not in "biuf":
        raise console.UsageError(f"--on {path!r} holds {x.dtype} of shape {x.shape}: expected real numbers along axes")
    import numpy as np

    with np.errstate(over="ignore"):  # what is beyond float32 is told with all that is not finite
        return x.astype(np.float32)


def _finite(x: Any, path: str) -> Any:
    """The signal with zeros for what is not finite, and told so: filters would spread it over all they reach."""
    import numpy as np

    sound = np.isfinite(x)
    if not sound.any():
        raise console.UsageError(f"--on {path!r} holds no finite numbers: there is nothing to draw")
    if not sound.all():
        console.say(f"{path!r} has {x.size - sound.sum()} numbers that are not finite: zeros are drawn in their place")
    return np.where(sound, x, x.dtype.type(0))


def _read(arguments: list[str]) -> tuple[dict[str, Any], str]:
    """Options and the bank's word, or one line that says what is wrong."""
    kinds: dict[str, Any] = {"output": str, "ndim": int, "fs": _arguments.numbers(float), "on": str, "what": str}
    options, specs = _arguments.read(arguments, kinds, {"-o": "--output"})
    if len(specs) != 1:
        raise console.UsageError(f"show takes one BANK, not {len(specs)}: {' '.join(specs)}")
    if options["output"] is None:
        raise console.UsageError("where to? -o FILE.png or -o FILE.html")
    if options["what"] not in (None, "kernels", "spectra", "responses"):
        raise console.UsageError(f"--what {options['what']!r} is not one of kernels, spectra, responses")
    if options["ndim"] is not None and options["ndim"] < 1:
        raise console.UsageError(f"--ndim {options['ndim']} must be at least 1")
    return options, specs[0]
