"""What a trained network looks at: pictures for the report that a run can do without."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sigconv import console, explain, plot
from sigconv.explain._reached import reached
from sigconv.summary import receptive_field
from sigconv.train import pictures
from sigconv.train.job import Job

MOST_ITEMS, MOST_SAMPLES = 500, 1_000_000  # that are looked through: of volumes fewer than of images
MOST_CHANNELS, MOST_CLASSES = 6, 12  # that are drawn
STEPS = 60  # of a fantasy: it is no finer than what is seen


def looks(job: Job, model: nn.Module, part: Any) -> None:
    """Put what a classifier looks at into the report, under a heading of its own; the first layer is there already.

    second_layer      the weights of its second layer
    strongest_inputs  what some channels of a deep layer answer most strongly, and what in it the answer rests on
    fantasies         for each class the input that it would like best

    part is a data set of floating items (channels, *space), in any number of axes, such as a test set; its classes name
    the model's outputs. What cannot be drawn of a model, as a rule for ReLU of one without, is said in log.txt, and
    nothing is drawn without a folder: no run is lost by its pictures.
    """
    if job.folder is None or job.strategy == "fsdp":
        return
    some = functools.cache(lambda: _some(part))
    drawings: dict[str, Callable[[], Any]] = {
        "second_layer": lambda: pictures.second_layer(model),
        "strongest_inputs": lambda: strongest_inputs(model, some()),
        "fantasies": lambda: fantasies(model, some(), part.classes),
    }
    for name, draw in drawings.items():
        try:
            figure = draw()
            if figure is not None:
                job.picture(name, figure)
        except Exception as error:  # of whatever kind: what was trained and measured is worth more
            job.say(f"{name} was not drawn: {console.one_line(error)}", aloud=False)


def _some(part: Any) -> torch.Tensor:
    """The first items, so many that the work is bounded."""
    most = min(len(part), MOST_ITEMS, max(MOST_SAMPLES // max(part.item(0)[0].numel(), 1), 1))
    return torch.stack([part.item(n)[0] for n in range(most)])


def strongest_inputs(model: nn.Module, x: Tensor) -> Any:
    """Six channels' strongest crops of x, with deconvnet's and guided maps; None for a model of one layer or none.

    The layer is the deepest convolution that sees less than all of an input; ValueError for a model without ReLU.

    >>> net = nn.Sequential(nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Conv1d(4, 2, 3), nn.ReLU(), nn.Flatten())
    >>> _ = torch.manual_seed(0)
    >>> [ax.get_title() for ax in strongest_inputs(net, torch.randn(9, 1, 12)).axes[:3]]
    ['crop', 'deconvnet', 'guided']
    """
    node = _deepest(model, x)
    if node is None:
        return None
    found = [patch for patches in explain.top_patches(model, x, node, k=1) for patch in patches]
    best = sorted(found, key=lambda patch: -patch.value)[:MOST_CHANNELS]
    seen, channels = torch.stack([x[patch.item] for patch in best]), [patch.channel for patch in best]
    answers, crops = Channels(model, node), [np.asarray(patch.crop) for patch in best]

    def cut(rule: str) -> list[np.ndarray]:
        signed = explain.saliency(answers, seen, channels, rule).detach().cpu().numpy()
        return [patch.cut(one) for one, patch in zip(signed, best, strict=True)]

    names = [f"channel {n}" for n in channels]
    title = f"layer {node}: the strongest inputs of {len(best)} channels"
    return plot.triptychs(crops, cut("deconvnet"), cut("guided"), names, title=title)[0]


def fantasies(model: nn.Module, x: Tensor, classes: Any) -> Any:
    """For each class, of twelve at most, the input that it would like best, climbed to from noise as loud as x is.

    A net may be deaf to fainter noise: every unit of a layer at rest, and no way up.

    >>> net = nn.Sequential(nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 2))
    >>> fantasies(net, torch.randn(9, 1, 8), ("up", "down")).axes[0].get_title()
    'what each class would like best'
    """
    names = [str(name) for name in classes][:MOST_CLASSES]
    start = x.std() * torch.randn(x.shape[1:], generator=torch.Generator().manual_seed(0), dtype=x.dtype)
    made = explain.fantasy(model, x.shape[1:], list(range(len(names))), steps=STEPS, start=start)
    drawn, title = made.detach().cpu().numpy(), "what each class would like best"
    if drawn.shape[1] == 1:  # volumes by their middle slices: of each there are too many
        return plot.maps(drawn[:, 0], names, title=title)[0]
    return plot.weights(drawn, names, most=len(names), title=title)[0]


class Channels(nn.Module):
    """(batch, channels): the strongest answer of each channel of one layer of a model."""

    def __init__(self, model: nn.Module, node: str) -> None:
        super().__init__()
        self.model, self.node = model, node

    def forward(self, x: Tensor) -> Tensor:
        """What the layer answers most strongly anywhere."""
        return reached(self.model, self.node, x).flatten(2).amax(2)


def _deepest(model: nn.Module, x: Tensor) -> str | None:
    """The last convolution but the first that sees less than an input, whole positions of it."""
    layers = [name for name, layer in model.named_modules() if pictures.kernels(layer) is not None]
    for name in reversed(layers[1:]):
        size = receptive_field(model, node=name, input_shape=(1, *x.shape[1:]), dtype=x.dtype).size
        if all(n <= whole for n, whole in zip(size, x.shape[2:], strict=True)):
            return name
    return None
