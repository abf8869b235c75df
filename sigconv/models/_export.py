"""A model as a file that runs without its code: .pt2 of torch.export, .onnx of ONNX; each tried before it is kept."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sigconv import files, nd
from sigconv.models import _onnx

SUFFIXES = (".pt2", ".onnx")
OTHER = 3  # a batch of so many more items than the example's tries a batch that may be any
HARD = 4.0  # times the model's own rounding error: the hard stop that every method here has


class Exported(NamedTuple):
    """What export wrote: the file, the input it was tried with, its largest difference from the model, that allowed."""

    path: Path
    shape: tuple[int, ...]
    difference: float
    allowed: float


def export(
    model: nn.Module, path: str | os.PathLike[str], shape_or_example: Sequence[int] | Tensor, *, dynamic: bool = True
) -> Exported:
    """Write what a model computes, in eval mode on the CPU: .pt2 (torch.export) or .onnx (extra "onnx"), by the suffix.

    shape_or_example is an input's shape, (batch, channels, *space), for which numbers are drawn, or an input. The file
    takes inputs of this size; with dynamic=True of any batch, whatever the example's. Before the file gets its name
    what was written is loaded again and compared with the model, at another batch too: the difference may be
    layers · sqrt(K) · eps · max|y|, where K is the most terms that a layer adds up, or four times the model's own
    rounding error. The model stays as it is: its mode, its device, its weights.

    Raises ValueError, one line, for a model that torch cannot export, or whose export differs; ImportError without the
    extra; OSError where the file cannot be written. Load .pt2 files of people you trust only: torch unpacks them.

    >>> import tempfile
    >>> from sigconv import models
    >>> done = export(models.build("mnist1d"), f"{tempfile.mkdtemp()}/net.pt2", (1, 1, 40))
    >>> done.difference <= done.allowed
    True
    >>> torch.export.load(done.path).module()(torch.zeros(7, 1, 40)).shape
    torch.Size([7, 10])
    """
    path = Path(path)
    suffix = nd.one_of(path.suffix, SUFFIXES, f"the suffix of {path.name!r},")
    if suffix == ".onnx":
        _onnx.needed()
    net = copy.deepcopy(getattr(model, "_orig_mod", model)).cpu().eval()
    example = _example(net, shape_or_example)
    shape = tuple(example.shape)
    batches = [example]
    if dynamic:  # torch takes a batch of 0 or 1 for a constant
        example = torch.cat([example] * 2) if len(example) == 1 else example
        batches.append(torch.cat([example, example[:1].expand(OTHER, *[-1] * (example.ndim - 1))]))
    with _quiet(), torch.no_grad():
        content, run = _made(net, example, suffix, dynamic)
        found = [_compared(net, run, x) for x in batches]
    difference, allowed = max(found, key=lambda pair: pair[0] - pair[1])
    if not difference <= allowed:
        raise ValueError(
            f"the export {path.name!r} differs from the model by {difference:.3g}, and {allowed:.3g} is allowed"
        )
    with files.writing(path) as file:
        file.write(content)
    return Exported(path, shape, difference, allowed)


def _example(net: nn.Module, given: Any) -> Tensor:
    """The input as given, on the CPU, or numbers of a shape, always the same ones."""
    if not isinstance(given, Tensor):
        shape = tuple(nd.count(size, "shape") for size in given)
        kinds = [value.dtype for value in net.parameters() if value.is_floating_point()]
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        given = noise.to(kinds[0] if kinds else torch.get_default_dtype())
    if given.ndim < 1 or len(given) < 1:
        raise ValueError(f"an example of shape {tuple(given.shape)} has no item: expected (batch, channels, *space)")
    return given.detach().cpu()


def _made(net: nn.Module, x: Tensor, suffix: str, dynamic: bool) -> tuple[bytes, Callable[[Tensor], Any]]:
    """The file's bytes, and what they do once they are loaded again."""
    try:
        net(x)
    except Exception as error:  # whatever a model raises, it is told in one line
        raise ValueError(f"the model does not take an input of shape {tuple(x.shape)}: {_line(error)}") from None
    sizes = ({0: torch.export.Dim("batch", min=1)},) if dynamic else None
    try:
        program = torch.export.export(net, (x,), dynamic_shapes=sizes)
        content = io.BytesIO()
        if suffix == ".onnx":
            return _onnx.made(program)
        torch.export.save(program, content)
        loaded = torch.export.load(io.BytesIO(content.getvalue())).module()
    except Exception as error:  # torch refuses in many ways
        reason = _line(error)
        hint = "; .pt2 takes more than ONNX does" if suffix == ".onnx" else ""
        if dynamic and "batch" in reason:
            hint = "; dynamic=False exports it for this batch alone"
        raise ValueError(f"this model cannot be exported to {suffix}: {reason}{hint}") from None
    return content.getvalue(), loaded


