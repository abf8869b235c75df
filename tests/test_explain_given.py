"""What is given to explanations stays as it was, whatever the model does: layers in place, compiled and wrapped models,
odd arrays; and what cannot be meant is told in one line."""

import numpy as np
import pytest
import torch
from torch import nn

from sigconv import explain
from sigconv.explain import _nodes


def net(*more):
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 3), *more).eval()


def images(n=6):
    return torch.randn(n, 1, 8, 8)


IN_PLACE = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(1, 2, 3))
ASKS = {
    "features": lambda x: explain.features(IN_PLACE, x, "1"),
    "top_patches": lambda x: explain.top_patches(IN_PLACE, x, "1"),
    "tuning_curve": lambda x: explain.tuning_curve(IN_PLACE, x, "1"),
    "equivariance": lambda x: explain.equivariance(IN_PLACE, x, "contrast", 2.0),
    "effective_field": lambda x: explain.effective_field(IN_PLACE, x),
}


@pytest.mark.parametrize("name", ASKS)
@pytest.mark.parametrize("numpy", [False, True])
def test_a_first_layer_in_place_does_not_write_over_what_is_given(name, numpy):
    x = -images().abs().add(0.1)
    x[:, :, 2:4] *= -1
    given, kept = (x.numpy(), x.numpy().copy()) if numpy else (x, x.clone())
    ASKS[name](given)
    assert np.array_equal(np.asarray(given), np.asarray(kept))


def test_rf3_a_field_goes_through_a_first_layer_in_place():
    assert explain.empirical_field(IN_PLACE, (1, 1, 8, 8))[0] == (3, 3)


def test_pl14_a_layer_is_read_before_the_next_one_writes_over_it():
    pair = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.ReLU(inplace=True))
    assert explain.equivariance(pair, images(), "contrast", -1.0, node="0").equivariance < 1e-6
    assert explain.equivariance(pair, images(), "contrast", -1.0, node="1").equivariance > 0.5


class Counting(nn.Module):
    """A layer that counts its calls, and keeps statistics whatever is said."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("var", torch.ones(2))

    def forward(self, x):
        self.calls = self.calls + 1
        return nn.functional.batch_norm(self.conv(x), self.mean, self.var, training=True).relu()


@pytest.mark.parametrize("name", ["features", "saliency", "fantasy", "equivariance"])
def test_what_a_model_counts_is_as_it_was(name):
    model, x = nn.Sequential(Counting(), nn.AdaptiveAvgPool2d(1), nn.Flatten()), images()
    before = {key: (tensor, tensor.clone()) for key, tensor in model.named_buffers()}
    {
        "features": lambda: explain.features(model, x, "1"),
        "saliency": lambda: explain.saliency(model, x, 1),
        "fantasy": lambda: explain.fantasy(model, (1, 8, 8), 1, steps=2),
        "equivariance": lambda: explain.equivariance(model, x, "shift", 1),
    }[name]()
    for key, tensor in model.named_buffers():
        assert tensor is before[key][0]
        assert torch.equal(tensor, before[key][1])


def test_a_watched_answer_of_several_goes_on_as_it_came():
    inner = nn.LSTM(3, 2, batch_first=True)
    with _nodes.watched(inner, "") as seen:
        out, (hidden, cell) = inner(torch.zeros(1, 4, 3))
    assert torch.equal(seen[0], out)
    assert hidden.shape == cell.shape == (1, 1, 2)


def test_vz4_a_compiled_model_is_asked_as_the_python_it_was():
    plain = nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.Softmax(1))
    compiled = torch.compile(plain, backend="eager")
    x = torch.randn(4, 1, 16)
    compiled(x)
    one, other = (explain.fantasy(model, (1, 16), 1, steps=20) for model in (plain, compiled))
    assert torch.equal(one, other)
    assert torch.equal(explain.features(compiled, x, "1"), explain.features(plain, x, "1"))


@pytest.mark.parametrize("node", ["1", "module.1"])
def test_one_name_means_a_layer_of_a_wrapped_model(node):
    model = net()
    x = images()
    found = explain.top_patches(nn.DataParallel(model), x, node, k=1)
    assert [p[0].value for p in found] == [p[0].value for p in explain.top_patches(model, x, "1", k=1)]


def test_ap6_samples_that_never_change_are_not_alike():
    x = torch.full((30, 1, 200), 0.1, dtype=torch.float64)
    x[:, :, ::10] = torch.randn(30, 1, 20, dtype=torch.float64)
    assert explain.suitability(x).locality < 0.1


@pytest.mark.parametrize("seed", range(3))
def test_rf3_a_softmax_over_channels_hides_no_field(seed):
    torch.manual_seed(seed)
    assert explain.empirical_field(nn.Sequential(nn.Conv1d(1, 3, 7), nn.Softmax(1)), (1, 1, 40))[:2] == ((7,), (1,))


def test_ex17_neighbours_far_beyond_the_square_root_of_the_largest_number():
    known = torch.tensor([[1e160], [3e160]], dtype=torch.float64)
    distances, places = explain.neighbours(known, torch.tensor([[1.2e160], [2.9e160]], dtype=torch.float64), k=1)
    assert places.tolist() == [[0], [1]]
    torch.testing.assert_close(distances, torch.tensor([[0.2e160], [0.1e160]], dtype=torch.float64))


def test_features_of_one_number_an_item():
    model = net(nn.Linear(3, 1), nn.Flatten(0))
    assert explain.features(model, images(), "").shape == (6, 1)


@pytest.mark.parametrize(("model", "shape"), [(nn.Linear(5, 2), (5,)), (nn.Linear(5, 2).half(), (5,))])
def test_vz4_fantasies_of_vectors_and_of_half_precision(model, shape):
    found = explain.fantasy(model, shape, 1, steps=5)
    assert (found.shape, found.dtype) == (shape, model.weight.dtype)


def test_pl14_the_margin_is_of_axes_that_move():
    turned = explain.equivariance(nn.Conv3d(1, 1, 1), torch.randn(1, 1, 2, 14, 14), "rotation", 90, margin=1)
    assert (turned.equivariance < 1e-6, turned.compared) == (True, 2 * 12 * 12)


@pytest.mark.parametrize("odd", ["reversed", "big-endian", "read-only"])
def test_odd_arrays_are_taken_everywhere(odd):
    x = images().numpy()
    made = {"reversed": x[..., ::-1], "big-endian": x.astype(">f4"), "read-only": x.copy()}[odd]
    made.flags.writeable = odd != "read-only"
    model, same = net(), np.ascontiguousarray(made, "f4")
    for f in (
        lambda x: explain.features(model, x, "1"),
        lambda x: explain.tuning_curve(model, x),
        lambda x: explain.effective_field(model, x, "0").map,
        lambda x: np.float64(explain.equivariance(model, x, "shift", 1, node="0").equivariance),
        lambda x: explain.neighbours(x.reshape(6, -1), x.reshape(6, -1), 2)[0],
    ):
        assert np.array_equal(np.asarray(f(made)), np.asarray(f(same)))


def test_what_cannot_be_meant_is_one_line():
    with pytest.raises(ValueError, match="x is float64, and the model float32: give x as float32"):
        explain.saliency(net(), images().double(), 1)
    with pytest.raises(ValueError, match="answers to the stimuli are NaN"):
        explain.best_stimulus(net(), images() * torch.nan)
    with pytest.raises(ValueError, match="amount nan of a contrast is no finite number"):
        explain.equivariance(net(), images(), "contrast", torch.nan)
