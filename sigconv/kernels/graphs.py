"""CUDA graphs for small calls that are made again and again: on a GPU most of their time is spent before they begin.

A graph is the work of one call, recorded once and then launched whole. It reads and writes the memory it was recorded
with: inputs are copied there, answers from there, and what a module holds must still lie where it lay.
"""

from __future__ import annotations

import contextlib
import threading
import types
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import console
from sigconv.kernels import precise
from sigconv.kernels._state import hidden, readable

WARM = 2  # calls before a recording: libraries choose their ways and lay out their memory in them
REMEMBERED = 64  # calls of other kinds that are remembered, to be recorded if they come again
AGAIN = 16  # calls of a kind whose recording was dropped, before it is recorded again
PLAIN = (int, float, complex, str, types.NoneType, torch.dtype, torch.device)  # bool is an int
TENSORS = (Tensor, nn.Parameter)  # kinds of tensors that are nothing else besides


def graphed(function: Callable[..., Any], *examples: Any, most: int = 8) -> Graphed:
    """A function or module that answers from CUDA graphs where it can, and is called plainly wherever it cannot.

    function   of tensors on one GPU, and of plain values, to a tensor or to tuples, lists or dicts of them
    examples   inputs to be recorded at once; else a call is recorded when its like is made for the second time
    most       recordings kept, one for each combination of shapes, dtypes and plain values: the least used is dropped

    Answers are those of the plain call, in memory of their own. Called plainly: what is on a CPU, wants gradients
    (use torch.no_grad()), is in training mode, or is compiled or transformed; and from then on, after one warning,
    calls of a kind that cannot be recorded, as what looks at values. A module's weights may change, in place or by
    others; all else a function reads, a module's options too, must stay as it is and where it is, and what it does
    besides answering (prints, counts) is not done again.
    Random numbers are drawn anew. As in every graph auto takes methods that need no look at values, and spectra asked
    for by name are not mended where x is not finite.

    >>> double = graphed(lambda x: 2 * x)
    >>> double(torch.ones(3))
    tensor([2., 2., 2.])
    """
    if not callable(function):
        raise TypeError(f"function is a {type(function).__name__}: expected a function or a module")
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise ValueError(f"most {most!r} must be a whole number, at least 1")
    made = Graphed(function, most)
    if examples:
        made.record(*examples)
    return made


