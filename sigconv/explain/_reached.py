"""What one layer answers first, with the model stopped there; and what a model answers before a final softmax."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from sigconv.explain._answers import asked
from sigconv.explain._nodes import module_of

SQUASHES = (nn.Softmax, nn.LogSoftmax, nn.Sigmoid, nn.LogSigmoid)


class Reached(Exception):  # noqa: N818  not an error: the layer has answered
    """Holds what the layer answered."""

    def __init__(self, out: Any) -> None:
        super().__init__()
        self.out = out


def reached(model: nn.Module, node: str, x: Tensor) -> Tensor:
    """The first answer of a layer to x, part of the graph; what follows is not computed, nor written into it.

    ValueError for a layer there is none of, one that the model does not call, and one that answers with no floating
    tensor.

    >>> import torch
    >>> net = nn.Sequential(nn.Flatten(), nn.ReLU(inplace=True), nn.Linear(9, 2))
    >>> reached(net, "0", -torch.ones(1, 1, 2))
    tensor([[-1., -1.]])
    """

    def stop(module: nn.Module, given: Any, out: Any) -> None:
        raise Reached(out)

    handle = module_of(model, node).register_forward_hook(stop)
    try:
        asked(model, x)
    except Reached as found:
        out = found.out[0] if isinstance(found.out, tuple | list) and found.out else found.out
    else:
        raise ValueError(f"node {node!r} is not called when the model answers: name another layer")
    finally:
        handle.remove()
    if not isinstance(out, Tensor) or not out.is_floating_point() or out.ndim < 1:
        kind = f"{out.dtype} {tuple(out.shape)}" if isinstance(out, Tensor) else f"a {type(out).__name__}"
        raise ValueError(f"node {node or 'the model'!r} answers with {kind}: expected a floating tensor")
    return out


def unsquashed(model: nn.Module, x: Tensor) -> Any:
    """What a model answers to x; where it ends in a softmax or sigmoid layer, what that layer is given.

    >>> import torch
    >>> unsquashed(nn.Sequential(nn.Flatten(), nn.Softmax(1)), torch.tensor([[[1.0, 4.0]]]))
    tensor([[1., 4.]])
    """
    last: list[Any] = [None, None]

    def keep(module: nn.Module, given: Any, out: Any) -> None:
        last[:] = given[0] if given else None, out

    hooks = [module.register_forward_hook(keep) for module in model.modules() if isinstance(module, SQUASHES)]
    try:
        out = asked(model, x)
    finally:
        for hook in hooks:
            hook.remove()
    return last[0] if out is last[1] and last[0] is not None else out
