"""What cannot be streamed, and why: one line with the module's name, and what to do instead."""

from __future__ import annotations

from typing import NoReturn

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.dropout import _DropoutNd

from sigconv.pooling import StochasticPool

REMEDY = "stream what stands before it, or slide the whole model over fixed clips with window="

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
    """A module that sees all of time: no shape of input would make it local."""


def refuse(name: str, module: nn.Module, why: str) -> NoReturn:
    """Say so."""
    raise Refused(f"{name} ({type(module).__name__}) {why}: {REMEDY}")


def by_name(name: str, module: nn.Module) -> None:
    """Refuse what is known to be global over time, in the module or anywhere inside it."""
    for inner, part in module.named_modules():
        where = f"{name}.{inner}" if inner else name
        why = next((why for kind, why in ALONG_TIME.items() if isinstance(part, kind)), None)
        if not inner and why is None:
            why = next((why for kind, why in STATISTICS.items() if isinstance(part, kind)), None)
        if isinstance(part, _NormBase) and part.running_mean is None:
            kind = "the batch and time" if isinstance(part, _BatchNorm) else "time"
            why = f"normalizes by statistics over {kind}"
        if getattr(part, "strict", False) is True:
            why = "is strict about the signal's length, which no stream knows"
        if why is not None:
            refuse(where, part, why)


def in_training(model: nn.Module) -> None:
    """Refuse a model that answers otherwise while it trains: one that drops out, draws, or follows a batch.

    Of torch's modules and ours it is known which do; any other may.
    """
    own = ("torch.nn.", "sigconv.")
    for name, part in model.named_modules():
        known = type(part).__module__.startswith(own) and not isinstance(part, OTHERWISE)
        if known or not part.training:
            continue
        raise ValueError(f"{name or 'the model'} is in training mode: call model.eval() before it is streamed")


def culprits(module: nn.Module) -> str:
    """The normalizations a module holds, as the likely reason why it is not local."""
    kinds = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, _NormBase)
    found = [f"{name} ({type(part).__name__})" for name, part in module.named_modules() if isinstance(part, kinds)]
    found = [word for word in found if "BatchNorm" not in word]
    return f"; it holds {', '.join(found)}" if found else ""
