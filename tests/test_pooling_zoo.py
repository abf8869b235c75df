"""Every other pooling, against torch, written-out loops and published formulas."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples
from torch.nn import functional as F

import sigconv as sc
from sigconv import nd, pooling
from sigconv.pooling import _options


def each_window(x, kernel, stride):
    """Positions and windows (batch, channels, samples) of x, by loops."""
    sizes = [(n - k) // s + 1 for n, k, s in zip(x.shape[2:], kernel, stride, strict=True)]
    for position in itertools.product(*map(range, sizes)):
        at = tuple(slice(p * s, p * s + k) for p, k, s in zip(position, kernel, stride, strict=True))
        yield position, x[(..., *at)].flatten(2)


@st.composite
def volumes(draw, most=4):
    ndim = draw(st.integers(1, most))
    each = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(ndim))
    kernel, stride = each(1, 3), each(1, 3)
    x = torch.randn(2, 2, *each(3, 5), generator=torch.Generator().manual_seed(draw(st.integers(0, 99))))
    return x.double(), kernel, stride


DEFINED = {
    "lse": (lambda x, k, s: sc.lse_pool(x, k, s, beta=2.0), lambda w: (2 * w).exp().mean(-1).log() / 2),
    "softmax": (lambda x, k, s: sc.softmax_pool(x, k, s, beta=2.0), lambda w: (w * (2 * w).softmax(-1)).sum(-1)),
    "lp": (lambda x, k, s: sc.lp_pool(x, 2.5, k, s), lambda w: (w.abs() ** 2.5).sum(-1) ** 0.4),
    "lp mean": (lambda x, k, s: sc.lp_pool(x, 3, k, s, mean=True), lambda w: (w.abs() ** 3).mean(-1) ** (1 / 3)),
    "lp inf": (lambda x, k, s: sc.lp_pool(x, math.inf, k, s), lambda w: w.abs().amax(-1)),
    "expectation": (
        lambda x, k, s: sc.stochastic_pool(x, k, s, training=False),
        lambda w: (w.relu() ** 2).sum(-1) / w.relu().sum(-1).clamp(min=1e-300),
    ),
}


@pytest.mark.parametrize("name", DEFINED)
@examples(30)
@given(drawn=volumes())
def test_pl4_pl5_poolings_are_their_formulas_on_one_to_four_axes(name, drawn):
    pool, formula = DEFINED[name]
    x, kernel, stride = drawn
    y = pool(x, kernel, stride)
    for position, window in each_window(x, kernel, stride):
        torch.testing.assert_close(y[(..., *position)], formula(window))


@pytest.mark.parametrize("name", DEFINED)
@pytest.mark.parametrize("ndim", [1, 2, 4])
def test_pl15_gradients_of_the_smooth_poolings(name, ndim):
    x = torch.randn(1, 2, *[3] * ndim, dtype=torch.float64, requires_grad=True)
    pool = DEFINED[name][0]
    assert torch.autograd.gradcheck(lambda x: pool(x, 2, 1), x)
    if name != "lp inf":
        assert torch.autograd.gradcheck(lambda x: pool(x, 2, 1), x, check_forward_ad=True)


@examples(60)
@given(volumes(3), st.sampled_from([1, 2, 3, 4, 1.5]), st.booleans())
def test_lp_is_that_of_torch_for_positive_values_hanging_windows_too(drawn, p, ceil_mode):
    x, kernel, stride = drawn
    torchs, sizes = getattr(F, f"lp_pool{x.ndim - 2}d"), (kernel, stride) if x.ndim > 3 else (kernel[0], stride[0])
    for values in (x.abs() + 0.1, x.abs().float() + 0.1):
        theirs = torchs(values, p, *sizes, ceil_mode=ceil_mode)
        torch.testing.assert_close(sc.lp_pool(values, p, kernel, stride, ceil_mode=ceil_mode), theirs)
        leaf, other = (values.clone().requires_grad_() for _ in range(2))
        sc.lp_pool(leaf, p, kernel, stride, ceil_mode=ceil_mode).square().sum().backward()
        torchs(other, p, *sizes, ceil_mode=ceil_mode).square().sum().backward()
        torch.testing.assert_close(leaf.grad, other.grad, rtol=1e-4, atol=1e-5)


def test_n5_lp_of_halves_is_finite_whenever_the_true_value_is():
    x = torch.full((1, 1, 16), 200.0, dtype=torch.float16)
    assert sc.lp_pool(x, 2, 16).item() == 800
    for p in (0.5, 1, 2, 3, 10, 200.0):
        for value, dtype in (
            (2e4, torch.float16),
            (1e-7, torch.float16),
            (1e37, torch.float32),
            (1e-37, torch.float32),
        ):
            y = sc.lp_pool(torch.full((1, 1, 2), value, dtype=dtype), p, 2, mean=True)
            torch.testing.assert_close(y, torch.full((1, 1, 1), value, dtype=dtype), rtol=2e-3, atol=0)
    big = torch.full((1, 1, 2), 1e300, dtype=torch.float64)
    torch.testing.assert_close(sc.lp_pool(big, 3, 2).item(), 1e300 * 2 ** (1 / 3))
    ones = torch.ones(1, 1, 256, 256, dtype=torch.float16)
    assert sc.lp_pool(ones, 2, 256).item() == 256
    for pool in (sc.lse_pool, sc.softmax_pool):
        assert pool(x, 16).item() == 200
    assert sc.stochastic_pool(x * 300, 16, training=False).item() == 60000


@pytest.mark.parametrize("p", [0.5, 1, 2, 3, 2.5, 7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_n5_the_gradient_of_lp_is_finite_where_samples_are_zero(p, dtype):
    x = torch.tensor([[[0.0, 0.0, 0.0, 2.0]]], dtype=dtype, requires_grad=True)
    sc.lp_pool(x, p, 2).sum().backward()
    assert x.grad.flatten().tolist()[:3] == [0, 0, 0]
    torch.testing.assert_close(x.grad[0, 0, 3].item(), 1.0)


def test_lse_and_softmax_lie_between_mean_and_maximum():
    x = torch.randn(2, 3, 12, dtype=torch.float64)
    for pool in (sc.lse_pool, sc.softmax_pool):
        torch.testing.assert_close(pool(x, 3, beta=0.0), sc.avg_pool(x, 3))
        torch.testing.assert_close(pool(x, 3, beta=1e-9), sc.avg_pool(x, 3), rtol=1e-7, atol=1e-8)
        assert (pool(x, 3, beta=5.0) <= sc.max_pool(x, 3)).all()
    torch.testing.assert_close(sc.softmax_pool(x, 3, beta=1e4), sc.max_pool(x, 3))
    torch.testing.assert_close(sc.lse_pool(x, 3, beta=-1e6), -sc.max_pool(-x, 3), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(sc.lse_pool(x + 1e4, 3), sc.lse_pool(x, 3) + 1e4)  # no exponent overflows
    small = sc.lse_pool(x.float(), 3, beta=1e-4)
    torch.testing.assert_close(small, sc.avg_pool(x.float(), 3), rtol=1e-3, atol=2e-4)
    apart = torch.zeros(1, 1, 1000)
    apart[0, 0, 0] = 50
    torch.testing.assert_close(sc.lse_pool(apart, 1000).item(), 50 - math.log(1000), rtol=1e-6, atol=0)


def test_pl4_beta_can_be_learned_one_a_channel():
    layer = sc.SoftmaxPool(2, beta=2.0, learnable=True, channels=3)
    x = torch.randn(4, 3, 6, 6)
    torch.testing.assert_close(layer(x), sc.softmax_pool(x, 2, beta=2.0))
    layer(x).sum().backward()
    assert layer.beta.grad.abs().min() > 0
    betas = torch.tensor([0.0, 1.0, 50.0])
    y = sc.softmax_pool(x, 2, beta=betas)
    for channel, beta in enumerate(betas.tolist()):
        torch.testing.assert_close(y[:, channel], sc.softmax_pool(x, 2, beta=beta)[:, channel])
    assert [n for n, _ in sc.LSEPool(2, learnable=True).named_parameters()] == ["beta"]
    assert not list(sc.SoftmaxPool(2).state_dict())
    with pytest.raises(ValueError, match=r"beta has shape \(2,\): expected one number, or \(3,\)"):
        sc.softmax_pool(x, 2, beta=torch.ones(2))


def test_samples_that_do_not_count_do_not_count():
    x = torch.randn(1, 2, 5, dtype=torch.float64)
    for pool in (sc.lse_pool, sc.softmax_pool):
        y = pool(x, 3, 2, padding=1)
        torch.testing.assert_close(y[..., 0], pool(x[..., :2], 2)[..., 0])
        hanging = pool(x, 2, 2, ceil_mode=True)
        torch.testing.assert_close(hanging[..., 2], x[..., 4])
        for mode in nd.PADDING_MODES:
            padded = nd.pad(x, ((1, 2),), mode)
            torch.testing.assert_close(pool(x, 3, 1, padding=(1, 2), padding_mode=mode), pool(padded, 3, 1))
    for mode in nd.PADDING_MODES:
        padded = nd.pad(x, ((1, 2),), mode)
        for pool in (lambda x, **o: sc.lp_pool(x, 3, 3, 1, **o), lambda x, **o: sc.blur_pool(x, 3, 1, **o)):
            other = pool(padded, padding=0)
            torch.testing.assert_close(pool(x, padding=(1, 2), padding_mode=mode), other)


def test_n24_stochastic_frequencies_are_the_probabilities():
    from scipy import stats

    values = torch.tensor([1.0, 0.0, 3.0, -5.0, 4.0, 2.0])
    x = values.expand(1, 20000, 6).contiguous()
    y, where = sc.stochastic_pool(x, 6, generator=torch.Generator().manual_seed(7), return_indices=True)
    counts = torch.bincount(where.flatten(), minlength=6).numpy()
    assert counts[1] == counts[3] == 0
    some = np.array([0, 2, 4, 5])
    expected = 20000 * values.numpy()[some] / 10
    assert stats.chisquare(counts[some], expected).pvalue > 1e-3
    assert torch.equal(y.flatten(), values[where.flatten()])


def test_pl5_the_expectation_has_the_gradient_of_c8_and_a_draw_that_of_its_sample():
    a = torch.tensor([[[1.0, 0.0, 3.0, 4.0]]], dtype=torch.float64, requires_grad=True)
    sc.stochastic_pool(a, 4, training=False).sum().backward()
    total, squares = a.detach().sum(), a.detach().square().sum()
    torch.testing.assert_close(a.grad, (2 * a.detach() * total - squares) / total**2)
    x = torch.rand(2, 3, 4, 6, dtype=torch.float64, requires_grad=True)
    y, where = sc.stochastic_pool(x, 2, return_indices=True)
    y.sum().backward()
    assert torch.equal(x.grad, torch.zeros_like(x).flatten(2).scatter(2, where.flatten(2), 1.0).view_as(x))


def test_n24_regions_without_a_positive_value_give_zero_and_no_gradient():
    x = torch.tensor([[[0.0, 0.0, -1.0, -2.0, math.nan, 1.0, math.inf, 3.0]]], requires_grad=True)
    for training in (True, False):
        y = sc.stochastic_pool(x, 2, training=training)
        assert y[0, 0, :2].tolist() == [0, 0]
        assert y[0, 0, 2].isnan()
        assert y[0, 0, 3] == math.inf
        (slope,) = torch.autograd.grad(y[..., :2].sum(), x)
        assert slope[0, 0, :4].tolist() == [0, 0, 0, 0]
    where = sc.stochastic_pool(x, 2, return_indices=True)[1]
    assert where.flatten().tolist() == [0, 2, 4, 6]


def test_n24_a_layers_own_generator_travels_in_the_checkpoint():
    x = torch.rand(1, 2, 64)
    layer = sc.StochasticPool(4, seed=3)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    layer(x)
    assert torch.equal(torch.get_rng_state(), before)  # torch's own generator is left alone
    other = sc.StochasticPool(4, seed=9)
    other.load_state_dict({name: value.clone() for name, value in layer.state_dict().items()})
    twin = copy.deepcopy(layer)
    draws = [layer(x) for _ in range(3)]
    for again in (other, twin):
        assert all(torch.equal(again(x), draw) for draw in draws)
    assert not all(torch.equal(draw, draws[0]) for draw in draws)
    layer.eval()
    assert torch.equal(layer(x), sc.stochastic_pool(x, 4, training=False))
    free = sc.StochasticPool(4)
    assert not free.state_dict()
    torch.manual_seed(5)
    once = free(x)
    torch.manual_seed(5)
    assert torch.equal(free(x), once)


@examples(60)
@given(volumes(4))
def test_pl9_unpooling_puts_maxima_back_and_pooling_again_keeps_them(drawn):
    x, kernel, _ = drawn
    x = x.abs() + 0.1
    y, where = sc.max_pool(x, kernel, return_indices=True)
    back = sc.max_unpool(y, where, kernel, output_size=x.shape)
    assert back.shape == x.shape
    assert torch.equal(sc.max_pool(back, kernel), y)
    assert torch.equal(back[back != 0].sort().values, y.flatten().sort().values)
    assert torch.equal(back * (back == x), back)
    if x.ndim < 6:
        theirs = getattr(F, f"max_unpool{x.ndim - 2}d")(y, where, kernel, output_size=x.shape[2:])
        assert torch.equal(back, theirs)


def test_pl9_overlapping_windows_are_as_declared():
    x = torch.tensor([[[0.0, 3.0, 0.0]]])
    y, where = sc.max_pool(x, 2, 1, return_indices=True)
    assert sc.MaxUnpool(2, 1)(y, where).tolist() == [[[0, 3, 0]]]
    assert sc.max_unpool(y, where, 2, 1, overlap="sum").tolist() == [[[0, 6, 0]]]
    leaf = y.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda y: sc.max_unpool(y, where, 2, 1, overlap="sum"), leaf)


@pytest.fixture(params=["torch", "ours"])
def way(request, monkeypatch):
    """By torch's own functions, and by ours for any number of axes."""
    if request.param == "ours":
        real = nd.primitive
        none = lambda name, ndim: None if name.startswith(("adaptive", "max", "avg")) else real(name, ndim)
        monkeypatch.setattr("sigconv.nd.primitive", none)
        monkeypatch.setattr("sigconv.pooling.upsampling.TORCH", ())
    return request.param


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_adaptive_poolings_are_those_of_torch(ndim, way):
    x = torch.randn(2, 3, *(5, 7, 4)[:ndim], dtype=torch.float64)
    for size in (1, 2, 3, 5, 9, (None, 3, 2)[:ndim]):
        whole = (
            [n if m is None else m for n, m in zip(x.shape[2:], size, strict=True)] if isinstance(size, tuple) else size
        )
        avg, top = (getattr(F, f"adaptive_{kind}_pool{ndim}d") for kind in ("avg", "max"))
        torch.testing.assert_close(sc.AdaptiveAvgPool(size)(x), avg(x, whole))
        mine, theirs = sc.adaptive_max_pool(x, size, return_indices=True), top(x, whole, return_indices=True)
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_adaptive_and_pyramid_poolings_on_four_axes():
    x = torch.randn(1, 2, 3, 4, 5, 2, dtype=torch.float64, requires_grad=True)
    size = (2, 3, 2, 1)
    bins = [[(i * n // m, -(-(i + 1) * n // m)) for i in range(m)] for n, m in zip(x.shape[2:], size, strict=True)]
    avg, top = sc.adaptive_avg_pool(x, size), sc.AdaptiveMaxPool(size)(x)
    for position in itertools.product(*map(range, size)):
        window = x[(..., *(slice(*bins[a][p]) for a, p in enumerate(position)))].flatten(2)
        torch.testing.assert_close(avg[(..., *position)], window.mean(-1))
        assert torch.equal(top[(..., *position)], window.amax(-1))
    for pool in (sc.adaptive_avg_pool, sc.adaptive_max_pool):
        assert torch.autograd.gradcheck(lambda x, pool=pool: pool(x, size), x)
    for shape in ((13, 17), (5, 4)):
        y = sc.PyramidPool()(torch.rand(2, 3, *shape))
        assert y.shape == (2, 3, 21)
    x = torch.rand(2, 3, 9)
    assert torch.equal(sc.pyramid_pool(x, (1, 3), "avg")[..., 1:], sc.adaptive_avg_pool(x, 3))


@pytest.mark.parametrize("ndim", [2, 3])
def test_fractional_pooling_is_that_of_torch_given_its_samples(ndim):
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(2, 3, *(11, 8, 9)[:ndim], generator=generator)
        samples = torch.rand(2, 3, ndim, generator=generator)
        kernel, size = (2, 3, 2)[:ndim], (5, 4, 6)[:ndim]
        torchs = getattr(F, f"fractional_max_pool{ndim}d")
        theirs = torchs(x, kernel, size, _random_samples=samples, return_indices=True)
        mine = sc.fractional_max_pool(x, kernel, size, samples=samples, return_indices=True)
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


@pytest.mark.parametrize("ndim", [1, 2, 4])
def test_fractional_windows_are_disjoint_or_of_the_size_said(ndim):
    n, m = 10, 7
    x = torch.arange(float(n**ndim)).reshape(1, 1, *[n] * ndim).expand(2, 2, *[n] * ndim)
    _, where = sc.fractional_max_pool(x, None, m, disjoint=True, return_indices=True)
    last = torch.stack(torch.unravel_index(where, [n] * ndim))  # growing values: the last of each window
    for axis in range(ndim):
        along = last[axis].movedim(2 + axis, -1)
        steps = along.diff(dim=-1)
        assert (along[..., -1] == n - 1).all()
        assert set(steps.unique().tolist()) <= {1, 2}
    assert sc.FractionalMaxPool(2, output_ratio=0.7)(x).shape[2:] == (7,) * ndim
    one, two = (sc.fractional_max_pool(x, 2, m, generator=torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(one, two)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_pl8_pl10_upsampling_is_that_of_torch(ndim, way):
    x = torch.randn(2, 2, *(4, 3, 5)[:ndim], dtype=torch.float64)
    word = ("linear", "bilinear", "trilinear")[ndim - 1]
    for chosen in ({"scale_factor": 2}, {"scale_factor": (2.5, 1, 0.5)[:ndim]}, {"size": (7, 3, 6)[:ndim]}):
        torch.testing.assert_close(sc.upsample(x, **chosen), F.interpolate(x, **chosen))
        for corners in (False, True):
            mine = sc.upsample(x, mode="linear", align_corners=corners, **chosen)
            torch.testing.assert_close(mine, F.interpolate(x, mode=word, align_corners=corners, **chosen))


def test_pl8_pl10_upsampling_of_four_axes_repeats_and_interpolates():
    duplicated = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    assert sc.Upsample(2)(torch.tensor([[[[1, 2], [3, 4]]]]))[0, 0].tolist() == duplicated
    x = torch.randn(1, 2, 2, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    y = sc.upsample(x, 2)
    for offset in itertools.product((0, 1), repeat=4):
        assert torch.equal(y[(..., *(slice(o, None, 2) for o in offset))], x)
    axis = torch.randn(1, 1, 3, 1, 1, 1, dtype=torch.float64)
    lone = F.interpolate(axis.flatten(2), scale_factor=3, mode="linear")
    mine = sc.upsample(axis, 3, mode="linear")
    assert torch.allclose(mine, lone.view(1, 1, 9, 1, 1, 1).expand_as(mine))
    assert torch.autograd.gradcheck(lambda x: sc.upsample(x, 2, mode="linear"), x)


@pytest.mark.parametrize(("ndim", "scale"), [(1, 2), (2, 3), (3, 2), (4, 2), (2, (2, 3))])
def test_transposed_upsampling_begins_as_linear_interpolation_and_learns(ndim, scale):
    x = torch.randn(2, 3, *[4] * ndim)
    layer = sc.Upsample(scale, mode="transposed", channels=3, ndim=ndim)
    torch.testing.assert_close(layer(x), sc.upsample(x, scale, mode="linear"))
    layer(x).square().sum().backward()
    assert layer.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_blur_pool_is_a_depthwise_product_of_binomials(ndim):
    x = torch.randn(2, 3, *[6] * ndim, dtype=torch.float64)
    for size, weights in ((3, [1, 2, 1]), (5, [1, 4, 6, 4, 1]), (2, [1, 1])):
        taps = torch.tensor(weights, dtype=torch.float64) / sum(weights)
        kernel = taps
        for _ in range(ndim - 1):
            kernel = kernel.unsqueeze(-1) * taps
        weight = kernel.expand(3, 1, *kernel.shape)
        expected = sc.conv(x, weight, stride=2, padding="same", padding_mode="reflect", groups=3)
        torch.testing.assert_close(sc.blur_pool(x, size), expected)
        torch.testing.assert_close(sc.BlurPool(taps=weights)(x), expected)
    constant = torch.ones_like(x)
    torch.testing.assert_close(sc.blur_pool(constant, 4), constant[(..., *[slice(0, None, 2)] * ndim)])


def test_pl13_a_shift_changes_blurred_maxima_less_than_strided_ones():
    x = torch.randn(8, 4, 65, generator=torch.Generator().manual_seed(0))
    pools = {0: lambda x: sc.max_pool(x, 2)}
    for taps in (3, 5):
        pools[taps] = lambda x, taps=taps: sc.max_blur_pool(x, 2, padding=((0, 1),), blur=taps)
    change = {}
    for taps, pool in pools.items():
        one, two = pool(x[..., :-1]), pool(x[..., 1:])
        change[taps] = ((one - two).abs().mean() / one.std()).item()
        if not taps:
            assert (one == two).float().mean() > 0.25  # "many of these maximum values remain the same"
    assert change[3] < 0.87 * change[0]  # 0.56 and 0.68 of a standard deviation
    assert change[5] < 0.75 * change[0]  # 0.48


@pytest.mark.parametrize(
    ("ndim", "group", "order"), [(2, "rot90", 4), (3, "rot90", 24), (2, "flip", 4), (3, "flip", 8)]
)
def test_pl12_pl14_the_maximum_over_a_group_is_invariant_under_it(ndim, group, order):
    x = torch.randn(2, 1, *[4] * ndim)
    calls = []
    weight = torch.randn(3, 1, *[4] * ndim)

    def feature(x):
        calls.append(x)
        return sc.conv(x, weight)

    y = sc.group_max_pool(x, feature, group)
    assert len(calls) == order
    assert len({tuple(c[0].flatten().tolist()) for c in calls}) == order  # no transform twice
    turned = x.rot90(1, (2, 3)) if group == "rot90" else x.flip(2)
    torch.testing.assert_close(sc.group_max_pool(turned, feature, group), y)
    assert not torch.allclose(feature(turned), feature(x))


def test_pl12_shifts_transforms_of_ones_own_and_modules():
    x = torch.randn(1, 2, 5, 3)
    feature = lambda x: x[:, :, 0, 0] * x[:, :, 1, 2]
    y = sc.group_max_pool(x, feature, "shift")
    torch.testing.assert_close(sc.group_max_pool(x.roll((2, 1), (2, 3)), feature, "shift"), y)
    own = [lambda x: x, lambda x: -x]
    assert torch.equal(sc.group_max_pool(x, lambda x: x.sum((2, 3)), own), x.sum((2, 3)).abs())
    layer = sc.GroupMaxPool(torch.nn.Conv2d(2, 4, 3), "flip")
    assert len(list(layer.parameters())) == 2
    assert layer(torch.randn(1, 2, 3, 3)).shape == (1, 4, 1, 1)


def test_pl3_average_pooling_with_a_gain_and_a_bias_to_learn():
    layer = sc.AvgPool(2, gain_bias_channels=6)
    assert sum(p.numel() for p in layer.parameters()) == 12  # LeNet's S2
    x = torch.randn(2, 6, 8, 8)
    torch.testing.assert_close(layer(x), F.avg_pool2d(x, 2))
    with torch.no_grad():
        layer.gain.mul_(3)
        layer.bias.add_(torch.arange(6))
    torch.testing.assert_close(layer(x), 3 * F.avg_pool2d(x, 2) + torch.arange(6.0).view(6, 1, 1))
    layer(x).sum().backward()
    assert torch.equal(layer.bias.grad, torch.full((6,), 32.0))


def test_pl6_pl7_the_four_by_four_example():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert sc.max_pool(x, 1, 2)[0, 0].tolist() == [[0, 2], [8, 10]]
    assert sc.max_pool(x, 2)[0, 0].tolist() == [[5, 7], [13, 15]]
    assert sc.avg_pool(x, 2)[0, 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]


def test_pl2_every_layer_keeps_the_channels_takes_arrays_and_is_known():
    options = {"LPPool": (3, 2), "FractionalMaxPool": (2, 3), "AdaptiveAvgPool": (2,), "AdaptiveMaxPool": (2,)}
    without = {"GlobalAvgPool", "GlobalMaxPool", "PyramidPool", "BlurPool"}
    x = torch.rand(2, 3, 8, 8)
    for name in pooling.__all__:
        kind = getattr(pooling, name)
        if not isinstance(kind, type) or name in ("Pool", "MaxUnpool", "GroupMaxPool"):
            continue
        layer = kind() if name in without else kind(*options.get(name, (2,)))
        assert layer(x).shape[:2] == (2, 3), name
        assert isinstance(type(layer).function, type(lambda: 0))
        assert isinstance(layer.options, dict)
        layer.eval()
        if name != "FractionalMaxPool":
            array = type(layer).function(x.numpy(), **layer.options, **layer.preset, **layer.held())
            np.testing.assert_array_equal(array, layer(x).numpy())
    assert repr(sc.StochasticPool(2, seed=4)) == "StochasticPool(kernel_size=2, seed=4)"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: sc.MaxPool(0), "kernel_size 0 must be at least 1"),
        (lambda: sc.MaxPool(2.5), "kernel_size 2.5 is not a whole number"),
        (lambda: sc.AvgPool(2, stride=0), "stride 0 must be at least 1"),
        (lambda: sc.MaxPool((2, 2), (1, 2, 3)), "kernel_size has 2 entries and stride has 3"),
        (lambda: sc.MaxPool(2, padding="smae"), "padding 'smae' is not one of"),
        (lambda: sc.AvgPool(2, padding_mode="mirror"), "padding_mode 'mirror' is not one of"),
        (lambda: sc.MaxPool(2, ceil_mode=1), "ceil_mode 1 is not True or False"),
        (lambda: sc.LPPool(0, 2), "norm_type 0 must be above 0"),
        (lambda: sc.LPPool("2", 2), "norm_type '2' is not a number"),
        (lambda: sc.LSEPool(2, beta=math.inf), "beta inf must be finite"),
        (lambda: sc.PyramidPool(kind="median"), "kind 'median' is not one of"),
        (lambda: sc.AdaptiveAvgPool(0), "output_size .* must be at least 1"),
        (lambda: sc.Upsample(2, mode="cubic"), "mode 'cubic' is not one of"),
        (lambda: sc.Upsample(2, mode="transposed"), "channels None with mode 'transposed'"),
        (lambda: sc.Upsample(2, mode="transposed", channels=3), "needs ndim"),
        (lambda: sc.Upsample(-1), "scale_factor -1 must be above 0"),
        (lambda: sc.StochasticPool(2, seed=-1), "seed -1 must be at least 0"),
        (lambda: sc.MaxUnpool(2, overlap="first"), "overlap 'first' is not one of"),
        (lambda: sc.FractionalMaxPool(2, output_ratio=1.5), "output_ratio 1.5 is not between 0 and 1"),
        (lambda: sc.AvgPool(2, gain_bias_channels=0), "gain_bias_channels 0 must be at least 1"),
        (lambda: sc.BlurPool(taps=[1, -1]), "have no finite sum other than 0"),
        (lambda: sc.BlurPool(9), "kernel_size 9 is not between 1 and 7"),
    ],
)
def test_layers_refuse_wrong_options_when_they_are_built(build, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        build()
    assert "\n" not in str(caught.value)


X = torch.rand(1, 2, 6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sc.lp_pool(X.int(), 2, 2), "x is torch.int32: lp_pool takes floating values"),
        (lambda: sc.stochastic_pool(X, 2, training=False, return_indices=True), "needs training=True"),
        (lambda: sc.stochastic_pool(X, 2, padding=1, padding_mode="zeros", return_indices=True), "no index to return"),
        (lambda: sc.lse_pool(X, 2, padding=2), "wholly outside"),
        (lambda: sc.upsample(X), "give one of them"),
        (lambda: sc.upsample(X, 2, align_corners=True), "align_corners=True has no meaning for mode 'nearest'"),
        (lambda: sc.max_unpool(X, torch.full((1, 2, 6), 99), 2), "indices from 99 to 99 do not fit space"),
        (lambda: sc.max_unpool(X, X, 2), "indices .* of torch.float32: expected"),
        (lambda: sc.max_unpool(X, X.long(), 2, output_size=20), "output_size .* is not within a stride"),
        (lambda: sc.fractional_max_pool(X, 2), "give one of them"),
        (lambda: sc.fractional_max_pool(X, 2, 6), "does not fit the 6 samples of axis 0"),
        (lambda: sc.fractional_max_pool(X, None, 3), "disjoint windows, and only they, have none"),
        (lambda: sc.fractional_max_pool(X, 2, 3, samples=torch.rand(1)), "samples have shape"),
        (lambda: sc.group_max_pool(X, torch.sum, "rot90"), "two axes to rotate"),
        (lambda: sc.group_max_pool(X, torch.sum, "turn"), "group 'turn' is not one of"),
        (lambda: sc.group_max_pool(X, torch.sum, []), "group is empty"),
        (lambda: sc.group_max_pool(torch.rand(1, 1, 2, 3), lambda x: x), "answers with shapes"),
        (lambda: sc.adaptive_avg_pool(X[..., :0], 2), "none of space empty"),
        (lambda: sc.avg_pool(X, 2, gain=torch.ones(3)), r"gain has shape \(3,\): expected \(2,\)"),
    ],
)
def test_errors_say_what_was_expected(call, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_checked_names_are_options_of_some_pooling():
    known = {name for f in pooling.__all__ for name in _parameters(getattr(pooling, f))}
    assert {*_options.PER_AXIS, *_options.SINGLE} <= known


def _parameters(thing):
    import inspect

    return inspect.signature(thing).parameters


def test_n5_nothing_overflows_near_the_largest_number():
    big = torch.tensor([[[3e38, 3e38]]])
    assert sc.stochastic_pool(big, 2, training=False).item() == pytest.approx(3e38, rel=1e-6)
    assert sc.softmax_pool(big, 2).item() == pytest.approx(3e38, rel=1e-6)
    for beta, x in ((100.0, big / 3), (100.0, -big), (-100.0, big)):
        assert sc.lse_pool(x, 2, beta=beta).item() == pytest.approx(x[0, 0, 0].item(), rel=1e-6)


def test_pl4_a_learned_sharpness_starts_at_the_mean_and_moves():
    x = torch.tensor([[[0.0, 4.0]]])
    layer = sc.LSEPool(2, beta=0.0, learnable=True)
    y = layer(x)
    y.sum().backward()
    assert y.item() == pytest.approx(2.0)
    assert layer.beta.grad.item() > 0
    assert sc.lse_pool(x.half(), 2, beta=torch.zeros((), dtype=torch.float16)).item() == pytest.approx(2.0)


@pytest.mark.parametrize("factor", [1.1, 4 / 3, 2.3])
def test_pl10_a_fractional_factor_is_torchs_in_every_dimension(factor):
    x = torch.arange(6.0)
    one = torch.nn.functional.interpolate(x[None, None], scale_factor=factor)
    line = torch.nn.functional.interpolate(x[None, None], scale_factor=factor, mode="linear")
    four = x.view(1, 1, 1, 1, 1, 6)
    assert torch.equal(sc.upsample(four, (1, 1, 1, factor)).flatten(), one.flatten())
    torch.testing.assert_close(sc.upsample(four, (1, 1, 1, factor), mode="linear").flatten(), line.flatten())


HALVED = {
    "avg_pool": lambda x: sc.avg_pool(x, 3, 1, padding=1),
    "max_pool": lambda x: sc.max_pool(x, 3, 1, padding=1),
    "lp_pool": lambda x: sc.lp_pool(x, 2, 2),
    "lse_pool": lambda x: sc.lse_pool(x, 2),
    "softmax_pool": lambda x: sc.softmax_pool(x, 2),
    "expectation": lambda x: sc.stochastic_pool(x, 2, training=False),
    "adaptive_avg_pool": lambda x: sc.adaptive_avg_pool(x, 4),
    "adaptive_max_pool": lambda x: sc.adaptive_max_pool(x, 4),
}


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("pool", HALVED.values(), ids=HALVED)
def test_n5_halves_of_any_number_of_axes_are_the_rounded_answer(pool, dtype, ndim):
    x = torch.randn(1, 2, *[6] * ndim, generator=torch.Generator().manual_seed(ndim)).to(dtype)
    y = pool(x)
    assert y.dtype == dtype
    torch.testing.assert_close(y, pool(x.double()).to(dtype), rtol=torch.finfo(dtype).eps, atol=torch.finfo(dtype).eps)


@pytest.mark.parametrize("p", [1, 2, 2.5])
def test_a_mean_is_finite_where_only_the_sum_is_not(p):
    large = torch.full((1, 1, 4), 3e38)
    assert torch.allclose(sc.lp_pool(large, p, 4, mean=True), large[..., :1])
    assert torch.allclose(sc.lp_pool(large[..., :3], p, 2, mean=True, ceil_mode=True), large[..., :2])


@pytest.mark.parametrize(
    "beta", [1e39, -1e300, 10**400, torch.tensor(1e39, dtype=torch.float64), torch.tensor([1e38, 1.0])]
)
@pytest.mark.parametrize("pool", [sc.softmax_pool, sc.lse_pool])
def test_the_sharpest_is_the_extreme_and_never_no_number(pool, beta):
    x = torch.tensor([[[0.0, 1.0, 5.0, 5.0]]]).repeat(1, 2, 1)
    extreme = [0.0, 5.0] if not isinstance(beta, torch.Tensor) and beta < 0 else [1.0, 5.0]
    torch.testing.assert_close(pool(x, 2, beta=beta)[0, 0], torch.tensor(extreme))


@pytest.mark.parametrize("beta", [torch.tensor(True), torch.tensor(1j)])
@pytest.mark.parametrize("pool", [sc.softmax_pool, sc.lse_pool])
def test_a_sharpness_that_is_no_real_number_is_refused(pool, beta):
    with pytest.raises(TypeError, match="beta is .*: expected real numbers"):
        pool(torch.zeros(1, 1, 4), 2, beta=beta)
    assert torch.equal(pool(torch.ones(1, 2, 4), 2, beta=np.array([1.0, 2.0])), torch.ones(1, 2, 2))
