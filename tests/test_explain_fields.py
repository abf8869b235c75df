"""Fields as gradients find them, equivariance, and what is suited for convolution: laws, and oracles in float64."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from strategies import examples
from test_summary import Steps, stacks
from torch import nn
from torch.nn import functional as F

import sigconv as sc
from sigconv import explain, models
from sigconv.datasets import mnist1d


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(*shape, dtype=torch.float64, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=dtype)


def filled(model, seed=0):
    """The model with weights the seed draws, in float64 and at rest."""
    model = model.double().eval()
    generator = seeded(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


def branched(ndim):
    """A wide and a narrow way that join, a skip over a dilated layer, maxima that choose, a rectification."""
    return nn.Sequential(
        Steps(
            lambda self, x: torch.cat([self.a(x).relu(), self.b(self.p(x))], 1),
            a=sc.Conv(1, 2, 3, padding="same", ndim=ndim),
            b=sc.Conv(1, 1, 1, ndim=ndim),
            p=sc.MaxPool(5, 1, padding=2),
        ),
        sc.MaxPool(2),
        Steps(lambda self, x: F.relu(x + self.c(x)), c=sc.Conv(3, 3, 2, dilation=2, padding="same", ndim=ndim)),
    )


@pytest.mark.parametrize(("ndim", "n"), [(1, 40), (2, 24), (3, 20), (4, 14)])
def test_rf3_gradient_support_is_the_receptive_field_of_branched_networks(ndim, n):
    model, shape = branched(ndim), (1, 1, *[n] * ndim)
    found = explain.empirical_field(model, shape)
    assert found[:3] == sc.receptive_field(model, input_shape=shape)
    assert found.size == (10,) * ndim
    assert found.mask.shape == (n,) * ndim


@examples(20)
@given(stacks())
def test_rf3_gradient_support_is_the_receptive_field_of_any_stack(model):
    shape = (1, 1, 260)
    assert explain.empirical_field(model, shape)[:3] == sc.receptive_field(model, input_shape=shape)


@pytest.mark.parametrize("spec", ["resnet:18", "mobilenet", "nin", "unet:near"])
def test_rf3_gradient_support_is_the_receptive_field_of_architectures(spec):
    model = models.build(spec, ndim=1, width=0.125) if spec != "unet:near" else models.build(spec, ndim=1)
    shape = (1, next(model.parameters()).shape[1], 1000)
    found, told = explain.empirical_field(model, shape), sc.receptive_field(model, input_shape=shape)
    assert (found.size, found.jump) == (told.size, told.jump)
    assert abs(found.start[0] - told.start[0]) <= 0.5  # where maps were upsampled, half a sample is nobody's


def test_rf4_what_is_seen_is_what_moves_the_answer_when_it_is_stimulated():
    model = nn.Sequential(nn.Conv2d(1, 2, 3, dilation=2), nn.MaxPool2d(2), nn.Conv2d(2, 1, (1, 2))).double()
    for parameter in model.parameters():
        parameter.data.abs_()
    found = explain.empirical_field(model, (1, 1, 16, 15))
    quiet = torch.zeros(1, 1, 16, 15, dtype=torch.float64)
    row, column = ((n - 1) // 2 for n in model(quiet).shape[2:])
    moved = torch.zeros(16, 15, dtype=torch.bool)
    for place in np.ndindex(16, 15):
        light = quiet.clone()
        light[(0, 0, *place)] = 1.0
        moved[place] = bool((model(light) - model(quiet))[0, 0, row, column] > 0)
    assert torch.equal(found.mask, moved)
    assert found.size == (6, 8)


def test_rf3_dead_rectifications_and_opposite_branches_hide_nothing():
    conv = nn.Conv1d(1, 1, 3)
    conv.bias.data.fill_(-1e6)
    opposite = Steps(lambda self, x: self.a(x) - self.b(x), a=nn.Conv1d(1, 1, 3), b=nn.Conv1d(1, 1, 3))
    opposite.b.load_state_dict(opposite.a.state_dict())
    nothing = nn.Conv1d(1, 1, 3)
    nn.init.zeros_(nothing.weight)
    for layer in (nn.Sequential(conv, nn.ReLU()), opposite, nothing):
        assert explain.empirical_field(layer, (1, 1, 9))[:3] == ((3,), (1,), (1,))


def test_rf3_a_weight_that_is_masked_is_not_seen():
    conv = nn.Conv1d(1, 1, 5)
    conv.weight.data[..., 3:] = 0.0  # causal
    found = explain.empirical_field(conv, (1, 1, 11))
    assert (found.size, found.mask.nonzero().flatten().tolist()) == ((3,), [3, 4, 5])


def test_rf3_long_kernels_leave_no_roundings_outside():
    model = sc.Conv(1, 1, 301, ndim=1, method="fft")
    assert explain.empirical_field(model, (1, 1, 2000))[:3] == sc.receptive_field(model, input_shape=(1, 1, 2000))


def test_rf3_a_node_and_answers_without_space():
    model = nn.Sequential(nn.Conv1d(1, 4, 5), nn.ReLU(), nn.MaxPool1d(3, 2), nn.Flatten(), nn.Linear(4 * 12, 3))
    assert explain.empirical_field(model, (1, 1, 30), "0")[:3] == ((5,), (1,), (2,))
    assert explain.empirical_field(model, (1, 1, 30))[:3] == ((7,), (2,), (3,))
    assert explain.empirical_field(model, (8, 1, 30), "4")[:3] == ((29,), None, (14.0,))


def test_rf2_the_lectures_last_layer_sees_all_eleven_samples_but_for_what_is_cut_off():
    model = nn.Sequential(*[nn.Conv1d(1, 1, 3, s, 1) for s in (1, 1, 2, 1)])
    assert explain.empirical_field(model, (1, 1, 41))[:3] == ((11,), (2,), (0,))
    assert explain.empirical_field(model, (1, 1, 11))[:2] == ((10,), (2,))


def test_rf3_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Conv1d(1, 2, 3), nn.BatchNorm1d(2), nn.ReLU(inplace=True), nn.Dropout(0.5))
    model[0].weight.requires_grad_(False)
    model[3].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    first = explain.empirical_field(model, (1, 1, 12))
    x = noise(2, 1, 12, dtype=torch.float32)
    kept = x.clone()
    explain.effective_field(model, x)
    explain.equivariance(model, x)
    assert torch.equal(x, kept)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert [m.training for m in model] == [True, True, True, False]
    assert [p.requires_grad for p in model.parameters()] == [False, True, True, True]
    assert all(p.grad is None for p in model.parameters())
    assert not any(m._forward_hooks for m in model.modules())
    assert torch.equal(first.mask, explain.empirical_field(model, (1, 1, 12)).mask)


def test_rf4_the_effective_field_of_one_filter_is_its_square():
    taps, more = np.array([1.0, -2.0, 3.0]), np.array([2.0, 1.0])
    model = nn.Sequential(nn.Conv1d(1, 1, 3, bias=False), nn.Conv1d(1, 1, 2, bias=False)).double()
    model[0].weight.data[0, 0], model[1].weight.data[0, 0] = torch.tensor(taps), torch.tensor(more)
    square = np.convolve(taps, more) ** 2
    share = np.zeros(10)
    share[2:6] = square / square.sum()
    found = explain.effective_field(model, np.zeros((2, 1, 10)), position=[2])
    assert isinstance(found.map, np.ndarray)
    np.testing.assert_allclose(found.map, share, rtol=1e-14)
    middle = (np.arange(10) * share).sum()
    np.testing.assert_allclose(found.middle, [middle], rtol=1e-13)
    np.testing.assert_allclose(found.deviation, [np.sqrt(((np.arange(10) - middle) ** 2 * share).sum())], rtol=1e-13)
    assert found.share == (np.abs(square) ** 0.5 > 0.0455 * square.max() ** 0.5).sum() / 4


@pytest.mark.parametrize("layers", [4, 9])
def test_rf4_the_effective_field_grows_as_the_root_of_the_depth(layers):
    model = filled(nn.Sequential(*[nn.Conv2d(1 if n == 0 else 24, 24, 3, bias=False) for n in range(layers)]))
    found = explain.effective_field(model, torch.zeros(1, 1, 25, 25, dtype=torch.float64), draws=24)
    np.testing.assert_allclose(found.deviation, math.sqrt(layers * 8 / 12), rtol=0.1)
    assert float(found.map.sum()) == pytest.approx(1, rel=1e-12)
    assert found.share <= 1


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_rf4_squares_are_averaged_over_items_and_channels(ndim):
    model = filled(nn.Sequential(sc.Conv(2, 3, 3, ndim=ndim), nn.Tanh(), sc.Conv(3, 5, 2, ndim=ndim)))
    x = noise(2, 2, *[6] * ndim).requires_grad_()
    y, total = model(x), 0
    for item in range(2):
        for channel in range(5):
            (g,) = torch.autograd.grad(y[(item, channel, *[1] * ndim)], x, retain_graph=True)
            total = total + g.square().sum((0, 1))
    found = explain.effective_field(model, x.detach())
    torch.testing.assert_close(found.map, total / total.sum(), rtol=1e-12, atol=1e-15)
    drawn = explain.effective_field(model, x.detach(), draws=4, seed=3)
    assert not torch.equal(drawn.map, found.map)
    assert float((drawn.map - found.map).abs().sum()) < 1


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_pl14_cv6_a_circular_convolution_moves_with_its_input_exactly(ndim):
    model = filled(sc.Conv(2, 3, 3, padding="same", padding_mode="circular", ndim=ndim))
    x = noise(2, 2, *[7] * ndim)
    found = explain.equivariance(model, x, "shift", 3, margin=0)
    assert found.equivariance < 1e-14
    assert found.invariance > 0.5
    assert found.compared == 7**ndim
    assert explain.equivariance(model.float(), x.float(), "shift", -2, margin=0).equivariance < 1e-6


def test_pl14_zero_padding_is_exact_away_from_the_ends_alone():
    model = filled(nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 5, 2, 2)))
    x = noise(1, 1, 24, 30)
    inner = explain.equivariance(model, x, "shift", (2, -4))
    assert inner.equivariance < 1e-14
    assert 0 < inner.compared < 12 * 15
    assert explain.equivariance(model, x, "shift", (2, -4), margin=0).equivariance > 0.01
    along = explain.equivariance(model, x, "shift", 2, axes=[0])  # other axes keep their ends: all is compared there
    assert along.equivariance < 1e-14
    assert along.compared % 15 == 0
    with pytest.raises(ValueError, match="margin 6 leaves nothing"):
        explain.equivariance(model, x, margin=6)


def test_pl14_max_pooling_moves_with_even_shifts_only():
    x = noise(2, 3, 16)
    errors = [explain.equivariance(nn.MaxPool1d(2), x, "shift", step).equivariance for step in range(5)]
    assert errors[0] == errors[2] == errors[4] == 0
    assert min(errors[1], errors[3]) > 0.1


def test_pl14_what_is_pooled_over_all_of_space_stays_and_a_dense_head_does_not():
    x = noise(4, 1, 32, 32)
    assert explain.equivariance(sc.GlobalAvgPool(), x, "shift", 5).invariance < 1e-13
    found = explain.equivariance(filled(models.build("lenet", ndim=2)), x, "shift", 5)
    assert found.compared == 1
    assert found.invariance == found.equivariance > 1e-3


def test_pl14_untied_weights_do_not_move():
    x = noise(1, 1, 12)
    untied = filled(sc.LocalConv(1, 1, (3,), (12,)))
    tied = filled(nn.Conv1d(1, 1, 3))
    assert explain.equivariance(tied, x).equivariance < 1e-14 < 0.1 < explain.equivariance(untied, x).equivariance


def test_pl14_normalization_over_an_item_alone_takes_contrast_away():
    x = noise(3, 4, 20)
    batch = nn.BatchNorm1d(4).double()
    assert explain.equivariance(nn.InstanceNorm1d(4), x, "contrast", (2.0, 3.0)).invariance < 1e-4
    assert explain.equivariance(batch, x, "contrast", (2.0, 3.0)).invariance > 1
    assert explain.equivariance(nn.AvgPool1d(3), x, "contrast", (2.0, 3.0)).equivariance < 1e-14
    assert explain.equivariance(nn.MaxPool1d(3), x, "contrast", -1.0).equivariance > 0.1
    assert explain.equivariance(nn.Linear(20, 20, bias=False).double(), x, "contrast", 2.0).equivariance < 1e-14
    head = nn.Sequential(nn.Flatten(), nn.Linear(80, 3, bias=False)).double()
    assert explain.equivariance(head, x, "contrast", 2.0)[:2] == pytest.approx((0, 1), abs=1e-13)


def round_and_edge(ndim=2):
    """A filter that is the same from all sides, and one that is not."""
    places = torch.meshgrid(*[torch.arange(-3.0, 4)] * ndim, indexing="ij")
    bell = torch.exp(-sum(p.square() for p in places) / 4).double()
    found = []
    for taps in (bell, bell * places[0]):
        found.append(sc.Conv(1, 1, 7, padding="same", bias=False, ndim=ndim, dtype=torch.float64))
        found[-1].weight.data[0, 0] = taps
    return found


@pytest.mark.parametrize("ndim", [2, 3, 4])
def test_pl14_quarter_turns_are_exact_and_a_filter_with_a_direction_does_not_turn(ndim):
    bell, edge = round_and_edge(ndim)
    x = noise(1, 1, *[8] * ndim)
    for axes in (None, (1, 0)):
        found = explain.equivariance(bell, x, "rotation", 90, axes=axes)
        assert found.equivariance < 1e-14 < found.invariance
    assert explain.equivariance(edge, x, "rotation", 270, axes=(0, 1)).equivariance > 0.5


@pytest.mark.parametrize(("kind", "amount"), [("rotation", 30.0), ("scale", 1.2), ("scale", 0.8)])
@pytest.mark.parametrize("ndim", [2, 3])
def test_pl14_other_turns_and_scalings_are_exact_where_interpolation_is(kind, amount, ndim):
    places = torch.meshgrid(*[torch.arange(24.0, dtype=torch.float64)] * ndim, indexing="ij")
    ramp = (places[0] + 0.3 * places[-1] - 2)[None, None]  # linear interpolation makes no error of it
    pool = sc.AvgPool(3, 2)  # whose middle is not the input's
    found = explain.equivariance(pool, ramp, kind, amount, axes=(0, ndim - 1))
    assert found.equivariance < 1e-13 < 1e-2 < found.invariance
    assert 0 < found.compared <= 11**ndim - (amount != 1.2)  # what grows shows nothing from beyond


@pytest.mark.parametrize(("kind", "amount"), [("rotation", 30.0), ("scale", 1.2), ("scale", 0.8)])
def test_pl14_a_round_filter_turns_and_scales_better_than_one_with_a_direction(kind, amount):
    places = torch.meshgrid(*[torch.linspace(-1, 1, 40, dtype=torch.float64)] * 2, indexing="ij")
    x = (torch.sin(5 * places[0] + 1) * torch.cos(4 * places[-1]))[None, None]
    near, far = (explain.equivariance(filter_, x, kind, amount).equivariance for filter_ in round_and_edge())
    assert near < 0.1
    assert far > 1.5 * near


def test_pl14_pl12_a_maximum_over_the_group_does_not_change():
    _, edge = round_and_edge()
    x = noise(2, 1, 9, 9)
    pooled = sc.GroupMaxPool(lambda x: edge(x).amax((2, 3)), "rot90")
    assert explain.equivariance(pooled, x, "rotation", 90).invariance < 1e-14
    assert explain.equivariance(nn.Sequential(edge, sc.GlobalMaxPool()), x, "rotation", 90).invariance > 1e-3


def test_pl14_any_function_and_any_layer():
    net = filled(nn.Sequential(nn.Conv1d(1, 2, 3), nn.ReLU(), sc.GlobalAvgPool()))
    net[0].weight.data[..., 2] = net[0].weight.data[..., 0]
    x = noise(2, 1, 10)
    flip = lambda x: x.flip(2)
    assert explain.equivariance(net, x, flip, node="0").equivariance < 1e-14
    assert explain.equivariance(net, x, flip).invariance < 1e-14
    assert explain.equivariance(net, x, flip, node="0", answers=lambda y: y).equivariance > 0.1
    still = explain.equivariance(nn.Conv1d(1, 1, 1, dtype=torch.float64), torch.zeros(1, 1, 5, dtype=torch.float64))
    assert still[:2] == (0.0, 0.0)


def test_ap6_signals_are_suited_and_shuffled_ones_and_tables_are_not():
    drawn = mnist1d.generate(500)
    suited = explain.suitability(drawn.x_train[:, None])
    assert suited.suited
    assert (suited.locality_p, suited.why[:7]) == (0.01, "suited:")
    shuffled = explain.suitability(mnist1d.generate(500, shuffle=True).x_train[:, None])
    assert not shuffled.suited
    assert shuffled.locality_p > 0.05
    assert shuffled.locality < suited.locality / 2


def test_ap6_tables_are_not_suited():
    table = noise(200, 3) @ noise(3, 12, seed=1) + 0.3 * noise(200, 12, seed=2)  # columns that hang together
    orders = [torch.randperm(12, generator=seeded(n)) for n in range(20)]
    found = [explain.suitability(table[:, None, order], shuffles=39) for order in orders]
    assert sum(f.suited for f in found) < 5  # 1 expected, as P values are: 5 or more of 20 have 0.003
    assert any(f.why.startswith("not suited: neighbours are no more alike") for f in found)
    units = explain.suitability((table * torch.logspace(-1, 2, 12) + torch.linspace(5, 300, 12))[:, None])
    columns = explain.suitability(table[:, None])
    assert units.stationarity < 0.5 < columns.stationarity
    assert "position explains" in units.why
    assert not units.suited
    assert units.locality == pytest.approx(columns.locality, rel=1e-9)  # correlation knows no units


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_ap6_in_any_number_of_dimensions(ndim):
    white = noise(24, 2, *[8] * ndim)
    rough = explain.suitability(white, shuffles=39)
    soft = white
    for axis in range(2, 2 + ndim):
        soft = soft + soft.roll(1, axis)
    found = explain.suitability(soft, shuffles=39)
    assert found.suited
    assert found.locality == pytest.approx(0.5, abs=0.1)  # half of what neighbours are made of is the same
    assert not rough.suited
    assert rough.locality_p > 0.05
    assert found.stationarity > 0.9


def test_ap6_p_values_are_fair_where_there_is_nothing_to_find():
    found = [explain.suitability(noise(20, 1, 16, seed=seed), shuffles=19, seed=seed) for seed in range(60)]
    for values in ([f.locality_p for f in found], [f.stationarity_p for f in found]):
        assert 0.35 < np.mean(values) < 0.7
        assert np.mean(np.array(values) <= 0.05) < 0.17  # 0.05 expected: P(11 or more of 60) is below 0.001


def test_ap6_stationarity_is_what_position_explains():
    x = noise(200, 1, 64)
    sizes = []
    for step in (0.0, 0.5, 1.0, 4.0):
        moved = x.clone()
        moved[..., 32:] += step
        sizes.append(explain.suitability(moved, shuffles=19).stationarity)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 0.98
    # of patch means, variance 1 / 8 about their place and step^2 / 4 between places; of deviations, nothing
    expected = 1 - (4.0 / (4.0 + 1 / 8)) / 2
    assert sizes[3] == pytest.approx(expected, abs=0.02)
    louder = x.clone()
    louder[..., 32:] *= 3
    assert explain.suitability(louder, shuffles=19).stationarity < 0.7


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: explain.empirical_field(nn.ReLU(), (1, 3)), "has no axes of space"),
        (lambda: explain.empirical_field(nn.Conv1d(1, 1, 3), (1, 1, 9), "conv"), "node 'conv' is no layer"),
        (lambda: explain.empirical_field(Steps(lambda s, x: torch.ones(1, 1, 9)), (1, 1, 9)), "nothing is seen"),
        (lambda: explain.empirical_field(nn.Conv1d(1, 1, 3), (1, 1, 9), trials=0), "trials 0 must be at least 1"),
        (lambda: explain.effective_field(nn.ReLU(), torch.ones(3, 2)), "expected floating"),
        (
            lambda: explain.effective_field(nn.ReLU(), torch.ones(1, 1, 3), position=[3]),
            r"position \(3,\) lies outside",
        ),
        (lambda: explain.effective_field(nn.ReLU(), -torch.ones(1, 1, 3)), "no sample moves position"),
        (lambda: explain.equivariance(nn.ReLU(), torch.ones(1, 1, 3), "shear"), "transform 'shear' is not one of"),
        (lambda: explain.equivariance(nn.ReLU(), torch.ones(1, 1, 3), "rotation"), "turns one axis towards another"),
        (lambda: explain.equivariance(nn.ReLU(), torch.ones(1, 1, 3), "scale", 0.0), "expected a factor above 0"),
        (lambda: explain.equivariance(nn.ReLU(), torch.ones(1, 1, 3), node="a"), "node 'a' is no layer"),
        (lambda: explain.suitability(torch.ones(9, 3)), "expected real"),
        (lambda: explain.suitability(torch.ones(3, 1, 9)), "8 items or more"),
        (lambda: explain.suitability(torch.full((9, 1, 9), torch.nan)), "not finite"),
    ],
)
def test_errors_name_the_value(call, error):
    with pytest.raises(ValueError, match=error):
        call()
