"""Streaming: log-mel and a small network, live in blocks of 10 ms to 1 s, against the same in one piece offline"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import sigconv as sc
from sigconv.benchmarks._race import Case
from sigconv.streaming import Stream
from sigconv.transforms.speech import front_end

CPU_ONLY = "live sound comes in blocks of 10 ms, one small call after another"
FS = 16000
SECONDS = 10  # of sound in every case: 10 s over what a case took is how many times quicker than real time it was
BLOCKS = {"10 ms": 160, "100 ms": 1600, "1 s": 16000}


def cases(device: str) -> list[Case]:
    """A network on log-mel frames and one on raw waves, each at every block; a classifier slid over the sound."""
    torch.manual_seed(0)
    found = []
    for name, model in {"log-mel, 2-D CNN": spectral(), "leaf, dilated": learned(), "raw dilated": raw()}.items():
        found += [_live(name, model.eval().to(device), block, device) for block in BLOCKS]
    return [*found, _slid(device)]


def spectral() -> nn.Sequential:
    """40 bands every 12.5 ms, two convolutions with pooling, an answer every 50 ms."""
    front = front_end("log_mel", FS)
    first = [sc.Conv2d(1, 16, 3, padding="same"), nn.BatchNorm2d(16), nn.ReLU(), sc.MaxPool(2)]
    second = [sc.Conv2d(16, 32, 3, padding="same"), nn.BatchNorm2d(32), nn.ReLU(), sc.MaxPool((20, 2))]
    return nn.Sequential(front, *first, *second, nn.Flatten(1, 2), nn.Conv1d(32, 12, 1))


def learned() -> nn.Sequential:
    """LEAF, whose gain goes on from its state, and a time-delay network over its channels."""
    layers: list[nn.Module] = [front_end("leaf", FS), nn.Flatten(1, 2)]
    for gap in (1, 2, 4):
        layers += [sc.Conv1d(40, 40, 3, padding="causal", dilation=gap), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv1d(40, 12, 1))


def raw() -> nn.Sequential:
    """A strided layer on the wave and eight dilated ones."""
    layers: list[nn.Module] = [sc.Conv1d(1, 32, 80, 16, padding="same"), nn.ReLU()]
    for doubling in range(8):
        layers += [sc.Conv1d(32, 32, 3, padding="causal", dilation=2**doubling), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv1d(32, 12, 1))


def _live(name: str, model: nn.Module, block: str, device: str) -> Case:
    x = 0.3 * torch.randn(1, 1, FS * SECONDS, device=device)
    live = sc.stream(model, fs=FS)
    runners: dict[str, Callable[[], Any]] = {"live": lambda: _streamed(live, x, BLOCKS[block])}
    runners["offline"] = torch.no_grad()(lambda: model(x))
    return Case(f"{name}, {SECONDS} s in blocks of {block}", runners, tolerance=1e-3)


def _slid(device: str) -> Case:
    """A network that has pooled all of time, one clip of a second every 100 ms; the peer cuts the clips itself."""
    model = nn.Sequential(front_end("log_mel", FS), sc.Conv2d(1, 16, 3, padding="same"), nn.ReLU(), sc.MaxPool(2))
    model = nn.Sequential(*model, sc.GlobalAvgPool(), nn.Linear(16, 12)).eval().to(device)
    x, hop = 0.3 * torch.randn(1, 1, FS * SECONDS, device=device), FS // 10
    live = sc.stream(model, window=FS, hop=hop)
    clips = [x[..., first : first + FS] for first in range(0, x.shape[-1] - FS + 1, hop)]
    runners: dict[str, Callable[[], Any]] = {"live": lambda: _streamed(live, x, hop)}
    runners["clip by clip"] = torch.no_grad()(lambda: torch.stack([model(clip) for clip in clips], -1))
    return Case(f"clips of 1 s every 100 ms, {SECONDS} s", runners, tolerance=1e-3)


def _streamed(live: Stream, x: Tensor, block: int) -> Tensor:
    found = [live(chunk) for chunk in x.split(block, -1)]
    return torch.cat([*found, live.flush()], -1)
