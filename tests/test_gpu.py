"""On a CUDA device: the same values, whatever else is installed. Run with: python -m pytest -m gpu"""

import pytest
import torch
from torch import nn

import sigconv as sc
from sigconv.datasets._parts import Arrays
from sigconv.train import Job, evaluate, fit

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
@pytest.mark.parametrize("method", ["windows", "direct", "fft"])
def test_n6_float32_on_the_gpu_keeps_the_error_gate(ndim, method, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    generator = torch.Generator().manual_seed(ndim)
    x = torch.randn(2, 4, *[12] * ndim, generator=generator)
    weight = torch.randn(6, 4, *[3] * ndim, generator=generator)
    options = {"padding": "same", "padding_mode": "symmetric", "method": method}
    y = sc.conv(x.cuda(), weight.cuda(), **options).cpu()
    exact = sc.conv(x.double(), weight.double(), **options)
    scale = sc.conv(x.double().abs(), weight.double().abs(), **options).max()
    assert (y - exact).abs().max() <= 2.5 * torch.finfo(torch.float32).eps * weight[0].numel() ** 0.5 * scale


def test_a_model_trains_on_the_gpu():
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(600) % 2
    x = torch.randn(600, 1, 40, generator=generator) + y[:, None, None] * torch.sin(torch.arange(40) / 2)
    data = Arrays(x, y, ["noise", "wave"])
    torch.manual_seed(0)
    model = nn.Sequential(sc.Conv1d(1, 16, 5, stride=2), nn.ReLU(), sc.GlobalMaxPool(), nn.Linear(16, 2))
    fit(model, data, data, job=Job(device="cuda"), epochs=10, lr=1e-2)
    assert evaluate(model, data, job=Job(device="cuda"))["accuracy"] > 0.8
