"""A model's first convolution at work: the best window of each sequence for each filter, and what that is worth."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sigconv import nd
from sigconv.blocks import ReverseComplementConv, other_strand
from sigconv.convolution import Conv, ConvMax, ConvTranspose
from sigconv.explain._answers import answer, asked, at_rest, letters
from sigconv.transforms import dna


class Sites(NamedTuple):
    """Of each row and filter, (rows, filters), the best answer and where in the row its window begins.

    tokens (rows, letters) are what the filters were given, amid unknown letters where a border was added: of sequences
    on both strands those of both. Of a sequence's rows one has its best answer, the others -inf. span is a window's.
    """

    tokens: Tensor
    best: Tensor
    start: Tensor
    span: int

    def windows(self, number: int, threshold: float) -> Tensor:
        """The windows (sites, span) that a filter answers with this share of its best answer at least, and above 0."""
        best = self.best[:, number]
        rows = torch.nonzero((best > 0) & (best >= threshold * best.max())).squeeze(1)
        return self.tokens[rows[:, None], self.start[rows, number, None] + torch.arange(self.span)]


class Watch:
    """The first convolution a model calls, call by call: the letters it is given, and its answers as passed on.

    The answers are those after whatever follows channel by channel: a normalization, an activation, a threshold.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.first: Any = None
        self.given: list[Tensor] = []
        self.passed: list[Tensor] = []
        self._parts = {part.conv for part in model.modules() if isinstance(part, ReverseComplementConv)}

    @contextlib.contextmanager
    def calls(self) -> Iterator[None]:
        """Watch what is called inside, anew; ValueError if that is no convolution that sees letters."""
        self.given, self.passed = [], []
        hooks = [module.register_forward_hook(self._called) for module in self.model.modules()]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
        if not self.passed:
            raise ValueError(f"a {type(self.model).__name__} calls no convolution layer: expected one that begins so")

    def _called(self, module: nn.Module, given: tuple[Any, ...], out: Any) -> Any:
        if self.first is None and module not in self._parts and _is_convolution(module):
            self.first = _checked(module)
        if module is self.first:
            self.given.append(letters(given[0].detach()))
            if isinstance(module, ConvMax):  # it keeps no windows but the best: all of them are made for once
                self.passed.append(Conv.forward(module, given[0]).detach().requires_grad_().clone())
                return self.passed[-1].relu().amax(2)
            self.passed.append(out.detach().requires_grad_().clone())  # what comes before it need not be derived
            return self.passed[-1]
        if self.passed and given and given[0] is self.passed[-1] and _is_by_channel(module, given[0], out):
            self.passed[-1] = out
        return None

    def unpaired(self, values: Tensor) -> Tensor:
        """(rows, filters, positions) of the first convolution's answers; of channels in pairs both strands as rows."""
        if not isinstance(self.first, ReverseComplementConv):
            return values
        one, other = values.chunk(2, 1)
        return torch.cat([one, other.flip(1, 2)])

    def rows(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Of each call the letters, each filter's best answer, and at which position it is: row by row."""
        paired = isinstance(self.first, ReverseComplementConv)
        for given, passed in zip(self.given, self.passed, strict=True):
            yield torch.cat([given, other_strand(given)]) if paired else given, *self.unpaired(passed).max(-1)

    def geometry(self) -> tuple[int, int, int, int]:
        """Letters a window spans, steps between two, and unknown ones that were put before the first and at the end."""
        layer = self.first.conv if isinstance(self.first, ReverseComplementConv) else self.first
        kernel, gap, step = (nd.ntuple(getattr(layer, n), 1, n)[0] for n in ("kernel_size", "dilation", "stride"))
        ((before, after),) = nd.margins(layer.padding, (kernel,), (gap,))
        return (kernel - 1) * gap + 1, step, before, after


def _is_convolution(module: nn.Module) -> bool:
    kinds = (ReverseComplementConv, Conv, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    return isinstance(module, kinds) and not isinstance(module, ConvTranspose)


def _checked(module: Any) -> nn.Module:
    """The convolution, if its filters are motifs: one axis, four channels."""
    weight = (module.conv if isinstance(module, ReverseComplementConv) else module).weight
    if weight.ndim != 3 or weight.shape[1] != len(dna.LETTERS):
        shape = tuple(weight.shape)
        raise ValueError(f"the first convolution has weights {shape}: expected (filters, 4, width), which see letters")
    return module


def _is_by_channel(module: nn.Module, given: Tensor, out: Any) -> bool:
    """Whether a module does the same to all samples of a channel, one by one, as far as can be seen of it."""
    if not isinstance(out, Tensor) or out.shape != given.shape or "pool" in type(module).__name__.lower():
        return False
    return all(p.ndim <= 1 for p in module.parameters()) and not any(map(_is_convolution, module.modules()))


@torch.no_grad()
def sites(model: nn.Module, x: Tensor, batch_size: int) -> Sites:
    """The best window of every sequence for every filter of a model's first convolution."""
    watch, found = Watch(model), []
    with at_rest(model):
        for part in x.split(batch_size):
            with watch.calls():
                asked(model, part)
            given, best, place = (torch.cat(rows).cpu() for rows in zip(*watch.rows(), strict=True))
            found.append((given, _one_of(best.float(), len(part)), place))
    span, step, before, after = watch.geometry()
    tokens, best, place = (torch.cat(part) for part in zip(*found, strict=True))
    if (tokens == dna.UNKNOWN).all():
        raise ValueError(f"the first convolution of a {type(model).__name__} is given no letter that is known")
    tokens = F.pad(tokens, (max(before, 0), max(after, 0)), value=dna.UNKNOWN)
    return Sites(tokens, best, place * step + max(-before, 0), span)


def _one_of(best: Tensor, sequences: int) -> Tensor:
    """The best answers, -inf but in the best of each sequence's rows; rows are all sequences once, and again."""
    if len(best) % sequences:
        return best
    each = best.view(-1, sequences, best.shape[1])
    first = torch.arange(len(each))[:, None, None] == each.argmax(0)
    return torch.where(first, each, -torch.inf).view_as(best)


def uses(model: nn.Module, x: Tensor, target: Any, batch_size: int) -> Tensor:
    """What each filter adds to a model's answer, in the mean of all sequences: (filters,), float64, on the CPU.

    The sum over positions of a filter's answer times the derivative of the model's by it: exactly what it adds where
    only sums, maxima and rectifications without thresholds of their own follow.
    """
    watch, total = Watch(model), torch.zeros((), dtype=torch.float64)
    with at_rest(model), torch.enable_grad():
        for part in x.split(batch_size):
            with watch.calls():
                out = answer(asked(model, part), target)
            slopes = torch.autograd.grad(out.sum(), watch.passed, allow_unused=True)
            for passed, slope in zip(watch.passed, slopes, strict=True):
                if slope is not None:
                    total = total + watch.unpaired((passed * slope).detach().double()).sum((0, 2)).cpu()
    return total / len(x)
