"""Exported models: they run without their code, for any batch, and answer as the model does, or are not written."""

import importlib
import json
import os
import re
import sys
import types

import pytest
import torch
from torch import nn

import sigconv as sc
from sigconv import console, models
from sigconv.cli.export import main
from sigconv.models import _export, _onnx, export

SMALL = [(spec, ndim) for ndim in (1, 2, 3) for spec in ("mnist1d:cnn:size=15", "lenet:1998", "resnet:18:width=0.125")]
MISSING = [name for name in _onnx.PACKAGES if importlib.util.find_spec(name) is None]
onnx = pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} not installed: the extra sigconv[onnx]")


def made(spec, ndim):
    torch.manual_seed(0)
    return models.build(spec, ndim=ndim), models.input_shape(spec, ndim=ndim, smallest=True)


def run_onnx(path, x):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"input": x.numpy()})[0])


@pytest.mark.parametrize(("spec", "ndim"), SMALL)
def test_n17_an_exported_program_answers_as_the_model_for_any_batch(tmp_path, spec, ndim):
    model, shape = made(spec, ndim)
    done = export(model, tmp_path / "net.pt2", shape)
    assert done.shape == shape
    assert done.difference <= done.allowed < 0.01
    assert model.training, "the model stays in its mode"
    program = torch.export.load(done.path).module()
    for batch in (1, 2, 5):
        x = torch.randn(batch, *shape[1:])
        with torch.no_grad():
            assert (program(x) - model.eval()(x)).abs().max() <= done.allowed
    assert os.listdir(tmp_path) == ["net.pt2"]


@onnx
@pytest.mark.parametrize(
    ("spec", "ndim"),
    [
        *SMALL,
        ("vgg:A:width=0.0625", 3),
    ],
)
def test_n17_onnx_runtime_answers_as_the_model_for_any_batch(tmp_path, spec, ndim):
    model, shape = made(spec, ndim)
    done = export(model, tmp_path / "net.onnx", shape)
    assert done.difference <= done.allowed
    for batch in (1, 5):
        x = torch.randn(batch, *shape[1:])
        with torch.no_grad():
            assert (run_onnx(done.path, x) - model.eval()(x)).abs().max() <= done.allowed
    assert os.listdir(tmp_path) == ["net.onnx"]