class Graphed(nn.Module):
    """What graphed gives: called like the function or module it was made of, which .function is.

    It may stand in another module: its weights are that one's. Copies and what is saved are without recordings.
    """

    def __init__(self, function: Callable[..., Any], most: int) -> None:
        super().__init__()
        self.function, self.most = function, most
        self._kept: OrderedDict[Any, Replay] = OrderedDict()
        self._seen: OrderedDict[Any, int] = OrderedDict()  # calls of a kind; below 0: so many before it counts anew
        self._refused: OrderedDict[Any, None] = OrderedDict()
        self._lock = threading.Lock()  # one memory, one call at a time
        self._warned = False

    def __reduce__(self) -> tuple[Any, ...]:
        return Graphed, (self.function, self.most)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """The function's answer."""
        given = [*inputs, *options.values()]
        key = self._key(given, (len(inputs), *options))
        if key is None:
            return self.function(*inputs, **options)
        with self._lock:
            replay = self._kept.get(key)
            if replay is None and self._seen.get(key, 0) > 0 and key not in self._refused:
                replay = self._recorded(key, inputs, options)
            if replay is not None:
                self._kept.move_to_end(key)
                return replay(given)
        answer = self.function(*inputs, **options)
        with self._lock:  # only now: a call that fails is none to be recorded
            self._seen[key] = self._seen.pop(key, 0) + 1
            _shorten(self._seen, REMEMBERED)
        return answer

    def record(self, *inputs: Any, **options: Any) -> None:
        """Record calls like this one, if they can be."""
        key = self._key([*inputs, *options.values()], (len(inputs), *options))
        if key is not None:
            with self._lock:
                if key not in self._kept:
                    self._recorded(key, inputs, options)

    def _recorded(self, key: Any, inputs: tuple[Any, ...], options: dict[str, Any]) -> Replay | None:
        """A recording, kept; None where there can be none."""
        try:
            replay = Replay(self.function, inputs, options)
        except Exception as error:  # of whatever the function calls: the plain call says what is wrong, if anything is
            self._refused[key] = None
            _shorten(self._refused, REMEMBERED)
            self._warn(console.one_line(error.__context__ or error, 200))
            return None
        self._kept[key] = replay
        for old, dropped in _shorten(self._kept, self.most):
            dropped.work.end()
            self._seen[old] = -AGAIN  # or shapes in turn, one too many, would all be recorded again and again
        return replay

    def _warn(self, why: str) -> None:
        """Once, however many kinds of calls there are."""
        if not self._warned:
            self._warned = True
            named = getattr(self.function, "__name__", type(self.function).__name__)
            warnings.warn(f"{named} is called plainly where no CUDA graph holds it ({why})", stacklevel=4)

    def _key(self, given: list[Any], names: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """All that a recording depends on, beside the values of tensors; None where a call cannot be one."""
        tensors = [value for value in given if isinstance(value, Tensor)]
        if not tensors or not _on_one_gpu(tensors) or not all(map(_simple, given)):
            return None
        held = self._held()
        if held is None or not readable(*tensors):
            return None
        if torch.is_grad_enabled() and any(t.requires_grad for t in (*tensors, *held)):
            return None
        plain = [repr(value) for value in given if not isinstance(value, Tensor)]  # 1, 1.0 and True are equal
        where = [isinstance(value, Tensor) for value in given]
        lies = [(t.shape, t.stride(), t.dtype, t.device) for t in tensors]
        held_at = [(t.data_ptr(), t.shape, t.stride(), t.dtype) for t in held]
        return names, tuple(where), tuple(plain), tuple(lies), tuple(held_at), _switches()

    def _held(self) -> list[Tensor] | None:
        """Weights and buffers of a module; None where it is training, or one of them is not simply a tensor."""
        found: list[Tensor] = []
        waiting = [self.function] if isinstance(self.function, nn.Module) else []
        while waiting:  # by hand: modules() and parameters() take several times as long
            part = waiting.pop()
            if part.training:
                return None
            found += [t for t in part._parameters.values() if t is not None]
            found += [t for t in part._buffers.values() if t is not None]
            waiting += [inner for inner in part._modules.values() if inner is not None]
        return found if all(type(t) in TENSORS for t in found) else None


class Replay:
    """One recording: the memory its inputs are read from, its work, and the memory its answers are written to."""

    def __init__(self, function: Callable[..., Any], inputs: tuple[Any, ...], options: dict[str, Any]) -> None:
        given = [*inputs, *options.values()]
        self.inputs = [torch.empty_like(value) if isinstance(value, Tensor) else value for value in given]
        self._fill(given)
        named = dict(zip(options, self.inputs[len(inputs) :], strict=True))
        (device,) = {value.device for value in given if isinstance(value, Tensor)}
        self.work = Work(lambda: function(*self.inputs[: len(inputs)], **named), device)
        if any(answer.requires_grad for answer in _answers(self.work.answer)):
            raise TypeError("its answer wants gradients: call it under torch.no_grad()")

    def _fill(self, given: list[Any]) -> None:
        for own, value in zip(self.inputs, given, strict=True):
            if isinstance(own, Tensor):
                own.copy_(value)

    def __call__(self, given: list[Any]) -> Any:
        with torch.no_grad(), self.work.alone():
            self._fill(given)
            self.work.replay()
            return _copied(self.work.answer)


class Work:
    """What a call does on its device, captured as a CUDA graph."""

    def __init__(self, run: Callable[[], Any], device: torch.device) -> None:
        self.device, self.done, graph = device, torch.cuda.Event(), torch.cuda.CUDAGraph()
        self.replay: Callable[[], Any] = graph.replay
        with torch.cuda.device(device):
            here, beside = torch.cuda.current_stream(), torch.cuda.Stream()
            with torch.cuda.stream(here), _cast_anew():  # a capture that fails leaves another stream behind
                beside.wait_stream(here)
                with torch.cuda.stream(beside), hidden():
                    for _ in range(WARM):
                        run()
                here.wait_stream(beside)
                with torch.cuda.graph(graph, stream=beside, capture_error_mode="thread_local"):
                    self.answer = run()
            self.done.record(here)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """After the replay before, be it on another stream: their memory is the same."""
        with torch.cuda.device(self.device):
            stream = torch.cuda.current_stream()
            stream.wait_event(self.done)
            yield
            self.done.record(stream)

    def end(self) -> None:
        """Wait for the last replay, before its memory is given away."""
        self.done.synchronize()


def _switches() -> tuple[Any, ...]:
    """What else decides which work a call is."""
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_autocast_enabled("cuda"),
        torch.get_autocast_dtype("cuda"),
        precise.tf32(),
        precise.precision(getattr(torch.backends.cudnn, "conv", None)),
        precise.precision(torch.backends.cuda.matmul),
    )


def _simple(value: Any) -> bool:
    return type(value) in TENSORS or _plain(value)


def _plain(value: Any) -> bool:
    return isinstance(value, PLAIN) or (type(value) is tuple and all(map(_plain, value)))


def _on_one_gpu(tensors: list[Tensor]) -> bool:
    return all(t.is_cuda and t.layout == torch.strided for t in tensors) and len({t.device for t in tensors}) == 1


def _shorten(kept: OrderedDict[Any, Any], most: int) -> list[tuple[Any, Any]]:
    """What was used least lately, taken out until so many are left: keys and values."""
    return [kept.popitem(last=False) for _ in range(len(kept) - most)]


def _answers(answer: Any) -> Iterator[Tensor]:
    """Every tensor of an answer; TypeError for what cannot be copied."""
    if isinstance(answer, Tensor):
        yield answer
    elif _row(answer):
        for part in answer:
            yield from _answers(part)
    elif type(answer) is dict:  # one with attributes besides would lose them
        yield from _answers(list(answer.values()))
    elif not isinstance(answer, PLAIN):
        raise TypeError(
            f"it answers with a {type(answer).__name__}: expected tensors, or tuples, lists or dicts of them"
        )


def _row(answer: Any) -> bool:
    """Whether it is a tuple or list, one with names, or one of torch's own."""
    kind = type(answer)
    named = isinstance(answer, tuple) and (hasattr(answer, "_fields") or kind.__module__ == "torch.return_types")
    return named or kind in (tuple, list)


def _copied(answer: Any) -> Any:
    """An answer in memory of its own."""
    if isinstance(answer, Tensor):
        return answer.clone()
    if isinstance(answer, dict):
        return {name: _copied(part) for name, part in answer.items()}
    if isinstance(answer, tuple | list):
        parts = [_copied(part) for part in answer]
        return type(answer)(*parts) if hasattr(answer, "_fields") else type(answer)(parts)
    return answer


def _cast_anew() -> contextlib.AbstractContextManager[Any]:
    """Autocast without its memory of weights that were cast: a graph's memory is no one else's."""
    if not torch.is_autocast_enabled("cuda"):
        return contextlib.nullcontext()
    return torch.autocast("cuda", torch.get_autocast_dtype("cuda"), cache_enabled=False)
