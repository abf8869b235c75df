"""What all of this family are: sums of products, an axis each, of derivatives of Gaussians."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.filters._bank import RESOLVABLE, FilterBank, odd, rates
from sigconv.filters._terms import Terms, scaled
from sigconv.filters._walls import numbers


class Gaussian(FilterBank):
    """Filter f is Σ_r weights[f, r] · ⊗_axis ∂^orders[f, r, axis] G(x - centres[f, r, axis]·sigma, ratios[f, r]·sigma).

    sigma    (filters, 1), or (filters, ndim) one per axis, in units; orders count derivatives, which are per unit
    ratios   widths in sigmas, centres places in sigmas: a filter keeps its form while sigma learns
    area     whether G has area 1 as a function; else its taps on each axis sum to 1, cut where they are
    zero_mean  take so much of G away that the taps of the whole sum to 0
    """

    _weights: Tensor
    _ratios: Tensor
    _centres: Tensor
    _orders: Tensor
    _cuts: Tensor

    def __init__(
        self,
        names: Sequence[str],
        sigma: Tensor,
        orders: Tensor,
        *,
        weights: Tensor | None = None,
        ratios: Tensor | None = None,
        centres: Tensor | None = None,
        area: bool = False,
        zero_mean: bool = False,
        fs: Any = 1.0,
        truncate: float = 4.0,
        size: Any = None,
        learnable: bool = False,
        unit: str = "",
    ) -> None:
        filters, rank, ndim = orders.shape
        weights = torch.ones(filters, rank, dtype=torch.float64) if weights is None else weights
        ratios = torch.ones(filters, rank, dtype=torch.float64) if ratios is None else ratios
        centres = torch.zeros(filters, rank, ndim, dtype=torch.float64) if centres is None else centres
        fs = rates(fs, ndim)
        if not (math.isfinite(truncate) and truncate > 0):
            raise ValueError(f"truncate {truncate} must be a finite number above 0 sigmas")
        samples = sigma.unsqueeze(1) * torch.tensor(fs, dtype=torch.float64)  # filters, 1, ndim
        cuts = torch.floor(truncate * ratios.unsqueeze(-1) * samples + 0.5)
        reach = torch.floor((truncate * ratios.unsqueeze(-1) + centres.abs()) * samples + 0.5).clamp_min(0)
        kernel_size = tuple(2 * int(r) + 1 for r in reach.amax((0, 1))) if size is None else odd(size, ndim)
        super().__init__(names, ndim, fs, kernel_size=kernel_size, rank=rank + zero_mean, unit=unit)
        self._hold_sigma(sigma, ratios.amin(), learnable)
        self.area, self.zero_mean, self._cut = bool(area), bool(zero_mean), size is None
        for name, fixed in {"weights": weights, "ratios": ratios, "centres": centres}.items():
            self.register_buffer(f"_{name}", fixed, persistent=False)
        self._highest = int(orders.max())
        self.register_buffer("_orders", orders, persistent=False)
        self.register_buffer("_cuts", cuts, persistent=False)

    def _hold_sigma(self, sigma: Tensor, narrowest: Tensor, learnable: bool) -> None:
        """No Gaussian narrower than the grid can hold, none wider than the window or than it began."""
        fs = torch.tensor(self.fs, dtype=torch.float64)
        fs = fs if sigma.shape[1] > 1 else fs.min()
        half = max((k // 2) / rate for k, rate in zip(self.kernel_size or (), self.fs, strict=True))
        most = torch.maximum(sigma, torch.clamp_min(1 / fs, half / 2).expand_as(sigma))
        coarsest = f"{min(self.fs):g}" if len(set(self.fs)) == 1 else str(self.fs)
        why = f"sigma {{value}} is too small for the grid, which holds {RESOLVABLE} samples (fs={coarsest})"
        self.hold(
            "sigma", sigma, RESOLVABLE / fs / min(float(narrowest), 1.0), most, learnable, why, unit=1 / max(self.fs)
        )

    def terms(self) -> Terms:
        """Per axis the derivatives of all Gaussians, (filters, rank, taps); the weights are in the first axis'."""
        sigma, terms, plain = self.value("sigma"), [], []
        for axis, (k, rate) in enumerate(zip(self.kernel_size or (), self.fs, strict=True)):
            width = sigma[:, min(axis, sigma.shape[1] - 1), None, None]  # filters, 1, 1
            x = (torch.arange(k, dtype=sigma.dtype, device=sigma.device) - k // 2) / rate
            x = x - self._centres.to(sigma)[..., axis, None] * width
            spread = self._ratios.to(sigma).unsqueeze(-1) * width
            bell = torch.exp(-0.5 * (x / spread).square())
            if self._cut:
                bell = bell * (x.abs() * rate <= self._cuts.to(sigma)[..., axis, None] + 1e-9)
            unit = bell / bell.sum(-1, keepdim=True)
            bell = bell / (spread * rate * math.sqrt(2 * math.pi)) if self.area else unit
            terms.append(bell * self._slopes(x / spread, spread, axis))
            plain.append(unit[:, :1])
        terms = scaled(terms, self._weights.to(sigma))
        return self._without_mean(terms, plain) if self.zero_mean else terms

    def _slopes(self, t: Tensor, spread: Tensor, axis: int) -> Tensor:
        """What makes a Gaussian its derivative: (-1/s)ⁿ times the Hermite polynomial Heₙ(t)."""
        orders = self._orders[..., axis, None]
        before, now = torch.zeros_like(t), torch.ones_like(t)
        found = now
        for n in range(1, self._highest + 1):
            before, now = now, t * now - (n - 1) * before
            found = torch.where(orders == n, now * (-1 / spread) ** n, found)
        return found

    def _without_mean(self, terms: Terms, plain: Terms) -> Terms:
        """One more term: the Gaussian itself, as much of it as the others sum to."""
        total = terms[0].sum(-1)
        for taps in terms[1:]:
            total = total * taps.sum(-1)
        less = scaled(plain, -total.sum(1))
        return [torch.cat(pair, 1) for pair in zip(terms, less, strict=True)]

    def columns(self) -> dict[str, list[Any]]:
        """Widths, and derivatives where there are any."""
        sigma = self.value("sigma").detach().tolist()
        found: dict[str, list[Any]] = {"sigma": [s[0] if len(s) == 1 else tuple(s) for s in sigma]}
        if self._highest and self._orders.shape[1] == 1:
            found["order"] = [tuple(order) for order in self._orders[:, 0].tolist()]
        return found


def widths(sigma: Any, ndim: int) -> Tensor:
    """(filters, 1) of a number or (filters,), (filters, ndim) of one sigma per axis."""
    found = numbers(sigma, "sigma")
    found = found.reshape(-1, 1) if found.ndim < 2 else found
    if found.ndim != 2 or found.shape[0] == 0 or found.shape[1] not in (1, ndim):
        raise ValueError(
            f"sigma has shape {tuple(found.shape)}: expected a number, (filters,) or (filters, {ndim}), one per axis"
        )
    return found


def labels(kind: str, sigma: Tensor) -> list[str]:
    """Names that say the kind and the width, "log_2" or "log_2x3" where axes differ."""
    return [f"{kind}_{'x'.join(f'{s:g}' for s in row)}" for row in sigma.tolist()]


def alike(sigma: Tensor, orders: Any) -> Tensor:
    """The same orders (rank, ndim) for each sigma: (filters, rank, ndim)."""
    one = torch.as_tensor(orders, dtype=torch.int64)
    return one.expand(len(sigma), *one.shape).clone()


def checked(order: Any, ndim: int) -> tuple[int, ...]:
    """One derivative order per axis."""
    return nd.ntuple(order, ndim, "order", least=0)
