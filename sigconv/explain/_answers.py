"""What every explanation begins with: a model at rest, the letters it is given, the one number that is explained."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.transforms import dna

LETTERS = 1 << 18  # given to a model at once, of several sequences: a layer of 64 channels then holds 64 MiB


@contextlib.contextmanager
def at_rest(model: nn.Module) -> Iterator[None]:
    """The model as it is used, not as it is trained: no dropout, running statistics. Then as it was, its buffers too.

    What was compiled runs as the Python it was, for hooks and modes are not seen by what is compiled already.
    """
    training = [module for module in model.modules() if module.training]
    compiled = "torch._dynamo" in sys.modules  # nothing can have been compiled without it
    buffers = [(m._buffers, name, b, b.detach().clone()) for m in model.modules() for name, b in _held(m)]
    model.eval()
    try:
        with torch.compiler.set_stance("force_eager") if compiled else contextlib.nullcontext():
            yield
    finally:
        for module in training:
            module.training = True
        for holder, name, buffer, was in buffers:
            holder[name] = buffer
            if not torch.equal(buffer, was):  # a layer that counts, or keeps statistics even so
                with torch.no_grad():
                    buffer.copy_(was)


def _held(module: nn.Module) -> list[tuple[str, Tensor]]:
    """The buffers of a module itself that have values."""
    return [(name, b) for name, b in module._buffers.items() if b is not None and not b.is_meta]


def models_of(models: nn.Module | Sequence[nn.Module]) -> list[nn.Module]:
    """One model or several, as a list; ValueError for none."""
    found = [models] if isinstance(models, nn.Module) else list(models)
    if not found:
        raise ValueError("there is no model to answer")
    return found


def asked(model: nn.Module, x: Tensor) -> Any:
    """What a model answers to a copy of x where the model is: a first layer in place has its own to write over."""
    device = next((p.device for p in model.parameters()), x.device)
    try:
        return model(x.to(device, copy=True))
    except RuntimeError as error:
        kinds = {p.dtype for p in model.parameters() if p.is_floating_point()}
        if x.dtype in kinds or len(kinds) != 1 or "same" not in str(error):
            raise
        own, of = (str(kind).removeprefix("torch.") for kind in (*kinds, x.dtype))
        raise ValueError(f"x is {of}, and the model {own}: give x as {own}") from None


def at_once(batch_size: Any, length: int) -> int:
    """How many sequences a model is given at a time: batch_size, and so few of long ones that memory suffices.

    >>> at_once(128, 101), at_once(128, 100_000), at_once(128, 10**7)
    (128, 2, 1)
    """
    return max(min(nd.count(batch_size, "batch_size"), LETTERS // max(length, 1)), 1)


def answer(out: Any, target: Any = None) -> Tensor:
    """The number of each item that is explained, (batch,), of outputs (batch,) or (batch, classes).

    target is a class or one for each item. Without one, one output is the answer, and of two the second less the first;
    of more, ValueError asks which.

    >>> answer(torch.tensor([[1.0, 3.0], [2.0, 1.0]])), answer(torch.tensor([[1.0, 3.0], [2.0, 1.0]]), [1, 0])
    (tensor([ 2., -1.]), tensor([3., 2.]))
    """
    if not isinstance(out, Tensor) or out.ndim not in (1, 2) or not out.is_floating_point():
        what = f"outputs of shape {tuple(out.shape)}" if isinstance(out, Tensor) else f"a {type(out).__name__}"
        raise ValueError(f"the model answers with {what}: expected floating (batch,) or (batch, classes)")
    out = out[:, None] if out.ndim == 1 else out
    classes = out.shape[1]
    if target is None:
        if classes not in (1, 2):
            raise ValueError(f"the model has {classes} outputs: target= says which of them is explained")
        return out[:, 0] if classes == 1 else out[:, 1] - out[:, 0]
    chosen = wanted(target, len(out)).to(out.device)
    if len(out) and not 0 <= int(chosen.min()) <= int(chosen.max()) < classes:
        wrong = int(chosen[(chosen < 0) | (chosen >= classes)][0])
        raise ValueError(f"target {wrong} is not one of the model's outputs, 0 to {classes - 1}")
    return out.gather(1, chosen[:, None]).squeeze(1)


def wanted(target: Any, items: int) -> Tensor:
    """The class that is meant of each item, int64 (items,), of one class or one for each.

    >>> wanted(2, 3)
    tensor([2, 2, 2])
    """
    chosen = torch.as_tensor(target)
    if chosen.is_floating_point() or chosen.dtype == torch.bool or chosen.shape not in ((), (items,)):
        said = f"{str(chosen.dtype).removeprefix('torch.')} {tuple(chosen.shape)}" if chosen.ndim else repr(target)
        raise ValueError(f"target {said} is not a class, nor one for each of {items} items")
    return chosen.long().expand(items)


def inputs(sequences: Any) -> Tensor:
    """What the model is given: text becomes tokens; tokens (batch, length), channels (batch, 4, length) stay.

    >>> inputs(["ACGT", "NNGT"]).dtype, inputs(np.zeros((2, 4, 9), np.float32)).shape
    (torch.uint8, torch.Size([2, 4, 9]))
    """
    if isinstance(sequences, str | bytes):
        raise ValueError(f"{sequences[:40]!r} is one sequence: expected several, in a list")
    if isinstance(sequences, Sequence) and sequences and isinstance(sequences[0], str | bytes):
        return dna.encode(sequences)
    x = torch.as_tensor(sequences)
    tokens = not x.is_floating_point() and not x.is_complex() and x.ndim == 2
    if not tokens and not (x.is_floating_point() and x.ndim == 3 and x.shape[1] == len(dna.LETTERS)):
        kind = str(x.dtype).removeprefix("torch.")
        expected = "text, integer tokens (batch, length) or channels (batch, 4, length)"
        raise ValueError(f"sequences are {kind} {tuple(x.shape)}: expected {expected}")
    return x


def letters(x: Tensor) -> Tensor:
    """Tokens (batch, length), uint8, of tokens or one-hot channels; what is no one letter is unknown.

    >>> letters(dna.one_hot(dna.encode(["ACGTN"])))
    tensor([[0, 1, 2, 3, 4]], dtype=torch.uint8)
    """
    if x.is_floating_point():
        share, x = x.max(-2)
        x = torch.where(share > 0.5, x, dna.UNKNOWN)
    return torch.where((x >= 0) & (x < dna.UNKNOWN), x, dna.UNKNOWN).to(torch.uint8)


def like(result: Tensor, source: Any) -> Any:
    """The result as what it was made from is: an array of NumPy for one."""
    return result.cpu().numpy() if isinstance(source, np.ndarray) else result
