"""What is not local: layers that see all of an axis, or answer otherwise while they train, told in one line by name."""

from __future__ import annotations

from typing import NamedTuple, NoReturn

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.dropout import _DropoutNd

from sigconv.pooling import StochasticPool
from sigconv.summary._calls import Call

OTHERWISE = (_DropoutNd, _NormBase, nn.RReLU, nn.MultiheadAttention, StochasticPool)  # in training
ALONG_TIME: dict[type[nn.Module], str] = {  # wherever in a model they stand
    nn.RNNBase: "remembers all that was along an axis that is not the last",
    nn.RNNCellBase: "takes one position at a time",
    nn.MultiheadAttention: "looks at all of time",
    nn.Transformer: "looks at all of time",
    nn.TransformerEncoder: "looks at all of time",
    nn.TransformerDecoder: "looks at all of time",
    nn.TransformerEncoderLayer: "looks at all of time",
    nn.TransformerDecoderLayer: "looks at all of time",
}
STATISTICS: dict[type[nn.Module], str] = {  # that may not be of time, inside a module that turns its axes
    nn.LayerNorm: "normalizes by statistics over time",
    nn.GroupNorm: "normalizes by statistics over time",
    nn.RMSNorm: "normalizes by statistics over time",
}


class Refused(ValueError):  # noqa: N818  it is said, not made
    """A module that sees all of an axis: no shape of input would make it local."""


class Use(NamedTuple):
    """What a model is to be used for, in the words of its errors: what is done, and what to do where it cannot be."""

    done: str
    remedy: str

    def refuse(self, name: str, module: nn.Module | str, why: str) -> NoReturn:
        """Say so."""
        kind = module if isinstance(module, str) else type(module).__name__
        raise Refused(f"{name} ({kind}) {why}: {self.remedy}")

    def in_training(self, model: nn.Module) -> None:
        """Refuse a model that answers otherwise while it trains: one that drops out, draws, or follows a batch.

        Of torch's modules and ours it is known which do; any other may.
        """
        for name, part in model.named_modules():
            if part.training and (foreign(part) or isinstance(part, OTHERWISE)):
                where = name or "the model"
                raise ValueError(f"{where} is in training mode: call model.eval() before it is {self.done}")


def foreign(part: nn.Module) -> bool:
    """Whether a module is of nobody's make that is known here."""
    return not type(part).__module__.startswith(("torch.nn.", "sigconv."))


def over_time(part: nn.Module, top: bool) -> str | None:
    """Why a module sees all of the last axis, by what is known of its class; top: it stands in no other."""
    why = next((why for kind, why in ALONG_TIME.items() if isinstance(part, kind)), None)
    if top and why is None:
        why = next((why for kind, why in STATISTICS.items() if isinstance(part, kind)), None)
    if isinstance(part, _NormBase) and part.running_mean is None:
        kind = "the batch and time" if isinstance(part, _BatchNorm) else "time"
        why = f"normalizes by statistics over {kind}"
    if getattr(part, "strict", False) is True:
        why = "is strict about the signal's length, which no stream knows"
    return why


def culprits(module: nn.Module) -> str:
    """The normalizations a module holds, as the likely reason why it is not local."""
    kinds = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, _NormBase)
    held = ((name, type(part).__name__) for name, part in module.named_modules() if name and isinstance(part, kinds))
    found = [f"{name} ({kind})" for name, kind in held if "BatchNorm" not in kind]
    return f"; it holds {', '.join(found)}" if found else ""


def everywhere(call: Call) -> str | None:
    """Why a function's answers hang on all of space, where its receptive field does not tell."""
    moving = [axis.dim for axis in call.seen.axes if axis.dim is not None] if call.seen is not None else []
    if not moving:
        return None
    name, named = call.name, call.named
    over: list[int] = []
    if name == "group_norm" or (name == "instance_norm" and named.get("use_input_stats", True)):
        over = [dim for dim in moving if dim >= 2]
    elif name in ("layer_norm", "rms_norm"):
        shape = named.get("normalized_shape", named.get("1", ()))
        over = [dim for dim in moving if dim >= call.x.ndim - len(shape)]
    elif name == "batch_norm" and named.get("training"):
        over = moving
    if over:
        return "takes statistics over space"
    modes = named.get("padding_mode") or (named.get("mode") if name == "pad" else None)
    if modes == "circular" or (isinstance(modes, tuple | list) and "circular" in modes):
        return "joins the ends (padding_mode 'circular')"
    return "is strict about the size" if named.get("strict") is True else None
