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
def test_mx11_n6_float32_on_the_gpu_keeps_the_error_gate(ndim, method):
    """Whatever torch says of TF32: it lets cuDNN round from the start."""
    generator = torch.Generator().manual_seed(ndim)
    x = torch.randn(2, 4, *[12] * ndim, generator=generator)
    weight = torch.randn(6, 4, *[3] * ndim, generator=generator)
    options = {"padding": "same", "padding_mode": "symmetric", "method": method}
    y = sc.conv(x.cuda(), weight.cuda(), **options).cpu()
    exact = sc.conv(x.double(), weight.double(), **options)
    scale = sc.conv(x.double().abs(), weight.double().abs(), **options).max()
    assert (y - exact).abs().max() <= 2.5 * torch.finfo(torch.float32).eps * weight[0].numel() ** 0.5 * scale


def waves(n=600):
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(n) % 2
    x = torch.randn(n, 1, 40, generator=generator) + y[:, None, None] * torch.sin(torch.arange(40) / 2)
    return Arrays(x, y, ["noise", "wave"])


class Made:
    """The same items, made on the CPU one at a time: they reach the GPU pinned and ahead of time."""

    def __init__(self, data):
        self.data, self.classes = data, data.classes

    def __len__(self):
        return len(self.data)

    def item(self, index, generator):
        return self.data.item(index)


def train(data, folder=None, **options):
    job = {key: options.pop(key) for key in ("precision", "compile", "workers", "resuming") if key in options}
    torch.manual_seed(0)
    model = nn.Sequential(
        sc.Conv1d(1, 16, 5, stride=2), nn.ReLU(), nn.Dropout(0.2), sc.GlobalMaxPool(), nn.Linear(16, 2)
    )
    fit(model, data, waves(), job=Job(device="cuda", folder=folder, **job), **({"epochs": 10, "lr": 1e-2} | options))
    return model


@pytest.mark.parametrize(
    "options",
    [{}, {"precision": "32"}, {"precision": "16"}, {"compile": True}, {"accumulate": 2, "clip": 1.0, "average": 0.9}],
)
def test_a_model_trains_on_the_gpu(options):
    if options.get("precision") == "16":
        pytest.importorskip("lightning.fabric")
    model = train(waves(), **options)
    assert evaluate(model, waves(), job=Job(device="cuda"))["accuracy"] > 0.8


@pytest.mark.parametrize("workers", [0, 2])
def test_n19_items_that_live_there_or_come_from_the_cpu_train_to_the_same_bits(workers):
    models = [train(waves()), train(waves()), train(Made(waves()), workers=workers)]
    weights = [torch.cat([p.flatten() for p in model.parameters()]) for model in models]
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])


def test_f16_a_bad_step_leaves_the_weights_on_the_gpu_and_is_named():
    data = waves()
    data.x[5] = float("nan")
    with pytest.raises(ValueError, match=r"in epoch 1, step \d+, of items .*\b5\b"):
        train(data, epochs=2)
    assert torch.isfinite(train(data, epochs=2, bad_steps=4)[0].weight).all()


def test_f1_a_training_on_the_gpu_goes_on_to_the_same_bits(tmp_path):
    pytest.importorskip("safetensors")
    from sigconv.train import checkpoint, pace

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace, "SAVE_EVERY", 0.0)
        patch.setattr(pace, "MOST_SAVING", 1e9)
        whole = train(waves(), tmp_path)
        checkpoint.remove(checkpoint.numbered(tmp_path / "checkpoints", "model")[0])
        again = train(waves(), tmp_path, resuming=True)
    assert all(torch.equal(p, q) for p, q in zip(whole.parameters(), again.parameters(), strict=True))
