"""Pictures that every run's report has: how training went, and what the first convolution came to look for."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sigconv import plot
from sigconv.filters import FilterBank, _pictures

MOST_MODELS, MOST_FILTERS, MOST_ROWS = 12, 64, 12  # that a picture still tells apart; rows of a grid of filters
STYLES: dict[str, Any] = {"train": "--", "valid": "-", "test": ":"}
NOT_MEASURED = {"model", "epoch", "step", "lr", "seconds"}


def curves(rows: Iterable[dict[str, Any]]) -> Any:
    """A figure of how training went, one panel for each kind of figure: losses, accuracies, …, and the learning rate.

    rows are a job's: model, epoch, and figures called <part>_<kind>, such as train_loss and valid_iou. Colours tell
    models, line styles parts; a dot stands at each model's best epoch: that of the highest valid_<kind> measured first
    beside the loss, equal ones by the lower loss, or else of the lowest valid_loss. Models whose names differ by a
    number at the end (pretrained-0, pretrained-1) are one band, from the least to the most, about their median.

    None where no model was measured twice, or where more than twelve models would have to be told apart.

    >>> rows = [{"model": "a", "epoch": n, "train_loss": 1 / n, "valid_loss": 2 / n} for n in (1, 2)]
    >>> [ax.get_title() for ax in curves(rows).axes]
    ['loss']
    >>> curves(rows[:1]) is None
    True
    """
    rows = [row for row in rows if "model" in row and "epoch" in row]
    models: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        models.setdefault(str(row["model"]), []).append(row)
    names = _families(list(models))
    kinds = _kinds(rows)
    if len(names) > MOST_MODELS or not kinds or max(map(len, models.values())) < 2:
        return None
    from matplotlib.figure import Figure

    wide = min(len(kinds), 2)
    tall = -(-len(kinds) // wide)
    figure = Figure(figsize=(5.4 * wide, 3.6 * tall + 0.4), layout="constrained")
    grid = list(figure.subplots(tall, wide, squeeze=False).flat)
    for ax in grid:
        ax.set_visible(False)
    for ax, (kind, keys) in zip(grid, kinds.items(), strict=False):
        ax.set_visible(True)
        for place, family in enumerate(names.values()):
            colour = plot.COLOURS[place % len(plot.COLOURS)]
            for part, key in keys.items():
                _line(ax, [models[name] for name in family], part, key, colour, heavy=place < len(plot.COLOURS))
        _dressed(ax, kind)
    _legend(figure, list(names), kinds)
    return figure


def best_epoch(rows: list[dict[str, Any]]) -> tuple[int, str] | None:
    """The epoch of a model's rows that validation finds best, and by what: (epoch, "valid_accuracy"); None without any.

    >>> best_epoch([{"epoch": 1, "valid_loss": 0.5}, {"epoch": 2, "valid_loss": 0.7}])
    (1, 'valid_loss')
    """
    keys = [key for row in rows for key in row if key.startswith("valid_") and key != "valid_loss"]
    key = keys[0] if keys else "valid_loss"
    sign = 1 if keys else -1
    found = [row for row in rows if _number(row.get(key))]
    if not found:
        return None
    best = max(found, key=lambda row: (sign * row[key], -_or_infinite(row.get("valid_loss"))))
    return int(best["epoch"]), key


def first_layer(model: nn.Module) -> Any:
    """A figure of the kernels of a model's first convolution or filter bank: what it looks for. None where it has none.

    Drawn as plot.weights has it: signals as traces, images as pictures (in colour, where they have three channels),
    volumes slice by slice; several input channels as a grid, or the rows of a picture of signals. The first is the
    first registered; convolutions of one tap, which mix channels and look for nothing, are passed over. At most 64
    filters, those of the largest norm, or 12 of a grid; any dtype and device.

    >>> first_layer(nn.Sequential(nn.Conv1d(1, 4, 5), nn.Conv1d(4, 4, 3))).axes[0].get_title()
    'layer 0: 4 filters of 5 taps'
    >>> first_layer(nn.Linear(2, 2)) is None
    True
    """
    return _layer(model, 0)


def second_layer(model: nn.Module) -> Any:
    """A figure of the kernels of the convolution after the first, drawn likewise: what it makes of the first's answers.

    >>> second_layer(nn.Sequential(nn.Conv2d(1, 4, 5), nn.Conv2d(4, 20, 3))).axes[0].get_title()
    'layer 1: 20 filters of 3 x 3 taps; 12 of them, channels to the right'
    >>> second_layer(nn.Conv2d(1, 4, 5)) is None
    True
    """
    return _layer(model, 1)


def _layer(model: nn.Module, place: int) -> Any:
    """The weights of one of the layers that have kernels, in the order in which they are registered."""
    several = ((name, made) for name, layer in model.named_modules() if (made := kernels(layer)) is not None)
    found = next(itertools.islice(several, place, None), None)
    if found is None:
        return None
    name, drawn = found
    inside, size = drawn.shape[1], drawn.shape[2:]
    where = f"layer {name}" if name else type(model).__name__
    title = f"{where}: {len(drawn)} filters of {' x '.join(map(str, size))} taps"
    coloured = inside == 3 and len(size) > 1
    grid = inside > 1 and len(size) > 1 and not coloured
    most = MOST_ROWS if grid else MOST_FILTERS
    if len(drawn) > most:
        title += f"; {most} of them"
    if inside > 1:
        title += ", in colour" if coloured else ", channels to the right" if grid else ", channels downwards"
    figure, ax = plot.weights(drawn, most=most)
    ax.set_title(title, fontsize=10)
    return figure


def kernels(layer: nn.Module) -> np.ndarray | None:
    """A layer's kernels (filters, channels, *size), if it is a convolution of more than one tap, or a bank."""
    if isinstance(layer, FilterBank):
        with torch.no_grad():
            made = layer.kernels if layer.kernel_size is not None else layer.kernels_for(_pictures.GRID)
        return np.asarray(made.detach().cpu().numpy()).real[:, None]
    weight, size = getattr(layer, "weight", None), getattr(layer, "kernel_size", None)
    if not isinstance(weight, Tensor) or isinstance(weight, nn.UninitializedParameter) or not isinstance(size, tuple):
        return None
    transposed = getattr(layer, "transposed", False) or not getattr(layer, "outwards", True)
    if transposed or tuple(weight.shape[2:]) != size or math.prod(size) < 2 or len(size) > 4 or not weight.numel():
        return None
    weight = weight.detach().cpu()
    kernels = (weight.real if weight.is_complex() else weight).double().numpy()
    return kernels if np.isfinite(kernels).all() else None


