"""tell a model's layers, shapes, parameters, costs and receptive fields: sigconv describe vgg:D --ndim 3"""

from __future__ import annotations

import inspect
from typing import Any

from sigconv import console
from sigconv.cli import _arguments, _discover

USAGE = """usage: sigconv describe MODEL [--ndim N] [--size N[,N…]] [--in-channels N] [--classes N] [--width W]
                        [--batch N] [--json]

  MODEL          an architecture, a variant, options of its own:   vgg:D    resnet:50:version=1    lenet:1998:output=rbf
                 or a pattern of layers:                           CRCRPF120RF10
  --ndim N       axes of space (as published, mostly 2)
  --size N       samples of the input along every axis, or N,N,… one for each (as published)
  --in-channels, --classes, --width    channels that come in, classes that come out, a factor on all channels between
  --batch N      items at a time (1)
  --json         one JSON object on the last line of stdout

Nothing is computed and no weights are made: a model of any size takes a second. Models:
{table}"""

MOST = {"ndim": 16, "in_channels": 1 << 31, "classes": 1 << 31, "batch": 1 << 31}
KINDS: dict[str, Any] = {
    "ndim": int,
    "size": _arguments.numbers(int),
    "in_channels": int,
    "classes": int,
    "width": float,
    "batch": int,
}


def main(arguments: list[str]) -> int:
    """sigconv describe MODEL [--ndim N] [--size N[,N…]] [--in-channels N] [--classes N] [--width W] [--json]"""
    if {"--help", "-h"} & set(arguments) or not arguments:
        console.show(USAGE.format(table=_discover.table("models")))
        return 0 if arguments else 2
    options, specs = _arguments.read(arguments, KINDS)
    if len(specs) != 1:
        raise console.UsageError(f"describe takes one MODEL, not {len(specs)}: {' '.join(specs)}")
    for name, most in MOST.items():
        if options[name] is not None and not 1 <= options[name] <= most:
            word = f"--{name.replace('_', '-')} {options[name]}"
            raise console.UsageError(f"{word} must be at least 1" + (f", and {most} at most" * (options[name] > most)))
    summary = _summary(specs[0], options)
    if options["json"]:
        console.answer({"model": specs[0]} | summary.record())
    else:
        console.show(str(summary))
    return 0


def _summary(spec: str, options: dict[str, Any]) -> Any:
    """The model built without memory for its weights, and described."""
    import torch

    import sigconv as sc
    from sigconv import models

    name = spec.partition(":")[0]
    try:
        if name not in models.names() and (name[:1].isupper() or name[:1] == "("):
            return _pattern(spec, options)
        module, _, own = models.read(spec)
        taken = inspect.signature(module.build).parameters
        given = {
            name: options[name] for name in ("ndim", "in_channels", "classes", "width") if options[name] is not None
        }
        wrong = [f"--{name.replace('_', '-')}" for name in given if name not in taken]
        if wrong:
            raise ValueError(f"{spec} takes no {' '.join(wrong)}")
        shape = _shape(models.input_shape(spec, ndim=given.get("ndim"), in_channels=given.get("in_channels")), options)
        if "size" in taken and "size" not in own and options["size"] is not None:
            given["size"] = options["size"] if isinstance(options["size"], int) else shape[2:]
        with torch.device("meta"):
            model = models.build(spec, **given)
        return sc.describe(model, shape)
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:  # torch refuses sizes in ways of its own
        text = str(error).strip().partition("\n")[0] or type(error).__name__
        raise console.UsageError(f"{spec}: {text}") from None


def _pattern(spec: str, options: dict[str, Any]) -> Any:
    """A pattern's layers, for 32 samples an axis of 3 channels unless told otherwise."""
    import torch

    import sigconv as sc
    from sigconv import models

    if options["width"] is not None:
        raise ValueError("a pattern takes no --width: it says its own channels, as in C3D64")
    ndim, channels = options["ndim"] or 2, options["in_channels"] or 3
    shape = _shape((1, channels, *[32] * ndim), options)
    with torch.device("meta"):
        return sc.describe(models.from_pattern(spec, channels, options["classes"], ndim=ndim, size=shape[2:]), shape)


def _shape(published: tuple[int, ...], options: dict[str, Any]) -> tuple[int, ...]:
    """The published input, of the size and the batch wished for."""
    ndim = len(published) - 2
    size = published[2:] if options["size"] is None else options["size"]
    size = (size,) * ndim if isinstance(size, int) else tuple(size)
    if len(size) != ndim or min(size) < 1:
        raise ValueError(f"--size {options['size']} is not one number above 0, nor one for each of {ndim} axes")
    return (options["batch"] or 1, published[1], *size)
