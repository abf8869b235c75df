"""Models: one architecture a file, each in any number of axes, with exactly the published numbers of parameters.

    from sigconv import models
    net = models.vgg.build("D", ndim=3, in_channels=1, classes=2, width=1 / 4)
    net = models.build("resnet:50", ndim=1)
    models.save_pretrained(net, "folder")
    net = models.from_pretrained("folder")
    models.export(net, "net.pt2", (1, 3, 224))

A model is a file here whose name has no underscore; it is found by that, and so met by the family's contract tests and
the command line. It defines

    VARIANTS    the names build takes first; the first of them is the default
    SIZE        the published input, samples along an axis: a number, (first, others), a function of ndim that says so,
                or a dict of those by variant
    SMALLEST    the smallest legal input, likewise
    USUAL       where variants differ in what is usual: {option whose default is None: a fact as SIZE is}
    build(variant=VARIANTS[0], *, ndim=2, in_channels=3, classes=1000, width=1.0, activation="relu", …) -> nn.Module
"""

from __future__ import annotations

from typing import Any

from sigconv.convolution import to_conv, to_dense
from sigconv.models._discovery import architecture, build, input_shape, names, read
from sigconv.models._export import Exported, export
from sigconv.models._milestones import MILESTONES
from sigconv.models._pattern import from_pattern
from sigconv.models._pretrained import from_pretrained, load_weights, push_to_hub, save_pretrained
from sigconv.models._record import usual_shape

__all__ = [
    "MILESTONES",
    "Exported",
    "architecture",
    "build",
    "export",
    "from_pattern",
    "from_pretrained",
    "input_shape",
    "load_weights",
    "names",
    "push_to_hub",
    "read",
    "save_pretrained",
    "to_conv",
    "to_dense",
    "usual_shape",
]


def __getattr__(name: str) -> Any:
    if not name.startswith("_") and name in names():
        return architecture(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
