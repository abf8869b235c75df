"""A short training of each domain's model on a GPU, on made inputs: the loss falls, and again to the same bits.

Run with: python -m pytest -m gpu        On a CPU: SIGCONV_TEST_DEVICE=cpu python -m pytest -m gpu
"""

import pytest
import torch
from on_device import DEVICE, GPU, made
from torch import nn

import sigconv as sc
from sigconv import models
from sigconv.datasets._parts import Arrays
from sigconv.filters import motion
from sigconv.train import Job, fit
from sigconv.transforms.speech import front_end

pytestmark = GPU

LETTERS = 28


def labels(n):
    return torch.arange(n) % 2


def speech(n=48):
    """Tones of two pitches in noise."""
    y, t = labels(n), torch.arange(4000) / 8000
    pitch = torch.where(y == 0, 300.0, 1100.0)[:, None]
    return Arrays((torch.sin(2 * torch.pi * pitch * t) + 0.3 * made(n, 4000).float())[:, None], y, "ab")


def sequences(n=96):
    """Letters, every second sequence with a word planted."""
    x = torch.randint(0, 4, (n, 101), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    word = torch.tensor([2, 0, 3, 3, 0, 1, 0, 2], dtype=torch.uint8)
    for item in range(1, n, 2):
        x[item, 20 + item % 50 :][: len(word)] = word
    return Arrays(x, labels(n), "ab")


def scans(n=16):
    """Balls in noise, and where they are."""
    grid = torch.stack(torch.meshgrid(*[torch.arange(18)] * 3, indexing="ij")).float()
    y = torch.stack([((grid - 6 - i % 6).square().sum(0) < 20).long() for i in range(n)])
    return Arrays(y[:, None] + 0.3 * made(n, 1, 18, 18, 18).float(), y, "ab")


def clips(n=24):
    """Gratings that move to one side or to the other."""
    y, t, place = labels(n), torch.arange(10.0), torch.arange(16.0)
    way = torch.where(y == 0, -1.0, 1.0)[:, None, None, None]
    phase = torch.arange(n)[:, None, None, None]
    x = torch.sin(torch.pi / 4 * (place[None, None, None] - way * t[None, :, None, None]) + phase)
    return Arrays(x.expand(n, 10, 16, 16)[:, None] + 0.2 * made(n, 1, 10, 16, 16).float(), y, "ab")


def texts(n=96):
    """Letters, drawn from one half of the alphabet more often than from the other."""
    drawn = torch.randint(0, LETTERS, (n, 50), generator=torch.Generator().manual_seed(0))
    y = labels(n)
    return Arrays(torch.where((y[:, None] == 1) & (drawn % 3 == 0), drawn // 4, drawn).to(torch.uint8), y, "ab")


def heard(kind):
    front = front_end(kind, 8000, bands=16, learnable=True)
    head = [sc.Conv2d(1, 8, 3, padding="same"), nn.ReLU(), sc.MaxPool(2), sc.GlobalAvgPool(), nn.Linear(8, 2)]
    return nn.Sequential(front, nn.BatchNorm2d(1), *head)


def moved():
    cells = motion.AdelsonBergen(1.0, 4, ndim=3, learnable=True)
    return nn.Sequential(cells, nn.BatchNorm3d(2), sc.GlobalAvgPool(), nn.Linear(2, 2))


def read():
    """The first layer looks letters up."""
    first = [sc.Conv1d(LETTERS, 16, 5, padding="same"), nn.ReLU(), sc.MaxPool(2)]
    return nn.Sequential(*first, sc.Conv1d(16, 16, 3), nn.ReLU(), sc.GlobalMaxPool(), nn.Linear(16, 2))


def segmenting():
    return models.unet.build("small", ndim=3, width=1 / 4, levels=2)


def acting():
    return models.video_resnet.build("r3d_18", in_channels=1, classes=2, width=1 / 16)


WORKS = {
    "speech, log-mel": (speech, lambda: heard("log_mel"), 1e-2),
    "speech, learned Gabors": (speech, lambda: heard("gabor"), 1e-2),
    "DNA, motifs": (sequences, lambda: models.build("dna:zeng", classes=2, kernels=8), 1e-2),
    "volume, U-Net": (scans, segmenting, 3e-3),
    "video, residual": (clips, acting, 3e-3),
    "video, motion energy": (clips, moved, 1e-1),
    "text, lookup": (texts, read, 1e-2),
}


def trained(name, **options):
    data, build, lr = WORKS[name]
    torch.manual_seed(0)
    model = build()
    made_up = data()
    job = Job(device=DEVICE, precision="32", **options)
    rows = fit(model, made_up, made_up, job=job, epochs=6, lr=lr, batch_size=8, scores={}, select="loss")
    return model, [row["train_loss"] for row in rows]


@pytest.mark.parametrize("name", WORKS)
def test_n19_the_loss_falls_and_a_second_training_has_the_same_bits(name):
    model, losses = trained(name)
    assert losses[-1] < 0.8 * losses[0]
    assert all(p.device.type == torch.device(DEVICE).type for p in model.parameters())
    other, _ = trained(name)
    assert all(map(torch.equal, model.parameters(), other.parameters()))
