"""What is compiled for a GPU says what eager calls say, forward and backward, twice to the same bits.

Run with: python -m pytest -m gpu        On a CPU: SIGCONV_TEST_DEVICE=cpu python -m pytest -m gpu
"""

import shutil

import pytest
import torch
from on_device import CUDA, DEVICE, GPU, far, made
from torch import nn

import sigconv as sc
from sigconv import models
from sigconv.filters import gabor
from sigconv.transforms.speech import front_end

pytestmark = [
    *GPU,
    pytest.mark.skipif(not CUDA and shutil.which("g++") is None, reason="what is compiled for a CPU needs g++"),
    pytest.mark.filterwarnings("ignore:Torchinductor does not support code generation for complex"),  # it calls torch
]


def layers(ndim):
    first = [sc.Conv(2, 6, 3, padding=1, padding_mode="reflect", ndim=ndim), nn.ReLU(), sc.MaxPool(3, 2)]
    second = [sc.Conv(6, 6, 3, padding="same", groups=6, ndim=ndim), sc.LPPool(2.5, 2), sc.AvgPool(2, 1)]
    return nn.Sequential(*first, *second, sc.BlurPool(3, 1), sc.GlobalAvgPool(), nn.Linear(6, 3))


def tokens():
    return torch.randint(0, 4, (3, 101), generator=torch.Generator().manual_seed(0))


def images():
    return Answers(gabor.pyramid(2, wavelengths=[6], directions=4))


def segmenting():
    return models.unet.build("small", ndim=3, width=1 / 4, levels=2)


WORKS = {
    "layers 1-D": (lambda: layers(1), lambda: made(3, 2, 131).float()),
    "layers 2-D": (lambda: layers(2), lambda: made(3, 2, 37, 50).float()),
    "layers 3-D": (lambda: layers(3), lambda: made(2, 2, 19, 22, 17).float()),
    "Gabor bank 2-D": (images, lambda: made(2, 1, 37, 41).float()),
    "front end": (lambda: front_end("gabor", 8000, bands=12, learnable=True), lambda: made(2, 1, 3001).float()),
    "DNA": (lambda: models.build("dna:zeng", classes=2, kernels=8), tokens),
    "U-Net 3-D": (segmenting, lambda: made(2, 1, 13, 10, 15).float()),
}
LONG = ("layers 2-D", "layers 3-D", "U-Net 3-D")  # minutes of compiling for a CPU


class Answers(nn.Module):
    """A bank's magnitudes."""

    def __init__(self, bank):
        super().__init__()
        self.bank = bank

    def forward(self, x):
        return self.bank(x, output="magnitude")


def passes(model, x):
    """The answer, and the gradients of input and parameters."""
    x = x.detach().clone().requires_grad_(x.is_floating_point())
    y = model(x)
    leaves = [leaf for leaf in (x, *model.parameters()) if leaf.requires_grad]
    return [y.detach(), *torch.autograd.grad(y.square().sum(), leaves)]


@pytest.mark.parametrize("name", WORKS)
def test_n16_compiled_is_eager_and_twice_the_same_bits(name):
    if not CUDA and name in LONG:
        pytest.skip("compiled for CUDA alone: for a CPU it takes minutes")
    build, x = WORKS[name]
    torch.manual_seed(0)
    model, x = build().to(DEVICE).eval(), x().to(DEVICE)
    expected = passes(model, x)
    torch.compiler.reset()
    compiled = torch.compile(model)
    found = passes(compiled, x)
    assert all(far(one, true) < 1e-4 for one, true in zip(found, expected, strict=True))
    assert all(map(torch.equal, passes(compiled, x), found))
