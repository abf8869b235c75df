"""Endless signals: a model that takes its input chunk by chunk and answers as if all had come at once.

stream    a model, live            whole    a long recording or an iterable of chunks, in constant memory

A model is taken apart. Sequences go child by child; convolutions, poolings, banks, activations and any module of one's
own are local operations, whose reach along the last axis is found out; recursions go on from their state. A module that
computes what nobody can see through says so itself:

    reach        a property, nd.Reach(stride, before, after): what an output depends on, borders aside
    steps()      what its forward does, one after the other: modules, or pairs of a function and its nd.Reach
    recursive    True: forward(x, state=, return_state=True) goes on from where it stopped; one output per input
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.streaming._refused import in_training
from sigconv.streaming._stream import Stream

__all__ = ["Stream", "stream"]


def stream(
    model: nn.Module,
    *,
    block: int | None = None,
    window: int | None = None,
    hop: int | None = None,
    fs: float | None = None,
    shape: Any = None,
) -> Stream:
    """A model over an endless signal: chunks of any size in, the outputs that are ready out, equal to offline.

    model    of (batch, channels, …, samples), time last: any chain of what is local in time, and PCEN; in eval mode,
             where training changes its answers
    block    samples: chunks are regrouped into blocks of so many from the stream's origin on, so that any chunking
             gives the same bits; adds block - 1 samples of latency at the most
    window   samples: a model of fixed clips, or one that sees all of time, slid over the signal: output j, on a new
    hop      last axis, is model(x[..., j·hop : j·hop + window]); hop is window unless given
    fs       samples per second, for Stream.seconds
    shape    (channels, …) of the input without batch and samples, where it cannot be told from the first layers

    Outputs are the offline ones to rounding, their order of sums being another. What is kept is what coming outputs
    need: the model's reach, and a block. No gradients. A module that sees all of time (global pooling, recurrence,
    attention, normalization over time, a linear layer along it) is refused with its name, ValueError, at once where the
    input's shape can be told, else with the first chunk. Of a module of one's own, shapes and noise tell what it sees:
    one whose answers hang on the signal's length, or on how loud it is, cannot be told from a local one.

    >>> live = stream(nn.Sequential(nn.Conv1d(1, 2, 5, stride=2, padding=2), nn.ReLU()).eval(), fs=8000)
    >>> live.latency, live.seconds, live.stride
    (2, 0.00025, 2)
    >>> live(torch.zeros(1, 1, 7)).shape, live.flush().shape
    (torch.Size([1, 2, 3]), torch.Size([1, 2, 1]))
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}: expected a torch.nn.Module")
    if hop is not None and window is None:
        raise ValueError(f"hop={hop} without window=: a model that is not slid has its own stride")
    if fs is not None and not fs > 0:
        raise ValueError(f"fs={fs} must be above 0 samples per second")
    in_training(model)
    return Stream(model, block, fs, window, hop, shape)


def whole(model: nn.Module | Stream, source: Any, block: int = 65536) -> Any:
    """A whole recording in constant memory, through blocks aligned to its origin: chunked equals whole, to the bit.

    source is an array, read block by block (a memory map too), whose outputs come as one; or an iterable of chunks of
    any sizes, whose outputs come as an iterator. model is a module in eval mode, or a Stream, which keeps its own
    options. Raises what stream raises.

    >>> model = nn.Conv1d(1, 2, 5, padding=2).eval()
    >>> whole(model, torch.zeros(1, 1, 100_000)).shape
    torch.Size([1, 2, 100000])
    """
    live = model if isinstance(model, Stream) else stream(model, block=nd.count(block, "block"))
    live.reset()
    if not isinstance(source, Tensor | np.ndarray):
        return _pieces(live, source)
    cuts = range(0, max(source.shape[-1], 1), block)
    found = list(_pieces(live, (source[..., first : first + block] for first in cuts)))
    return torch.cat(found, -1) if isinstance(source, Tensor) else np.concatenate(found, -1)


def _pieces(live: Stream, chunks: Iterable[Any]) -> Iterator[Any]:
    """The outputs, chunk by chunk, and those at the end."""
    begun = False
    for chunk in chunks:
        begun = True
        y = live(chunk)
        if y.shape[-1]:
            yield y
    if begun:
        yield live.flush()
