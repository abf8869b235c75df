"""MNIST: Nielsen's nets and how they step, the split and its shifts, the recipe on a small made set."""

import gzip
import json
import math
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from sigconv import console
from sigconv.datasets import mnist as data
from sigconv.models import nielsen
from sigconv.recipes import _mnist
from sigconv.recipes import mnist as recipe
from sigconv.train import fit, run
from sigconv.train.job import Job
from sigconv.transforms import augment


def write(path, array):
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(head + array.astype(np.uint8).tobytes()))


def digits(n, seed):
    """Images whose class is where a bright square lies."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 10, n)
    x = rng.integers(0, 60, (n, 28, 28))
    for image, label in zip(x, y, strict=True):
        row, column = divmod(int(label), 4)
        image[4 + 7 * row : 10 + 7 * row, 1 + 7 * column : 7 + 7 * column] = 250
    return x, y


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "mnist"
    folder.mkdir()
    for part, n, seed in (("train", 80, 0), ("t10k", 30, 1)):
        x, y = digits(n, seed)
        write(folder / f"{part}-images-idx3-ubyte.gz", x)
        write(folder / f"{part}-labels-idx1-ubyte.gz", y)
    return folder.parent


# ---- the nets

PUBLISHED = {
    "fc": 79_510,
    "conv": 289_630,
    "conv-only": 29_330,
    "conv-conv": 85_670,
    "conv-conv-fc": 95_770,
    "dropout": 1_672_570,
}


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
@pytest.mark.parametrize("variant", nielsen.VARIANTS)
def test_pc19_ar22_nielsens_six_nets_have_his_parameters(variant, activation):
    with torch.device("meta"):
        net = nielsen.build(variant, activation=activation)
        assert net(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert sum(p.numel() for p in net.parameters()) == PUBLISHED[variant]


def test_ar22_the_layers_of_the_deepest_in_order():
    net = nielsen.build("conv-conv-fc", activation="relu")
    sizes = [tuple(layer.weight.shape) for layer in net if list(layer.parameters())]
    assert sizes == [(20, 1, 5, 5), (40, 20, 5, 5), (100, 40 * 4 * 4), (100, 100), (10, 100)]
    assert sum(isinstance(layer, nn.ReLU) for layer in net) == 4


@pytest.mark.parametrize("ndim", [1, 3])
@pytest.mark.parametrize("variant", nielsen.VARIANTS)
def test_ar22_in_other_dimensions_forward_and_backward(variant, ndim):
    size = nielsen.SMALLEST[variant]
    net = nielsen.build(variant, ndim=ndim, in_channels=2, classes=3, width=1 / 16, size=size)
    for layer in (layer for layer in net if isinstance(layer, nn.Linear)):
        nn.init.normal_(layer.weight)  # the last begins at 0, and would let no gradient through
    y = net(torch.randn(2, 2, *[size] * ndim))
    assert y.shape == (2, 3)
    y.square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())
    with pytest.raises(ValueError, match=f"size {size - 1} is too small" if size > 1 else "too small"):
        nielsen.build(variant, ndim=ndim, size=size - 1)


def test_ar22_weights_begin_as_network3_has_them():
    torch.manual_seed(0)
    net = nielsen.build("dropout")
    layers = [layer for layer in net if list(layer.parameters())]
    wanted = [math.sqrt(4 / (20 * 25)), math.sqrt(4 / (40 * 25)), math.sqrt(1 / 1000), math.sqrt(1 / 1000)]
    for layer, deviation in zip(layers[:-1], wanted, strict=True):
        assert layer.weight.std().item() == pytest.approx(deviation, rel=0.12)
    assert layers[2].bias.std().item() == pytest.approx(1.0, rel=0.1)
    assert not layers[-1].weight.any()
    assert not layers[-1].bias.any()


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
def test_ar22_the_maximum_before_bias_and_activation_is_the_one_after(activation):
    """network3 pools what has no bias yet, the lecture what was activated: one net."""
    torch.manual_seed(1)
    net = nielsen.build("conv-only", activation=activation)
    x = torch.rand(3, 1, 28, 28)
    conv, rise = net[0], getattr(torch, activation)
    pooled = nn.functional.max_pool2d(nn.functional.conv2d(x, conv.weight), 2) + conv.bias[:, None, None]
    torch.testing.assert_close(net[:3](x), rise(pooled))
    late = nn.functional.max_pool2d(rise(nn.functional.conv2d(x, conv.weight, conv.bias)), 2)
    torch.testing.assert_close(net[:3](x), late)


def test_ac5_dropout_is_on_in_training_and_off_after():
    torch.manual_seed(0)
    net = nielsen.build("dropout", activation="relu")
    thin = [layer for layer in net if isinstance(layer, nn.Dropout)]
    assert [layer.p for layer in thin] == [0.5, 0.5, 0.5]
    assert [type(net[list(net).index(layer) + 1]) for layer in thin] == [nn.Linear] * 3, "on fully connected layers"
    x = torch.ones(20_000)
    kept = thin[0].train()(x)
    assert set(kept.tolist()) == {0.0, 1.0}
    assert kept.mean().item() == pytest.approx(0.5, abs=0.02)
    assert torch.equal(thin[0].eval()(x), 0.5 * x)


def test_ex9_ex13_weight_decay_steps_as_network3s_cost_says():
    """cost + lambda / (2 · mini-batches) · |w|², differentiated by torch, biases left out."""
    torch.manual_seed(0)
    x, y = torch.rand(20, 1, 28, 28), torch.arange(20) % 10
    net = nielsen.build("fc")
    nn.init.normal_(net[-1].weight, 0, 0.1)
    lam, lr, batches = 5.0, 0.1, 2
    twin = nielsen.build("fc")
    twin.load_state_dict(net.state_dict())
    set_ = sc_arrays(x, y)
    fit(net, set_, job=Job(), epochs=1, lr=lr, batch_size=10, optimizer="sgd", weight_decay=lam / batches, scores={})
    order = torch.randperm(20, generator=seeded(0, 1, -1))
    for part in order.split(10):
        cost = nn.functional.cross_entropy(twin(x[part]), y[part])
        cost = cost + 0.5 * lam * sum(p.square().sum() for p in twin.parameters() if p.ndim > 1) / batches
        grads = torch.autograd.grad(cost, list(twin.parameters()))
        with torch.no_grad():
            for p, g in zip(twin.parameters(), grads, strict=True):
                p -= lr * g
    for ours, theirs in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def seeded(*key):
    from sigconv.train import seeds

    return seeds.generator(*key)


def sc_arrays(x, y):
    from sigconv.datasets._parts import Arrays

    return Arrays(x, y, data.CLASSES)


def test_ex6_to_ex10_every_rung_is_configured_as_published():
    rungs = recipe.RUNGS
    assert [rungs[r].published for r in rungs if r != "fc-decay"] == [
        *(0.9780, 0.9878, 0.9906, 0.9923, 0.9937, 0.9943, 0.9960)
    ]
    assert {(r.lr, r.activation) for r in rungs.values()} == {(0.1, "sigmoid"), (0.03, "relu")}
    assert [r.epochs for r in rungs.values()] == [60] * 7 + [40]
    assert [name for name, r in rungs.items() if r.expanded] == ["expanded", "expanded-fc", "dropout"]
    batches = {False: 50_000 / 10, True: 250_000 / 10}
    decays = {name: r.decay * batches[r.expanded] for name, r in rungs.items() if name != "fc-decay"}
    assert {name: round(d, 9) for name, d in decays.items() if d} == dict.fromkeys(
        ["conv-conv-relu", "expanded", "expanded-fc"], 0.1
    )
    assert rungs["fc-decay"].decay * 50_000 == pytest.approx(5.0)


# ---- the data


def test_the_last_training_images_are_the_validation_part(root):
    train, valid, test = data.load(root, valid=20)
    x, y = digits(80, 0)
    assert (len(train), len(valid), len(test)) == (60, 20, 30)
    image, label = valid.item(0, None)
    assert image.dtype == torch.float32
    np.testing.assert_allclose(image[0].numpy(), x[60] / 255, rtol=1e-6)
    assert label == y[60]
    batch = train.batch(torch.tensor([3, 5]), None)
    torch.testing.assert_close(batch[0][1], train.item(5)[0])
    assert train.x.dtype == torch.uint8, "a float would take four times the memory"
    assert data.load(root / "mnist", valid=20).train.y.tolist() == y[:60].tolist()


def test_e4_ex10_four_shifts_by_one_make_five_of_every_image(root):
    train = data.load(root, valid=20).train
    more = data.expanded(train)
    assert len(more) == 5 * len(train)
    x, y = more.batch(torch.arange(10), None)
    image = train.x[1, 0].numpy() / np.float32(255)
    expected = [image]
    for step, axis in ((1, 0), (-1, 0), (1, 1), (-1, 1)):
        moved = np.roll(image, step, axis)
        moved[(slice(None),) * axis + (0 if step == 1 else -1,)] = 0
        expected.append(moved)
    found = sorted(picture.tobytes() for picture in x[5:, 0].numpy())
    assert found == sorted(picture.astype(np.float32).tobytes() for picture in expected)
    assert y.tolist() == [int(train.y[0])] * 5 + [int(train.y[1])] * 5
    assert torch.equal(more.item(7)[0], x[7])
    assert torch.equal(more.to("cpu").item(7)[0], x[7])
    assert torch.equal(more.item(5)[0], train.item(1)[0]), "the first of five is the image itself"


def test_what_is_not_there_or_not_mnist_is_said_in_one_line(root, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="no data set 'mnist' under"):
        data.load(tmp_path)
    with pytest.raises(ValueError, match="valid 80 must leave something of 80 training images: 1 to 79"):
        data.load(root, valid=80)
    here = tmp_path / "mnist"
    here.mkdir()
    with pytest.raises(FileNotFoundError, match=re.escape("has no train-images-idx3-ubyte.gz and no train-images")):
        data.load(tmp_path)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (here / f"{name}-ubyte.gz").write_bytes((root / "mnist" / f"{name}-ubyte.gz").read_bytes())
    write(here / "t10k-labels-idx1-ubyte.gz", np.arange(29) % 10)
    with pytest.raises(ValueError, match="are not images"):
        data.load(tmp_path)
    write(here / "t10k-labels-idx1-ubyte.gz", np.arange(30))
    with pytest.raises(ValueError, match="holds 29: expected digits 0 to 9"):
        data.load(tmp_path)
    monkeypatch.delenv("SIGCONV_DATA", raising=False)
    monkeypatch.setenv("SIGCONV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("pooch.retrieve", lambda *words, **options: (_ for _ in ()).throw(OSError("no way\nout")))
    with pytest.raises(FileNotFoundError, match="SIGCONV_DATA is not set.*could not be fetched from .no way out."):
        data.load()


def test_the_real_set(data_root):
    if not (data_root / "mnist").exists():
        pytest.skip("no mnist under $SIGCONV_DATA")
    train, valid, test = data.load(data_root)
    assert (len(train), len(valid), len(test)) == (50_000, 10_000, 10_000)
    assert torch.bincount(test.y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    whole = torch.cat([train.x, valid.x]).double() / 255
    assert whole.mean().item() == pytest.approx(0.1307, abs=5e-5)
    assert whole.std().item() == pytest.approx(0.3081, abs=5e-5)
    assert train.y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]


# ---- the recipe


def start(root, out, *words):
    return run(recipe.mnist, ["--data-root", str(root), "--out", str(out), *map(str, words)])


@pytest.fixture
def small(monkeypatch):
    plainly = data.load
    monkeypatch.setattr(data, "load", lambda root=None, *, seed=0: plainly(root, valid=20))


@pytest.mark.parametrize("rung", recipe.RUNGS)
def test_ex6_ex7_ex8_ex9_ex10_every_rung_runs(small, root, tmp_path, rung):
    record = start(root, tmp_path, "--rung", rung, "--epochs", 1)
    metrics = record["metrics"]
    assert metrics["parameters"] == PUBLISHED[recipe.RUNGS[rung].net]
    assert metrics["published"] == recipe.RUNGS[rung].published
    assert metrics["mistakes"] == round(30 * (1 - metrics["accuracy"]))
    assert record["test_size"] == 30
    rows = [json.loads(line) for line in Path(record["run_folder"], "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == (5 if recipe.RUNGS[rung].expanded else 1) * 60 // 10
    assert "Not as published: epochs 1 for" in Path(record["run_folder"], "log.txt").read_text()


def test_ex12_weights_are_those_of_the_best_validation_epoch(small, root, tmp_path):
    record = start(root, tmp_path, "--rung", "fc", "--epochs", 25, "--lr", 2.5)
    rows = [json.loads(line) for line in Path(record["run_folder"], "metrics.jsonl").read_text().splitlines()]
    accuracies = [row["valid_accuracy"] for row in rows]
    assert len(set(accuracies)) > 1
    assert record["metrics"]["validation_accuracy"] == max(accuracies)
    assert not any("test_accuracy" in row for row in rows), "the test set is looked at once"


def test_ex11_every_mistake_is_drawn_with_truth_and_answer(small, root, tmp_path):
    record = start(root, tmp_path, "--rung", "fc", "--epochs", 0)
    assert record["metrics"]["mistakes"] > 0
    assert (Path(record["run_folder"]) / "plots" / "mistakes.png").stat().st_size > 1000
    x = torch.zeros(5, 28, 28, dtype=torch.uint8)
    figure = _mnist.gallery(x, torch.tensor([1, 2, 3, 4, 5]), torch.tensor([6, 7, 8, 9, 0]), of=1000)
    assert isinstance(figure, Figure)
    drawn = [ax for ax in figure.axes if ax.images]
    assert len(drawn) == 5
    for ax, right, wrong in zip(drawn, "12345", "67890", strict=True):
        above, below = ax.texts
        assert (above.get_text(), below.get_text()) == (right, wrong)
        assert above.get_position()[0] > 28
        assert above.get_position()[1] < 14 < below.get_position()[1], "the image's first row is drawn above"
        assert ax.yaxis_inverted()


def test_ac1_ex13_the_strongest_net_and_any_activation(small, root, tmp_path):
    record = start(root, tmp_path, "--best", "--epochs", 1, "--batch-size", 20, "--activation", "prelu")
    assert record["metrics"]["parameters"] == sum(p.numel() for p in _mnist.residual_net("prelu").parameters())
    assert sum(p.numel() for p in _mnist.residual_net().parameters()) < 300_000
    record = start(root, tmp_path, "--rung", "conv", "--epochs", 1, "--activation", "swish")
    assert record["metrics"]["parameters"] == PUBLISHED["conv"] + 2


def test_ex13_variants_are_pure_in_the_generator_and_stay_digits(root):
    train = data.load(root, valid=20).train
    varied = augment.Augmented(train, _mnist.vary)
    one = [seeded(0, 1, index) for index in range(4)]
    x, y = varied.batch(torch.arange(4), one)
    again = torch.stack([varied.item(index, seeded(0, 1, index))[0] for index in range(4)])
    torch.testing.assert_close(x, again)
    assert y.tolist() == train.y[:4].tolist()
    assert not torch.equal(x[0], varied.item(0, seeded(0, 2, 0))[0]), "another epoch, another variant"
    assert x.shape == (4, 1, 28, 28)
    assert x.min() >= 0
    assert x.max() <= 1


def test_ex13_nothing_drawn_leaves_the_image_as_it_is(monkeypatch):
    monkeypatch.setattr(augment, "uniforms", lambda generators, count, like: torch.zeros(len(like), count))
    x = torch.rand(2, 1, 28, 28)
    torch.testing.assert_close(_mnist.vary(x, []), x, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["--rung", "convv"], ValueError, "rung 'convv' is not one of"),
        (["--rung", "fc", "--best"], console.UsageError, "--best is no rung, and --rung fc is: choose one"),
        (["--activation", "rlu", "--epochs", "0"], ValueError, "activation 'rlu' is not one of"),
        (["--epochs", "-1"], console.UsageError, "epochs -1 must be at least 0"),
    ],
)
def test_wrong_words_end_in_one_line_and_leave_nothing(small, root, tmp_path, words, error, message):
    with pytest.raises(error, match=message):
        start(root, tmp_path / "runs", *words)
    assert not list((tmp_path / "runs").glob("*/*"))


def test_ac1_the_earlier_recipes_take_an_activation_too():
    from sigconv.recipes import _speech, mnist1d
    from sigconv.transforms.speech import front_end

    front = front_end("log_mel", 8000)
    for name in ("relu", "leaky_relu", "prelu", "maxout", "selu", "swish", "silu"):
        x = torch.randn(3, 1, 40)
        for net in (mnist1d.cnn(name), mnist1d.dense(name), mnist1d.residual_net(8, name)):
            assert net(x).shape == (3, 10)
        for sharing in (None, "full"):
            net = _speech.network(front, 10, sharing, name)
            assert net(torch.randn(2, 1, 40, 20)).shape == (2, 10)