LAYERS = {
    "conv in 4-D": (lambda: sc.Conv(1, 2, 3, ndim=4), (1, 1, 4, 4, 4, 4)),
    "conv by fft": (lambda: sc.Conv(1, 2, 31, ndim=1, method="fft"), (2, 1, 128)),
    "a long conv": (lambda: sc.Conv(1, 2, 201, ndim=1), (2, 1, 2048)),
    "borders": (lambda: sc.Conv(2, 2, 3, padding="same", padding_mode="symmetric", ndim=2), (2, 2, 8, 8)),
    "transposed": (lambda: sc.ConvTranspose(2, 3, 3, 2, ndim=2), (2, 2, 5, 5)),
    "separable": (lambda: sc.SeparableConv(2, 3, 3, ndim=2), (2, 2, 6, 6)),
    "lp": (lambda: sc.LPPool(2, 2), (2, 3, 8, 8)),
    "lse": (lambda: sc.LSEPool(3), (2, 3, 9, 9)),
    "softmax": (lambda: sc.SoftmaxPool(2), (2, 3, 8)),
    "blur": (lambda: sc.BlurPool(3), (2, 3, 8, 8)),
    "stochastic": (lambda: sc.StochasticPool(2), (2, 3, 8, 8)),
    "pyramid": (lambda: sc.PyramidPool(), (2, 3, 8, 8)),
    "means of bins in 3-D": (lambda: sc.AdaptiveAvgPool((2, 3, 4)), (2, 1, 5, 7, 4)),
    "gabor": (lambda: importlib.import_module("sigconv.filters.gabor").default(2), (2, 1, 12, 12)),
    "haar": (lambda: importlib.import_module("sigconv.filters.haar").default(3), (2, 1, 8, 8, 8)),
    "gaussian": (lambda: importlib.import_module("sigconv.filters.gaussian").default(1), (2, 1, 24)),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_n17_our_own_layers_and_banks_export(tmp_path, kind):
    build, shape = LAYERS[kind]
    done = export(build(), tmp_path / "layer.pt2", shape)
    assert done.difference <= done.allowed


@onnx
@pytest.mark.parametrize(
    "kind", ["conv in 4-D", "a long conv", "borders", "lse", "blur", "stochastic", "means of bins in 3-D"]
)
def test_n17_layers_of_real_numbers_export_to_onnx(tmp_path, kind):
    build, shape = LAYERS[kind]
    done = export(build(), tmp_path / "layer.onnx", shape)
    assert done.difference <= done.allowed


@onnx
def test_onnx_says_what_it_cannot_do(tmp_path):
    build, shape = LAYERS["gabor"]
    with pytest.raises(ValueError, match=r"cannot be exported to .onnx: .*complex.*; .pt2 takes more") as error:
        export(build(), tmp_path / "net.onnx", shape)
    assert "\n" not in str(error.value)
    assert os.listdir(tmp_path) == []


def test_means_of_bins_are_those_of_the_layer():
    x = torch.randn(2, 3, 5, 7, 4, dtype=torch.float64)
    for size in ((1, 2, 3), (5, 7, 4), (6, 3, 9)):
        torch.testing.assert_close(_onnx._adaptive_means(x, size), sc.adaptive_avg_pool(x, size))


def test_without_the_extra_the_line_that_installs_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(_onnx, "PACKAGES", ("onnx", "no_such_runtime"))
    with pytest.raises(ImportError, match=r"no_such_runtime: " + re.escape('pip install "sigconv[onnx]"')):
        export(nn.ReLU(), tmp_path / "net.onnx", (1, 2))


class Of(nn.Module):
    """A function as a model."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def refused(tmp_path, function, pattern, shape=(2, 1, 4), **options):
    with pytest.raises(ValueError, match=pattern) as error:
        export(Of(function), tmp_path / "net.pt2", shape, **options)
    assert "\n" not in str(error.value)
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_exported_is_refused_in_one_line(tmp_path, capfd):
    refused(tmp_path, lambda x: x.view(2, -1).sum(1), "cannot be exported to .pt2: .*; dynamic=False exports it")
    refused(tmp_path, lambda x: x if x.sum() > 0 else -x, "cannot be exported to .pt2: .*data-dependent")
    refused(tmp_path, lambda x: x + torch.rand_like(x), "answers otherwise when it is asked again")
    refused(tmp_path, lambda x: x / 0, "NaN or infinity")
    refused(tmp_path, lambda x: x @ x, r"does not take an input of shape \(2, 1, 4\)")
    refused(tmp_path, lambda x: x, "shape 0 must be at least 1", (0, 1))
    refused(tmp_path, lambda x: x, "has no item", torch.zeros(0, 1))
    out, err = capfd.readouterr()
    assert not out
    assert not err
    with pytest.raises(ValueError, match=r"the suffix of 'net.pth', '.pth' is not one of"):
        export(nn.ReLU(), tmp_path / "net.pth", (1, 2))


def test_an_export_that_differs_is_refused_with_the_difference_and_the_file_stays(tmp_path, monkeypatch):
    model, shape = made("mnist1d:cnn:size=15", 1)
    path = export(model, tmp_path / "net.pt2", shape).path
    before = path.read_bytes()
    real = _export._made

    def off(net, x, suffix, dynamic):
        content, run = real(net, x, suffix, dynamic)
        return content, lambda x: run(x) * (1 + 1e-3)

    monkeypatch.setattr(_export, "_made", off)
    with pytest.raises(ValueError, match=r"'net.pt2' differs from the model by \d.*, and \d.* is allowed"):
        export(model, path, shape)
    monkeypatch.setattr(_export, "_made", lambda *args: (b"", lambda x: torch.zeros(len(x), 3)))
    with pytest.raises(ValueError, match=r"answers in shapes \[\(1, 3\)\], and the model in \[\(1, 10\)\]"):
        export(model, path, shape)
    monkeypatch.setattr(_export, "_made", lambda *args: (b"", lambda x: torch.full((len(x), 10), torch.nan)))
    with pytest.raises(ValueError, match="differs from the model by inf"):
        export(model, path, shape)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["net.pt2"]


def test_sums_that_cancel_are_held_against_the_models_own_error():
    torch.manual_seed(0)
    model, x = nn.Linear(4096, 64), 1e4 * torch.randn(1, 4096)
    order = torch.randperm(4096)
    with torch.no_grad():  # answers near zero, of terms near 1e4
        model.bias -= model(x)[0]
        other = lambda x: nn.functional.linear(x[:, order], model.weight[:, order], model.bias)
        difference, allowed = _export._compared(model, other, x)
        assert _export._allowed(model, [model(x)]) < difference <= allowed
        assert _export._compared(model, lambda x: other(x) + 1e3, x)[1] < 1e3, "what is wrong stays wrong"


def test_models_in_other_dtypes_of_other_inputs_and_answers(tmp_path):
    for kind in (torch.float64, torch.bfloat16):
        export(models.build("mnist1d").to(kind), tmp_path / "net.pt2", (1, 1, 40))
    export(nn.Embedding(4, 3), tmp_path / "net.pt2", torch.tensor([[1, 2], [0, 3]]))
    several = Of(lambda x: {"a": x + 1, "b": (x * 2, x.argmax(1))})
    export(several, tmp_path / "net.pt2", (3, 5))
    fixed = export(Of(lambda x: x.view(2, -1).sum(1)), tmp_path / "net.pt2", (2, 1, 4), dynamic=False)
    assert fixed.shape == (2, 1, 4)


def test_the_model_stays_as_it_is(tmp_path):
    model = models.build("resnet:18", ndim=1, width=1 / 16)
    model.layer1.eval()
    modes = [module.training for module in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    export(model, tmp_path / "net.pt2", (1, 3, 64))
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def answered(capsys, *words):
    assert main([*map(str, words), "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    return json.loads(lines[0])


def test_the_verb_exports_words_patterns_and_folders(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spec = "mnist1d:cnn:width=2"
    model = models.build(spec).eval()
    folder = models.save_pretrained(model, tmp_path / "trained")
    weights = folder / "model.safetensors"
    x = torch.randn(3, 1, 40)
    for word, more in ((spec, ["--weights", weights]), (folder, [])):
        found = answered(capsys, word, "-o", "net.pt2", *more)
        assert (found["file"], found["shape"], found["bytes"]) == ("net.pt2", [1, 1, 40], os.path.getsize("net.pt2"))
        assert found["difference"] <= found["allowed"]
        torch.testing.assert_close(torch.export.load("net.pt2").module()(x), model(x))
    answered(capsys, spec, "-o", "again", "--weights", weights)
    assert torch.equal(models.from_pretrained("again")(x), model(x))
    found = answered(capsys, "CRCRPF12RF3", "-o", "p.pt2", "--shape", "1,2,9,8", "--classes", "3")
    assert found["shape"] == [1, 2, 9, 8]
    assert main([spec, "-o", "net.pt2"]) == 0
    out, err = capsys.readouterr()
    assert "net.pt2" in out
    assert "drawn by lot" in err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["mnist1d"], "needs -o FILE"),
        (["mnist1d", "lenet", "-o", "a.pt2"], "takes one MODEL, not 2"),
        (["mnist1d", "-o", "a.pth"], "ends in .pth: expected .pt2, .onnx"),
        (["mnist2d", "-o", "a.pt2"], "model 'mnist2d' is not one of"),
        (["mnist1d", "-o", "a.pt2", "--shape", "1,x"], "--shape '1,x' is not a number"),
        (["mnist1d", "-o", "a.pt2", "--shape", "1,0"], r"--shape \[1, 0\] is not batch,channels"),
        (["mnist1d", "-o", "a.pt2", "--classes", "3"], "write mnist1d:classes=3"),
        (["CRP", "-o", "a.pt2"], "a pattern needs --shape"),
        (["mnist1d", "-o", "a.pt2", "--weight", "x"], "did you mean --weights"),
    ],
)
def test_words_that_cannot_be_meant(words, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(console.UsageError, match=reason):
        main(words)
    assert os.listdir(tmp_path) == []


def test_the_verb_says_what_is_wrong_with_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = models.save_pretrained(models.build("mnist1d"), tmp_path / "trained")
    with pytest.raises(ValueError, match=r"model.safetensors: 0.weight is \(15, 1, 3\), and the model's \(30, 1, 3\)"):
        main(["mnist1d:cnn:width=2", "-o", "a.pt2", "--weights", str(folder / "model.safetensors")])
    monkeypatch.setitem(sys.modules, "huggingface_hub", types.ModuleType("huggingface_hub"))
    with pytest.raises(OSError, match="org/net cannot be fetched"):
        main(["org/net", "-o", "a.pt2"])
    assert os.listdir(tmp_path) == ["trained"]


def test_help(capsys):
    assert main(["--help"]) == 0
    assert "usage: sigconv export" in capsys.readouterr().out
    assert main([]) == 2
