"""Stochastic pooling (PL5): a window's sample is drawn with a probability in proportion to its value."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.kernels import _triton as triton
from sigconv.kernels._triton_pooling import taken
from sigconv.kernels.blocks import draw
from sigconv.kernels.expectation import expectations
from sigconv.pooling._derive import Pool, layer
from sigconv.pooling._windows import no_index, origin, real, resolve


class Seeded(Pool):
    """It draws while it trains, and takes the expectation in eval mode.

    seed=n gives it a generator of its own, whose state is a buffer: a checkpoint resumes with the very next draw, the
    same on every device.
    """

    given = ("training", "generator")

    def hold(self, *, seed: int | None = None) -> None:
        """The state of a generator of its own, or nothing: then torch's global one is drawn from."""
        self.register_buffer("generator_state", None)
        if seed is not None:
            self.generator_state = torch.Generator().manual_seed(nd.count(seed, "seed", 0)).get_state()

    def forward(self, x: Tensor, *args: Any) -> Any:
        """The function of x; the state moves on."""
        if self.generator_state is None or not self.training:
            return super().forward(x, *args)
        generator = torch.Generator()
        generator.set_state(self.generator_state.cpu())
        options = {**self.options, "training": True, "generator": generator}
        y = type(self).function(x, *args, **options)
        self.generator_state.copy_(generator.get_state())
        return y

    def held(self) -> dict[str, Any]:
        """Whether to draw."""
        return {"training": self.training}


@layer("StochasticPool", Seeded)
@nd.numpy_too
def stochastic_pool(
    x: Tensor,
    kernel_size: Any,
    stride: Any = None,
    *,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    padding_mode: Any = None,
    value: float = 0.0,
    training: bool = True,
    generator: torch.Generator | None = None,
    return_indices: bool = False,
) -> Any:
    """A sample of every window, drawn with probability p_i = a_i / Σ a; with training=False its expectation Σ p_i a_i.

    x (batch, channels, *space) -> (batch, channels, *positions), floating, in any number of axes; stride defaults to
    kernel_size. Negative values count as 0: they are never drawn. A window without a positive value gives 0, and no
    gradient; one with NaN gives NaN; where samples are infinite, they alone are drawn from. The gradient goes to the
    sample drawn; that of the expectation is (2 a_k Σa - Σa²) / (Σa)² for a_k >= 0. return_indices adds where each
    sample was, in the flattened space (a window's first, where none is positive). Padded samples are never drawn,
    unless a padding_mode says what stands there. The generator is torch's global one unless given; draws are a uniform
    number a window. Source: Zeiler and Fergus 2013; for zero regions science.md E18.

    >>> import torch
    >>> stochastic_pool(torch.tensor([[[1.0, 3.0, -2.0, 0.0]]]), 2, training=False)
    tensor([[[2.5000, 0.0000]]])
    """
    halves = padding_mode is None and triton.usable(x)  # kernels read them as they are
    wide = x if halves else real(x, "stochastic_pool")
    if return_indices:
        if not training:
            raise ValueError("return_indices=True needs training=True: an expectation is no single sample")
        no_index(padding_mode, x.ndim - 2)
    windows = resolve(x, kernel_size, stride, padding, dilation, ceil_mode)
    if not training:
        plain = padding_mode is None
        seen = wide if plain else nd.pad(wide, windows.margins, padding_mode, value)
        before = [first * plain for first, _ in windows.margins]
        return expectations(seen, windows[:3], before, windows.positions).to(x.dtype)
    padded = windows.padded(wide, padding_mode, value, 0.0)
    shape = (*x.shape[:2], *windows.positions)
    drawn = torch.rand(shape, generator=generator, device=generator.device if generator else x.device)
    place = draw(padded, drawn.to(x.device, triton.SUMS[x.dtype]), *windows[:3])
    y = taken(padded, place, *windows[:3]).relu().to(x.dtype)
    return (y, origin(x, windows, padding_mode, place)) if return_indices else y