def _compared(net: nn.Module, run: Callable[[Tensor], Any], x: Tensor) -> tuple[float, float]:
    """The largest difference of the file's answer from the model's, and that allowed."""
    answers, got = _leaves(net(x)), _leaves(run(x))
    shapes = [[tuple(y.shape) for y in side] for side in (answers, got)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"the export answers in shapes {shapes[1]}, and the model in {shapes[0]}")
    if not all(y.isfinite().all() for y in answers):
        raise ValueError("the model answers NaN or infinity for the example: give one by which it can be tried")
    difference = _furthest(got, answers)
    allowed = _allowed(net, answers)
    if difference > allowed:
        if _furthest(_leaves(net(x)), answers) > allowed:
            raise ValueError(
                "the model answers otherwise when it is asked again: something in it draws numbers in eval"
            )
        allowed = max(allowed, HARD * _own_error(net, x, answers))
    return difference, allowed


def _own_error(net: nn.Module, x: Tensor, answers: list[Tensor]) -> float:
    """How far the model is from its exact answer, where sums cancel; 0 of a model that knows no float64."""
    try:
        exact = copy.deepcopy(net).double()(x.double() if x.is_floating_point() else x)
    except (RuntimeError, TypeError, ValueError):
        return 0.0
    return _furthest(answers, _leaves(exact))


def _furthest(these: list[Tensor], those: list[Tensor]) -> float:
    pairs = [(a, b) for a, b in zip(these, those, strict=True) if a.numel()]
    gaps = [(a.to(torch.complex128) - b).abs().max().item() for a, b in pairs]
    return math.inf if any(math.isnan(gap) for gap in gaps) else max(gaps, default=0.0)


def _allowed(net: nn.Module, answers: list[Tensor]) -> float:
    """layers · sqrt(K) · eps · max|y|: each layer's sums, rounded in another order."""
    weights = [value for value in net.parameters() if value.ndim > 1]
    terms = max((value[0].numel() for value in weights), default=1)
    kinds = [y for y in answers if y.is_floating_point() or y.is_complex()]
    eps = max((torch.finfo(y.dtype).eps for y in kinds), default=0.0)
    largest = max((y.abs().max().item() for y in kinds if y.numel()), default=0.0)
    return max(len(weights), 1) * math.sqrt(terms) * eps * largest


def _leaves(answer: Any) -> list[Tensor]:
    """The tensors of an answer, in their order."""
    from torch.utils import _pytree

    return [leaf for leaf in _pytree.tree_leaves(answer) if isinstance(leaf, Tensor)]


def _line(error: Exception) -> str:
    """What torch means, out of what it says: the innermost cause, its first line."""
    while (inner := error.__cause__ or error.__context__) is not None and isinstance(inner, Exception):
        error = inner
    return (str(error).strip().partition("\n")[0] or type(error).__name__)[:300]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what exporters print and warn of on their way: what comes of it is compared, number by number."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