def _families(models: list[str]) -> dict[str, list[str]]:
    """Models by what they are called but for numbers at the end: repeats of one thing."""
    found: dict[str, list[str]] = {}
    for name in models:
        found.setdefault(re.sub(r"([-_ ]\d+)+$", "", name) or name, []).append(name)
    return {(family if len(names) > 1 else names[0]): names for family, names in found.items()}


def _kinds(rows: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """{kind: {part: key}} of all that was measured; the learning rate where it changes."""
    keys = dict.fromkeys(key for row in rows for key in row if key not in NOT_MEASURED and _number(row[key]))
    parts = list(dict.fromkeys([*STYLES, *(key[: -len("_loss")] for key in keys if key.endswith("_loss"))]))
    kinds: dict[str, dict[str, str]] = {}
    for key in keys:
        part = max((part for part in parts if key.startswith(f"{part}_")), key=len, default=None)
        if part is not None:
            kinds.setdefault(key[len(part) + 1 :], {})[part] = key
    if len({row.get("lr") for row in rows}) > len({row["model"] for row in rows}) and all(
        _number(row.get("lr")) for row in rows
    ):
        kinds["learning rate"] = {"": "lr"}
    return kinds


def _line(ax: Any, repeats: list[list[dict[str, Any]]], part: str, key: str, colour: str, *, heavy: bool) -> None:
    """A model's curve, with a dot at its best epoch; of repeats their median in a band from the least to the most."""
    style = STYLES.get(part, "-." if part else "-")
    options = {"color": colour, "linestyle": style, "linewidth": 1.6 if heavy else 0.9}
    measured = [{row["epoch"]: row[key] for row in rows if _number(row.get(key))} for rows in repeats]
    epochs = sorted({epoch for values in measured for epoch in values})
    if not epochs:
        return
    at = [np.array([values[epoch] for values in measured if epoch in values]) for epoch in epochs]
    middle = np.array([np.median(values) for values in at])
    ax.plot(epochs, middle, marker="o" if len(epochs) == 1 else None, **options)
    if len(repeats) > 1:
        ax.fill_between(epochs, [v.min() for v in at], [v.max() for v in at], color=colour, alpha=0.15, linewidth=0)
        return
    best = best_epoch(repeats[0])
    if part == "valid" and best is not None and best[0] in measured[0]:
        ax.plot(best[0], measured[0][best[0]], "o", color=colour, markersize=6, markeredgecolor="white", zorder=3)


def _dressed(ax: Any, kind: str) -> None:
    """Title, grid and scale: logarithmic where values are a hundredfold apart, as losses of several kinds are."""
    values = np.concatenate([np.asarray(line.get_ydata(), float) for line in ax.lines] or [np.ones(1)])
    ax.set(title=kind.replace("_", " "), xlabel="epoch")
    ax.grid(alpha=0.3)
    if kind == "loss" and values.min() > 0 and values.max() > 100 * values.min():
        ax.set_yscale("log")
    ax.xaxis.get_major_locator().set_params(integer=True)


def _legend(figure: Any, names: list[str], kinds: dict[str, dict[str, str]]) -> None:
    """Models by colour, parts by style and the best epoch's dot, once for all panels."""
    from matplotlib.lines import Line2D

    handles = []
    if len(names) > 1:
        for place, name in enumerate(names):
            width = 1.6 if place < len(plot.COLOURS) else 0.9
            handles.append(Line2D([], [], color=plot.COLOURS[place % len(plot.COLOURS)], linewidth=width, label=name))
    parts = dict.fromkeys(part for keys in kinds.values() for part in keys if part)
    grey = plot.COLOURS[0] if len(names) == 1 else "dimgrey"
    handles += [Line2D([], [], color=grey, linestyle=STYLES.get(part, "-."), label=part) for part in parts]
    if "valid" in parts:
        handles.append(Line2D([], [], color=grey, marker="o", linestyle="", label="best on valid"))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 7), frameon=False, fontsize=9)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _or_infinite(value: Any) -> float:
    return float(value) if _number(value) else math.inf
