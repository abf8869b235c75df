"""A weight as a sum of outer products, one short filter per axis: what the separable method takes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Factors:
    """w[o, c, k1, …, kn] = Σ_r out[o, r] · into[c, r] · taps1[k1, r] … tapsn[kn, r]: given to conv in a weight's place.

    out (out_channels, rank), into (in_channels / groups, rank), taps: one (kernel_size, rank) per axis. Made by
    sc.factorize, or by hand from filters one knows (a Gaussian is rank 1 in any dimension); tensors may need gradients.

    >>> h = torch.tensor([[1.0], [2.0], [1.0]])
    >>> Factors(torch.ones(1, 1), torch.ones(1, 1), (h, h)).dense()[0, 0]
    tensor([[1., 2., 1.],
            [2., 4., 2.],
            [1., 2., 1.]])
    """

    out: Tensor
    into: Tensor
    taps: tuple[Tensor, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.taps, tuple | list) or not all(isinstance(t, Tensor) for t in self.tensors):
            raise TypeError("factors must be tensors: out, into, and a tuple of taps, one for each axis")
        if not (self.dtype.is_floating_point or self.dtype.is_complex):
            raise TypeError(f"factors are {self.dtype}: expected floating or complex values")
        tensors = self.tensors
        if not self.taps or any(t.ndim != 2 or t.shape[1] != self.rank for t in tensors):
            shapes = [tuple(t.shape) for t in tensors]
            raise ValueError(f"factors of shapes {shapes}: expected (channels or taps, rank) each, all of one rank")
        if any(t.dtype != self.dtype or t.device != self.device for t in tensors):
            raise ValueError("factors must all be of one dtype and on one device")

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All of them."""
        return (self.out, self.into, *self.taps)

    @property
    def rank(self) -> int:
        """How many outer products are summed."""
        return self.out.shape[1]

    @property
    def shape(self) -> torch.Size:
        """Of the weight they stand for."""
        return torch.Size([self.out.shape[0], self.into.shape[0], *(t.shape[0] for t in self.taps)])

    @property
    def ndim(self) -> int:
        """Axes of the weight they stand for."""
        return 2 + len(self.taps)

    @property
    def dtype(self) -> torch.dtype:
        """Of all of them."""
        return self.out.dtype

    @property
    def device(self) -> torch.device:
        """Of all of them."""
        return self.out.device

    @property
    def requires_grad(self) -> bool:
        """Whether any of them does."""
        return any(t.requires_grad for t in self.tensors)

    def numel(self) -> int:
        """Numbers kept."""
        return sum(t.numel() for t in self.tensors)

    def to(self, *where: object) -> Factors:
        """Tensor.to on each."""
        return Factors(self.out.to(*where), self.into.to(*where), tuple(t.to(*where) for t in self.taps))  # type: ignore[call-overload]

    def flipped(self) -> Factors:
        """Of the kernel turned over in space."""
        return Factors(self.out, self.into, tuple(t.flip(0) for t in self.taps))

    def dense(self) -> Tensor:
        """The weight itself, (out_channels, in_channels / groups, *kernel_size)."""
        weight = self.out[:, None, :] * self.into[None]
        for taps in self.taps:
            weight = weight.unsqueeze(-2) * taps
        return weight.sum(-1)


