"""ONNX: a program of torch.export as ONNX's operations, run by ONNX Runtime."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
MOST_BYTES = (1 << 31) - 1  # that one ONNX file can hold


def needed() -> None:
    """ImportError with the line that installs them, where ONNX's packages are missing."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f'an .onnx file needs {", ".join(missing)}: pip install "sigconv[onnx]"')


def made(program: Any) -> tuple[bytes, Callable[[Tensor], Any]]:
    """The ONNX file's bytes, and a function that runs them on the CPU: one input, a tensor of any batch it takes."""
    program = program.run_decompositions({torch.ops.aten.adaptive_avg_pool3d.default: _adaptive_means})
    names = {"input_names": ["input"], "verbose": False, "external_data": False}
    converted: Any = torch.onnx.export(program, dynamo=True, **names)  # type: ignore[arg-type]
    size = converted.model_proto.ByteSize()
    if size > MOST_BYTES:
        raise ValueError(f"it would have {size} bytes, and one ONNX file holds {MOST_BYTES} at most: use .pt2")
    content = converted.model_proto.SerializeToString()
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return content, lambda x: [torch.from_numpy(y) for y in session.run(None, {name: x.numpy()})]


def _adaptive_means(x: Tensor, output_size: Any) -> Tensor:
    """The mean over bins, bin by bin and an axis at a time: torch's converter to ONNX has none for three axes."""
    for axis, parts in enumerate(output_size, start=2):
        samples = int(x.shape[axis])
        bins = [(i * samples // parts, -(-(i + 1) * samples // parts)) for i in range(parts)]
        x = torch.cat([x.narrow(axis, a, b - a).mean(axis, keepdim=True) for a, b in bins], axis)
    return x
