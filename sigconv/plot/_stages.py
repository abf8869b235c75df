"""What an animation of a convolution shows at every step, and the numbers it is drawn from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sigconv.plot._frame import COLOURS
from sigconv.plot._moving import sliced

CHANNELS, SLICES = 4, 3  # that are drawn at most, of a window that has more
UNSEEN = "gainsboro"  # where the output is not known yet


class Integral:
    """A true convolution as an integral: show(n) draws the kernel turned round at t = n / fs, and y up to there.

    output is all of y, (samples + taps - 1,), each the sum of what product(n) gives, times the step 1 / fs.
    """

    def __init__(self, x: np.ndarray, kernel: np.ndarray, fs: float, title: str) -> None:
        from matplotlib.figure import Figure

        self.x, self.kernel, self.fs = x, kernel, fs
        products = [self.product(n) for n in range(len(x) + len(kernel) - 1)]
        self.output = np.array([product.sum() for product in products]) / fs
        self.ends = [min(float(p.min()) for p in products), max(float(p.max()) for p in products)]
        self.figure = Figure(figsize=(7.2, 4.0), layout="constrained")
        self.above, self.below = self.figure.subplots(2, 1, sharex=True, height_ratios=(1.3, 1))
        self._still(title)

    def product(self, n: int) -> np.ndarray:
        """x(τ) h(t - τ) at every sample of x, for t = n / fs."""
        places = n - np.arange(len(self.x))
        there = (places >= 0) & (places < len(self.kernel))
        return np.where(there, self.x * self.kernel[places.clip(0, len(self.kernel) - 1)], 0.0)

    def _still(self, title: str) -> None:
        """What stands still, and lines without points for what does not."""
        taps, after = len(self.kernel) - 1, len(self.output)
        tau = np.arange(-taps, after) / self.fs
        self.tau = np.arange(len(self.x)) / self.fs
        marks: dict[str, Any] = {"marker": "o", "markersize": 3} if after <= 40 else {}
        self.above.plot(tau, np.pad(self.x, taps), color=COLOURS[0], linewidth=1.6, label="x(τ)", **marks)
        (self.turned,) = self.above.plot([], [], color=COLOURS[1], linewidth=1.6, label="h(t - τ)", **marks)
        self.shade = self.above.fill_between([], [], color=COLOURS[2], alpha=0.45, label="their product")
        for ax, values in ((self.above, np.concatenate([self.x, self.kernel, self.ends])), (self.below, self.output)):
            low, high = min(0.0, values.min()), max(0.0, values.max())
            room = 0.06 * max(high - low, 1e-30)
            ax.set(xlim=(tau[0] - 0.5 / self.fs, tau[-1] + 0.5 / self.fs), ylim=(low - room, high + room))
            ax.axhline(0, color="lightgrey", linewidth=0.8, zorder=0)
            ax.spines[["top", "right"]].set_visible(False)
        self.now = [ax.axvline(0, color="grey", linestyle=":", linewidth=1) for ax in (self.above, self.below)]
        (self.traced,) = self.below.plot([], [], color=COLOURS[2], linewidth=1.8, **marks)
        (self.dot,) = self.below.plot([], [], "o", color=COLOURS[2], markersize=6)
        self.below.set(xlabel="t, τ in samples" if self.fs == 1 else f"t, τ; {self.fs:g} samples a unit")
        self.below.set_ylabel("y(t) = ∫ x(τ) h(t - τ) dτ", fontsize=8)
        self.above.legend(
            loc="lower right", bbox_to_anchor=(1, 1), frameon=False, fontsize=8, ncols=3, borderaxespad=0.1
        )
        self.figure.suptitle(title)

    def show(self, n: int) -> None:
        """The kernel at t = n / fs."""
        t, taps = n / self.fs, np.arange(len(self.kernel))[::-1]
        self.turned.set_data(t - taps / self.fs, self.kernel[::-1])
        self.shade.remove()
        self.shade = self.above.fill_between(self.tau, self.product(n), color=COLOURS[2], alpha=0.45, linewidth=0)
        for line in self.now:
            line.set_xdata([t, t])
        self.traced.set_data(np.arange(n + 1) / self.fs, self.output[: n + 1])
        self.dot.set_data([t], self.output[n : n + 1])
        self.above.set_title(f"t = {t:.4g},  y(t) = {self.output[n]:.4g}", fontsize=9, loc="left")


class Window:
    """A kernel's window over every channel: show(n) draws it at its n-th place, and the output up to there.

    x is (channels, slices, height, width), of one slice where a picture is meant; kernel likewise. output is all of it,
    (slices, height, width), each the sum over channels of what products(n) gives.
    """

    def __init__(self, x: np.ndarray, kernel: np.ndarray, title: str) -> None:
        self.x, self.kernel = x, kernel
        self.shape = tuple(n - k + 1 for n, k in zip(x.shape[1:], kernel.shape[1:], strict=True))
        self.output = np.array([self.products(n).sum() for n in range(math.prod(self.shape))]).reshape(self.shape)
        self.depths = np.unique(np.linspace(0, kernel.shape[1] - 1, SLICES).round().astype(int))
        self.drawn = min(len(x), CHANNELS)
        self._laid(title)
        self._still()

    def place(self, n: int) -> tuple[int, ...]:
        """Where the window begins, rows first, then columns; slices last."""
        return tuple(int(i) for i in np.unravel_index(n, self.shape))

    def products(self, n: int) -> np.ndarray:
        """What is under the window, times the kernel: (channels, *size)."""
        spans = (slice(i, i + k) for i, k in zip(self.place(n), self.kernel.shape[1:], strict=True))
        return np.asarray(self.x[(slice(None), *spans)] * self.kernel)

    def _laid(self, title: str) -> None:
        """Axes: for each channel what is seen of it, its kernel and the products; the output beside them all."""
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        deep, rows = len(self.depths) > 1, self.drawn
        ratios = (5, 2.8, 2.8, 2.6) if deep else (3, 1.4, 1.4, 3)
        tall = min(max(1.75 * rows, 2.0 if deep else 2.7), 5.6) + 0.5
        self.figure = Figure(figsize=(9.6 if deep else 8.6, tall), layout=ConstrainedLayoutEngine(w_pad=0.1))
        cells = self.figure.add_gridspec(rows, 4, width_ratios=ratios)
        self.rows = [[self.figure.add_subplot(cells[i, j]) for j in range(3)] for i in range(rows)]
        self.whole = self.figure.add_subplot(cells[:, 3])
        for ax in (*(ax for row in self.rows for ax in row), self.whole):
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        if title:
            self.figure.suptitle(title)

    def _still(self) -> None:
        """Scales that hold for all places, and pictures yet to be filled."""
        from matplotlib.patches import Rectangle

        tall, wide = self.kernel.shape[2:]
        steps = np.arange(len(self.depths)) * (self.x.shape[3] + 1)
        self.seen: list[Any] = []
        self.made: list[Any] = []
        self.boxes: list[list[Any]] = []
        for c, (left, middle, right) in enumerate(self.rows):
            self.seen.append(left.imshow(self._under(0)[c], **_scale(self.x[c], "gray")))
            style: dict[str, Any] = {"fill": False, "edgecolor": COLOURS[1], "linewidth": 2}
            self.boxes.append([left.add_patch(Rectangle((0, 0), wide, tall, **style)) for _ in steps])
            middle.imshow(sliced(self.kernel[c, self.depths]), **_scale(self.kernel[c], "", signed=True))
            reach = np.abs(self.x[c]).max() * np.abs(self.kernel[c])
            self.made.append(right.imshow(sliced(reach[self.depths]), **_scale(reach, "", signed=True)))
            left.set_ylabel(f"channel {c}" if len(self.x) > 1 else "", fontsize=8)
        for ax, name in zip(self.rows[0], ("input", "kernel", "products"), strict=True):
            ax.set_title(name, fontsize=9)
        self.rows[-1][2].set_xlabel(" ", fontsize=8)
        self.filled = self.whole.imshow(np.full(self.shape[1:], np.nan), **_scale(self.output, "magma", bad=UNSEEN))
        self.box = Rectangle((0, 0), 1, 1, fill=False, edgecolor=COLOURS[1], linewidth=2)
        self.whole.add_patch(self.box)

    def _under(self, n: int) -> list[np.ndarray]:
        """The slices that the window covers, side by side, for every channel."""
        depths = self.place(n)[0] + self.depths
        return [sliced(one[depths]) for one in self.x[: self.drawn]]

    def known(self, n: int) -> np.ndarray:
        """The output as far as it is known at the n-th place, NaN beyond."""
        return np.where(np.arange(self.output.size) <= n, self.output.ravel(), np.nan).reshape(self.shape)

    def show(self, n: int) -> None:
        """The window at its n-th place."""
        depth, row, column = self.place(n)
        products = self.products(n)
        sums = products.sum((1, 2, 3))
        for c, picture in enumerate(self._under(n)):
            self.seen[c].set_data(picture)
            for j, box in enumerate(self.boxes[c]):
                box.set_xy((column + j * (self.x.shape[3] + 1) - 0.5, row - 0.5))
            self.made[c].set_data(sliced(products[c, self.depths]))
            self.rows[c][2].set_xlabel(f"sum {sums[c]:.3g}", fontsize=8)
        self.filled.set_data(self.known(n)[depth])
        self.box.set_xy((column - 0.5, row - 0.5))
        where = f"slice {depth}, " if self.x.shape[1] > 1 else ""
        self.whole.set_title(f"output, {where}[{row}, {column}]", fontsize=9)
        fewer = f", {self.drawn} of them drawn" if len(self.x) > self.drawn else ""
        told = f"sum of {len(self.x)} channels{fewer} = " if len(self.x) > 1 else ""
        self.whole.set_xlabel(f"{told}{self.output[depth, row, column]:.3g}", fontsize=8)


def _scale(values: np.ndarray, colours: str, signed: bool = False, bad: str = "white") -> dict[str, Any]:
    """One scale for a whole animation: 0 in the middle where some values are below it."""
    from matplotlib import colormaps

    low, high = float(values.min()), float(values.max())
    if signed or low < 0:
        reach = max(-low, high, 1e-30)
        low, high, colours = -reach, reach, "RdBu_r"
    return {"cmap": colormaps[colours].with_extremes(bad=bad), "vmin": low, "vmax": max(high, low + 1e-30)}
