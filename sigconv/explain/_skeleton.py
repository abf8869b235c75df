"""A model as what its layers are joined by: every weight a positive number, every choice a mean, every curve a line.

Then nothing cancels, no rectification is dead, no maximum hides what it did not choose, and the gradient reaches the
samples that a position is made of, all of them and no others.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from sigconv import nd
from sigconv.explain._answers import at_rest
from sigconv.pooling import adaptive_avg_pool, avg_pool

WEIGHTED = {f"{kind}{n}d" for kind in ("conv", "conv_transpose") for n in (1, 2, 3)}
WEIGHTED |= {"linear", "conv", "conv_transpose", "masked_conv"}
CURVES = {"relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish", "sigmoid"}
CURVES |= {"tanh", "hardtanh", "hardswish", "hardsigmoid", "softplus", "softsign", "threshold", "logsigmoid"}
CURVES |= {"tanhshrink", "softshrink", "hardshrink", "clamp", "clamp_min", "clamp_max"}
SHARES = {"softmax", "log_softmax", "softmin"}  # each of all along an axis: their sum would be one, and flat
NORMS = {"batch_norm", "instance_norm", "group_norm", "layer_norm", "rms_norm"}  # statistics are not counted as seen
POOL = ["kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"]


class Skeleton(TorchFunctionMode):
    """Meanwhile torch's functions and ours answer as their positive linear stand-ins do; weights come by the seed."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        """Every function of torch that the model calls."""
        return self.stand_in(function, args, kwargs or {})

    def ours(self, function: Callable[..., Any], args: tuple, options: dict[str, Any]) -> Any:
        """Every function of sigconv: by the direct method, for Fourier's leaves roundings where nothing is seen."""
        if options.get("method") != "direct" and "method" in inspect.signature(function).parameters:
            options = {**options, "method": "direct"}
        return self.stand_in(function, args, options)

    def stand_in(self, function: Any, args: tuple, options: dict[str, Any]) -> Any:
        """What a function answers in a skeleton."""
        name = getattr(function, "__name__", "").strip("_")
        x = args[0] if args else options.get("input")
        if not isinstance(x, Tensor) or not x.is_floating_point():
            return function(*args, **options)
        if name in CURVES or name in NORMS:
            return x
        if name in SHARES:
            dim = args[1] if len(args) > 1 else options.get("dim")
            return x + x.mean(dim, keepdim=True) if isinstance(dim, int) else function(*args, **options)
        if name in WEIGHTED:
            args, options = self._weighted(args, options)
            return function(*args, **options)
        if "max_pool" in name and name.startswith(("max_pool", "adaptive_max_pool")):
            return _pooled(function, name, args, options)
        if name in ("amax", "amin", "max", "min", "maximum", "minimum"):
            return _mean(function, args, options)
        return function(*args, **options)

    def _weighted(self, args: tuple, options: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        """The arguments with another weight."""
        if len(args) > 1:
            return (args[0], self.positive(args[1]), *args[2:]), options
        return args, {**options, "weight": self.positive(options.get("weight"))}

    def positive(self, weight: Any) -> Any:
        """Positive random numbers where a weight is not 0, or all of it is; so small that no sum grows without end."""
        if not isinstance(weight, Tensor) or not weight.is_floating_point() or weight.ndim < 2:
            return weight
        drawn = torch.rand(weight.shape, generator=self.generator, dtype=torch.float64) + 0.5
        drawn = (drawn / (weight[0].numel() or 1)).to(weight)
        joined = weight != 0
        return drawn * joined if bool(joined.any()) else drawn


def _pooled(function: Any, name: str, args: tuple, options: dict[str, Any]) -> Any:
    """The mean of the windows a maximum is taken of."""
    x = args[0] if args else options["input"]
    if name.startswith("adaptive"):
        size = args[1] if len(args) > 1 else options["output_size"]
        torch_has = getattr(F, name.replace("max", "avg"), None)
        mean = torch_has(x, size) if torch_has is not None else adaptive_avg_pool(x, size)
        wants = options.get("return_indices", len(args) > 2 and args[2])
    else:
        given = {**dict(zip(POOL, args[1:], strict=False)), **options}
        wants = given.pop("return_indices", False)
        given = {key: value for key, value in given.items() if key != "input" and value is not None}
        mean = avg_pool(x, given.pop("kernel_size"), given.pop("stride", None) or None, **given)
    return (mean, function(*args, **options)[1]) if wants or name.endswith("with_indices") else mean


def _mean(function: Any, args: tuple, options: dict[str, Any]) -> Any:
    """The mean of what the largest or smallest is taken of."""
    x, found = args[0] if args else options["input"], function(*args, **options)
    other = args[1] if len(args) > 1 else options.get("other")
    if isinstance(other, Tensor):
        return (x + other) / 2
    dim = other if other is not None else options.get("dim", ())
    keep = bool(options.get("keepdim", len(args) > 2 and args[2]))
    mean = x.mean(dim, keepdim=keep) if dim != () else x.mean()
    return mean if isinstance(found, Tensor) else type(found)((mean, found[1]))


@contextlib.contextmanager
def skeleton(model: nn.Module, seed: int) -> Iterator[Callable[[Tensor], Any]]:
    """What calls the model's skeleton, in float64 and with a graph; the model and its tensors are left as they are.

    >>> net = nn.Sequential(nn.Conv1d(1, 1, 2), nn.ReLU(), nn.MaxPool1d(2))
    >>> x = torch.ones(1, 1, 3, dtype=torch.float64, requires_grad=True)
    >>> with skeleton(net, 0) as answers:
    ...     (torch.autograd.grad(answers(x).sum(), x)[0] > 0).tolist()
    [[[True, True, True]]]
    """
    state = dict(model.named_parameters()) | dict(model.named_buffers())
    kinds = {torch.complex64: torch.complex128, torch.complex32: torch.complex128}
    wide = {
        name: tensor.detach().to(kinds.get(tensor.dtype, torch.float64))
        for name, tensor in state.items()
        if tensor.is_floating_point() or tensor.is_complex()
    }
    mode = Skeleton(seed)
    still, grad = torch.random.fork_rng(devices=[]), torch.enable_grad()
    with at_rest(model), still, torch.inference_mode(False), grad, nd.watched(mode.ours), mode:
        yield lambda x: torch.func.functional_call(model, wide, (x.clone(),))  # a first layer may work in place