def factorize(weight: Tensor, tol: float = 1e-6) -> Factors:
    """A weight's factors, within tol of it: ‖w - factors‖ ≤ tol·‖w‖ in the Euclidean norm.

    weight (out_channels, in_channels / groups, *kernel_size) of real floats -> Factors of the smallest rank found: by
    singular values where only two axes are longer than one, else by alternating least squares, with a chain of
    singular value decompositions to fall back on. Computed in float64; the same weight gives the same factors.
    TypeError for other kinds, ValueError for a tol outside (0, 1) or a weight that is not finite.

    >>> bump = torch.exp(-torch.linspace(-2, 2, 9) ** 2)
    >>> factorize((bump[:, None] * bump)[None, None]).rank
    1

    Source: Kolda and Bader, Tensor Decompositions and Applications (2009); requirement ST10.
    """
    if not isinstance(weight, Tensor) or not weight.is_floating_point() or weight.ndim < 3:
        raise TypeError("weight must be a real floating tensor (out_channels, in_channels / groups, *kernel_size)")
    if weight.numel() == 0 or weight.is_meta:
        raise ValueError(f"weight {tuple(weight.shape)} on {weight.device} holds no values to factorize")
    if isinstance(tol, bool) or not isinstance(tol, int | float) or not 0 < tol < 1:
        raise ValueError(f"tol {tol!r} must lie between 0 and 1")
    if not torch.isfinite(weight).all():
        raise ValueError("weight holds NaN or infinite values: there are no factors of those")
    exact = weight.detach().double()
    axes = [axis for axis, n in enumerate(exact.shape) if n > 1]
    small = exact.reshape([exact.shape[axis] for axis in axes] or [1])
    found = _chain(small, tol) if small.ndim <= 2 else _smallest(small, tol)
    rank = found[0].shape[1]
    modes = [torch.ones(n, rank, dtype=torch.float64, device=weight.device) for n in exact.shape]
    for axis, factor in zip(axes or [0], found, strict=True):
        modes[axis] = factor
    if not axes:
        modes[0] = found[0].reshape(1, -1)
    return Factors(*_balanced(modes)).to(weight.dtype)


def _balanced(modes: list[Tensor]) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Every outer product's size shared out evenly among its vectors, so that none leaves the range of a precision."""
    sizes = [mode.norm(dim=0).clamp(min=1e-300) for mode in modes]
    each = torch.stack(sizes).log().mean(0).exp()
    even = [mode / size * each for mode, size in zip(modes, sizes, strict=True)]
    return even[0], even[1], tuple(even[2:])


def _chain(w: Tensor, tol: float) -> list[Tensor]:
    """Factors by one singular value decomposition per axis: always within tol, not always of least rank."""
    if w.ndim == 1:
        return [w[:, None]]
    u, s, vh = torch.linalg.svd(w.reshape(w.shape[0], -1), full_matrices=False)
    sizes = s.cpu()  # a number is read here anyway, and on a GPU torch has no sums that run the same way every time
    tail = sizes.square().flip(0).cumsum(0).flip(0).sqrt()
    rank = max(int((tail > tol / math.sqrt(w.ndim) * sizes.norm()).sum()), 1)
    columns: list[list[Tensor]] = [[] for _ in w.shape]
    for r in range(rank):
        inner = _chain(vh[r].reshape(w.shape[1:]), tol)
        for factors in zip(*[f.unbind(1) for f in inner], strict=True):
            columns[0].append(u[:, r] * s[r])
            for column, factor in zip(columns[1:], factors, strict=True):
                column.append(factor)
    return [torch.stack(column, 1) for column in columns]


def _smallest(w: Tensor, tol: float) -> list[Tensor]:
    """Alternating least squares at growing ranks, until tol is met or the chain's rank is reached."""
    sure = _chain(w, tol)
    for rank in range(1, min(sure[0].shape[1], 16)):
        found = _alternate(w, rank, tol)
        if found is not None:
            return found
    return sure


def _alternate(w: Tensor, rank: int, tol: float, rounds: int = 60) -> list[Tensor] | None:
    """Factors of this rank within tol, or None where least squares do not get there."""
    generator = torch.Generator().manual_seed(rank)
    factors = [torch.randn(n, rank, generator=generator, dtype=torch.float64).to(w.device) for n in w.shape]
    letters = "abcdefghijklmnop"[: w.ndim]
    for _ in range(rounds):
        for mode in range(w.ndim):
            others = [f for m, f in enumerate(factors) if m != mode]
            gram = torch.ones(rank, rank, dtype=torch.float64, device=w.device)
            for f in others:
                gram = gram * (f.mT @ f)
            names = [f"{c}z" for m, c in enumerate(letters) if m != mode]
            seen = torch.einsum(f"{letters},{','.join(names)}->{letters[mode]}z", w, *others)
            factors[mode] = torch.linalg.lstsq(
                gram, seen.mT, driver="gelsd" if w.device.type == "cpu" else None
            ).solution.mT
        made = torch.einsum(",".join(f"{c}z" for c in letters) + f"->{letters}", *factors)
        if (made - w).norm() <= tol * w.norm():
            return factors
    return None
