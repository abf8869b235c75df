"""GoogLeNet: nine inception modules between a stem and a mean, 22 layers, two auxiliary classifiers (AR12, E23)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from sigconv import nd
from sigconv.blocks import Inception, LocalResponseNorm, Stage, he
from sigconv.blocks import activation as activated
from sigconv.models._common import recorded, scaled
from sigconv.pooling import AdaptiveAvgPool, AvgPool, MaxPool

MODULES = {  # 1x1, 3x3 reduced, 3x3, 5x5 reduced, 5x5, pool projected
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
VARIANTS = ("paper", "torchvision", "5x5-bn")
SIZE = 224
SMALLEST = 47  # three positions are left for the last pooling, and two behind it for the statistics of bn
WEIGHT = 0.3  # of an auxiliary loss, in the paper


class Outputs(NamedTuple):
    """What a GoogLeNet with auxiliary classifiers gives in training: (batch, classes) each."""

    logits: Tensor
    aux1: Tensor
    aux2: Tensor


def loss(outputs: Tensor | Outputs, target: Tensor, weight: float = WEIGHT) -> Tensor:
    """Cross-entropy of the answer, and of the auxiliary ones by their weight where there are any.

    outputs (batch, classes) or Outputs, target (batch) of class indices -> one number. Source: Szegedy et al. 2015.

    >>> import torch
    >>> x, y = torch.zeros(1, 2), torch.tensor([1])
    >>> round(float(loss(Outputs(x, x, x), y) / loss(x, y)), 4)
    1.6
    """
    if isinstance(outputs, Tensor):
        return F.cross_entropy(outputs, target)
    main, *auxiliary = (F.cross_entropy(logits, target) for logits in outputs)
    return main + weight * sum(auxiliary)


class Auxiliary(nn.Module):
    """A classifier beside the trunk: means over 4 parts an axis, 1x1 to 128, 1024 units, dropout 0.7, classes."""

    def __init__(
        self, in_channels: int, classes: int, *, ndim: int, width: float, activation: Any, **stage: Any
    ) -> None:
        super().__init__()
        channels, units = scaled(128, width), scaled(1024, width)
        self.conv = Stage(in_channels, channels, 1, ndim=ndim, activation=activation, **stage)
        self.fc1 = nn.Linear(channels * 4**ndim, units)
        self.act = activated(activation, units, 0)
        self.drop = nn.Dropout(0.7)
        self.fc2 = nn.Linear(units, classes)
        self.windows = AvgPool(5, 3) if stage["order"] == "conv-act" else None
        self.quarters = AdaptiveAvgPool(4)

    def forward(self, x: Tensor) -> Tensor:
        """The paper's windows, 5 wide and 3 apart, where 14 positions give 4 by them; else the mean of each quarter."""
        pool = self.windows if self.windows is not None and set(x.shape[2:]) == {14} else self.quarters
        x = pool(x)
        return self.fc2(self.drop(self.act(self.fc1(self.conv(x).flatten(1)))))


class GoogLeNet(nn.Module):
    """The network, under torchvision's names; see build."""

    def __init__(
        self,
        variant: str,
        *,
        ndim: int,
        in_channels: int,
        classes: int,
        width: float,
        activation: Any,
        aux: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        paper = variant == "paper"
        order: dict[str, Any] = {"order": "conv-act" if paper else "conv-bn-act", "eps": 1e-3}
        options: dict[str, Any] = {"ndim": ndim, "activation": activation}
        c64, c192 = scaled(64, width), scaled(192, width)
        self.conv1 = Stage(in_channels, c64, 7, stride=2, padding=3, **order, **options)
        self.maxpool1 = MaxPool(3, 2, ceil_mode=True)
        self.norm1: nn.Module = LocalResponseNorm() if paper else nn.Identity()
        self.conv2 = Stage(c64, c64, 1, **order, **options)
        self.conv3 = Stage(c64, c192, 3, padding=1, **order, **options)
        self.norm2: nn.Module = LocalResponseNorm() if paper else nn.Identity()
        self.maxpool2 = MaxPool(3, 2, ceil_mode=True)
        channels, inputs = c192, {}
        kind: dict[str, Any] = {"five": 3 if variant == "torchvision" else 5, "batch_norm": not paper}
        inception: Callable[..., Inception] = functools.partial(Inception, **kind, **options)
        for name, counts in MODULES.items():
            module = inception(channels, *(scaled(count, width) for count in counts))
            self.add_module(f"inception{name}", module)
            channels = inputs[name] = module.out_channels
        self.maxpool3 = MaxPool(3, 2, ceil_mode=True)
        self.maxpool4 = MaxPool(3 if paper else 2, 2, ceil_mode=True)
        heads = {"width": width, **order, **options}
        self.aux1 = Auxiliary(inputs["4a"], classes, **heads) if aux else None
        self.aux2 = Auxiliary(inputs["4d"], classes, **heads) if aux else None
        self.avgpool = AdaptiveAvgPool(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor | Outputs:
        """The logits; in training with auxiliary classifiers, Outputs."""
        x = self.norm1(self.maxpool1(self.conv1(x)))
        x = self.maxpool2(self.norm2(self.conv3(self.conv2(x))))
        x = self.maxpool3(self._through(x, "3a", "3b"))
        first = x = self._through(x, "4a")
        second = x = self._through(x, "4b", "4c", "4d")
        x = self._through(self.maxpool4(self._through(x, "4e")), "5a", "5b")
        logits = self.fc(self.dropout(self.avgpool(x).flatten(1)))
        if not self.training or self.aux1 is None or self.aux2 is None:
            return logits
        return Outputs(logits, self.aux1(first), self.aux2(second))

    def _through(self, x: Tensor, *modules: str) -> Tensor:
        """These inception modules, one after the other."""
        for name in modules:
            x = self.get_submodule(f"inception{name}")(x)
        return x


@recorded
def build(
    variant: str = "paper",
    *,
    ndim: int = 2,
    in_channels: int = 3,
    classes: int = 1000,
    width: float = 1.0,
    activation: Any = "relu",
    aux: bool = False,
    dropout: float | None = None,
) -> GoogLeNet:
    """GoogLeNet: of the "paper" (biases, LRN), of "torchvision" (bn, 3x3 for 5x5: E23), or "5x5-bn", true 5x5 and bn.

    (batch, in_channels, *space) -> (batch, classes); with aux=True in training Outputs of three such, which `loss`
    takes. dropout 0.4 in the paper, 0.2 in torchvision. torchvision's published weights expect values scaled from 0..1
    to -1..1, (x - 0.5) / 0.5, whatever its other models take. Source: Szegedy et al. 2015.

    >>> import torch
    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in build().parameters())
    6998552
    """
    nd.one_of(variant, VARIANTS, "googlenet variant")
    dropout = (0.4 if variant == "paper" else 0.2) if dropout is None else dropout
    options: dict[str, Any] = {
        "ndim": nd.count(ndim, "ndim"),
        "in_channels": in_channels,
        "classes": classes,
        "width": width,
    }
    return he(GoogLeNet(variant, activation=activation, aux=aux, dropout=dropout, **options))
