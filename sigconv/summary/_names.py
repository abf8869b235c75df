"""Which rule is whose, by a function's name; what keeps to its place says torch's own list, and the one here."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch

from sigconv.summary import _rules
from sigconv.summary._calls import NDIMS, ORDER, Call
from sigconv.summary._mixing import COSTS, mixes

OURS = ("max_pool", "avg_pool", "lp_pool", "lse_pool", "softmax_pool", "stochastic_pool")
RULES: dict[str, Callable[[Call], _rules.Found]] = {
    **dict.fromkeys((*(f"conv{n}" for n in NDIMS), "conv", "masked_conv"), _rules.conv),
    **dict.fromkeys((*(f"conv_transpose{n}" for n in NDIMS), "conv_transpose"), _rules.conv_transpose),
    **dict.fromkeys((*(name for name in ORDER if "pool" in name), *OURS), _rules.pool),
    **dict.fromkeys(("interpolate", "upsample", "max_unpool", "fractional_max_pool"), _rules.resize),
    **dict.fromkeys((f"adaptive_{kind}_pool{n}" for kind in ("avg", "max") for n in (*NDIMS, "")), _rules.resize),
    **dict.fromkeys(("blur_pool", "max_blur_pool"), _rules.blur),
    **dict.fromkeys(("linear", "matmul", "mm", "bmm", "addmm", "baddbmm"), _rules.dense),
    **dict.fromkeys(("permute", "movedim", "transpose", "swapaxes", "moveaxis", "swapdims"), _rules.turned),
    **dict.fromkeys(("T", "mT", "H", "mH", "t"), _rules.turned),
    **dict.fromkeys(("softmax", "log_softmax", "cumsum", "cumprod", "flip", "sort", "roll"), _rules.mixing),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "max", "min", "logsumexp", "std", "var", "norm"), _rules.summed),
    **dict.fromkeys(COSTS, mixes),
    "conv_max": _rules.conv_max,
    "pad": _rules.pad,
    "__getitem__": _rules.cut,
}
# what keeps to its place beside torch's pointwise functions; statistics of a normalization are not counted as seen
PLACED = {"batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "local_response_norm", "embedding"}
PLACED |= {"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout", "prelu", "rrelu"}
PLACED |= {"selu", "celu", "relu6", "hardswish", "logsigmoid", "softsign", "tanhshrink", "glu", "threshold"}
PLACED |= {"cat", "concat", "concatenate", "stack", "split", "chunk", "unbind", "tensor_split", "where", "one_hot"}
PLACED |= {
    "flatten",
    "reshape",
    "view",
    "view_as",
    "reshape_as",
    "unflatten",
    "squeeze",
    "unsqueeze",
    "narrow",
    "select",
}
PLACED |= {"expand", "expand_as", "clone", "detach", "contiguous", "to", "type", "type_as", "float", "double", "half"}
PLACED |= {"bfloat16", "long", "int", "bool", "complex", "cpu", "cuda", "data", "real", "imag", "view_as_real"}
PLACED |= {"view_as_complex", "requires_grad", "channel_shuffle", "alias"}
PLACED |= {"truediv", "rtruediv", "fill", "zero", "copy"}


def rule_of(call: Call) -> Callable[[Call], _rules.Found]:
    """The rule for a call; what no rule knows sees everything, unless it keeps to its place."""
    return RULES.get(call.name) or (_rules.other if keeps_its_place(call.name) else _rules.everything)


@functools.cache
def keeps_its_place(name: str) -> bool:
    """Whether a function makes each of its values from those at the same place.

    >>> keeps_its_place("relu_"), keeps_its_place("__iadd__"), keeps_its_place("roll")
    (True, True, False)
    """
    word = name.strip("_")
    for op in (name, word, word.removeprefix("i"), word.removeprefix("r")):
        packet = getattr(torch.ops.aten, op, None) if op else None
        known = packet.overloads() if isinstance(packet, torch._ops.OpOverloadPacket) else []
        if any(torch.Tag.pointwise in getattr(packet, overload).tags for overload in known):
            return True
    return word in PLACED
