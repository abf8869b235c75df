"""write a model as a file that runs without its code: sigconv export resnet:18 -o net.onnx --weights FILE"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sigconv import console
from sigconv.cli import _arguments, _discover

USAGE = """usage: sigconv export MODEL -o FILE [--weights FILE] [--shape N,N,…] [--classes N] [--fixed-batch] [--json]

  MODEL          a folder that models.save_pretrained wrote, or one on the Hugging Face hub, org/name,
                 or an architecture, a variant, options of its own:   resnet:18:classes=10    mnist1d:cnn:ndim=2
                 or a pattern of layers, with --shape:                CRCRPF120RF10
  -o FILE        net.pt2 (torch.export), net.onnx (needs sigconv[onnx]), or a name without a suffix: such a folder
  --weights      the model.safetensors of a run; of a folder its own, of others drawn by lot
  --shape        the input the file is for, 1,3,224,224: batch, channels, samples (as published)
  --classes N    classes that come out of a pattern
  --fixed-batch  for this batch alone; else for any
  --json         one JSON object on the last line of stdout

The file is loaded again and compared with the model before it gets its name. Models:
{table}"""

KINDS: dict[str, Any] = {
    "out": str,
    "weights": str,
    "shape": _arguments.numbers(int),
    "classes": int,
    "fixed_batch": False,
}


def main(arguments: list[str]) -> int:
    """sigconv export MODEL -o FILE [--weights FILE] [--shape N,N,…] [--classes N] [--fixed-batch] [--json]"""
    if {"--help", "-h"} & set(arguments) or not arguments:
        console.show(USAGE.format(table=_discover.table("models")))
        return 0 if arguments else 2
    options, specs = _arguments.read(arguments, KINDS, {"-o": "--out"})
    if len(specs) != 1:
        raise console.UsageError(f"export takes one MODEL, not {len(specs)}: {' '.join(specs)}")
    if not options["out"]:
        raise console.UsageError("export needs -o FILE: net.pt2, net.onnx, or a folder's name")
    suffix = Path(options["out"]).suffix
    if suffix not in ("", ".pt2", ".onnx"):
        raise console.UsageError(
            f"-o {options['out']!r} ends in {suffix}: expected .pt2, .onnx, or no suffix for a folder"
        )
    shape = options["shape"]
    if shape is not None and (not isinstance(shape, list) or len(shape) < 2 or min(shape) < 1):
        raise console.UsageError(f"--shape {shape} is not batch,channels,samples…, each at least 1")
    record = _export(specs[0], options, suffix)
    if options["json"]:
        console.answer(record)
    else:
        console.show("  ".join(f"{key} {value}" for key, value in record.items() if value is not None))
    return 0


def _export(spec: str, options: dict[str, Any], suffix: str) -> dict[str, Any]:
    """Build or load the model, give it its weights, write it; what was done."""
    from sigconv import models

    known = spec.partition(":")[0] in models.names() and not os.path.isfile(os.path.join(spec, "config.json"))
    trained = not known and (os.path.isdir(spec) or "/" in spec)
    model, shape = _trained(spec, options) if trained else _named(spec, options)
    if options["weights"] is not None:
        models.load_weights(model, options["weights"])
    elif not trained:
        console.say("warning: without --weights the weights are drawn by lot")
    out = options["out"]
    if not suffix:
        return {"model": spec, "file": str(models.save_pretrained(model, out))}
    done = models.export(model, out, shape, dynamic=not options["fixed_batch"])
    size = os.path.getsize(done.path)
    sizes = {"shape": list(done.shape), "bytes": size}
    return {"model": spec, "file": out} | sizes | {"difference": done.difference, "allowed": done.allowed}


def _trained(spec: str, options: dict[str, Any]) -> tuple[Any, list[int]]:
    """The model of a folder, or of an id of the hub, and the shape it is exported for."""
    from sigconv import models

    if options["classes"] is not None:
        raise console.UsageError(f"--classes is a pattern's: {spec} is trained, and has its own")
    model = models.from_pretrained(spec)
    return model, options["shape"] or list(models.usual_shape(model))


def _named(spec: str, options: dict[str, Any]) -> tuple[Any, list[int]]:
    """The model of an architecture's or a pattern's word, always with the same drawn weights, and its shape."""
    import torch

    from sigconv import models

    torch.manual_seed(0)
    shape = options["shape"]
    try:
        if spec.partition(":")[0] not in models.names() and (spec[:1].isupper() or spec[:1] == "("):
            if shape is None:
                raise ValueError("a pattern needs --shape, such as 1,3,32,32")
            return models.from_pattern(spec, shape[1], options["classes"], ndim=len(shape) - 2, size=shape[2:]), shape
        if options["classes"] is not None:
            raise ValueError(f"--classes is a pattern's: write {spec}:classes={options['classes']}")
        model = models.build(spec)
        return model, shape or list(models.usual_shape(model))
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:  # torch refuses sizes in ways of its own
        text = str(error).strip().partition("\n")[0] or type(error).__name__
        raise console.UsageError(f"{spec}: {text}") from None
