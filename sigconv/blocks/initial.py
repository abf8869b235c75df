"""Initial values for layers that rectifiers follow (EX15)."""

from __future__ import annotations

from typing import Literal, TypeVar

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from sigconv.convolution import Conv

Model = TypeVar("Model", bound=nn.Module)
Fan = Literal["fan_in", "fan_out"]


def he(model: Model, mode: Fan = "fan_in") -> Model:
    """Draw a model's weights as He et al. 2015 do: normal, of variance 2 / fan; no bias, and bn as the identity.

    Convolutions by the mode given, which "fan_out" makes torchvision's; linear layers by what comes in. The model
    itself is returned, changed in place, from torch's generator. The normal(0, 0.01) of papers before 2014 passes a
    signal on at their widths only, and models here come in any.

    >>> he(nn.Linear(4, 2)).bias.tolist()
    [0.0, 0.0]
    """
    for module in model.modules():
        weight = getattr(module, "weight", None)
        if weight is None or weight.is_meta:  # nothing to draw, and torch would load its compiler to do it
            continue
        if isinstance(module, Conv | nn.Linear) and weight.numel():
            fan: Fan = mode if isinstance(module, Conv) else "fan_in"
            nn.init.kaiming_normal_(module.weight, mode=fan, nonlinearity="relu")
        elif isinstance(module, _BatchNorm) and module.affine:
            nn.init.ones_(module.weight)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    return model
