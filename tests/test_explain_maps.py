"""Maps of what an answer depends on, against forward and backward passes written out in NumPy."""

import contextlib
import itertools
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import sigconv as sc
from sigconv import explain, models

RULES = ("gradient", "deconvnet", "guided")
SPACE = 8  # 6 after the first convolution, 3 after the maximum, 2 after the second convolution

RELUS = {
    "module": lambda: nn.ReLU(),
    "module in place": lambda: nn.ReLU(inplace=True),
    "F.relu": lambda: F.relu,
    "F.relu in place": lambda: lambda x: F.relu(x, True),
    "torch.relu": lambda: torch.relu,
    "torch.relu by name": lambda: lambda x: torch.relu(input=x),
    "torch.relu_": lambda: torch.relu_,
    "Tensor.relu": lambda: lambda x: x.relu(),
    "Tensor.relu_": lambda: lambda x: x.relu_(),
    "clamp": lambda: lambda x: x.clamp(min=0),
    "clamp by place": lambda: lambda x: torch.clamp(x, 0),
    "clamp by tensor": lambda: lambda x: torch.clamp(x, torch.zeros((), dtype=x.dtype)),
    "clamp_": lambda: lambda x: x.clamp_(min=0.0),
    "clip": lambda: lambda x: x.clip(0),
    "clamp_min": lambda: lambda x: x.clamp_min(0),
    "clamp_min_": lambda: lambda x: x.clamp_min_(0),
    "threshold": lambda: nn.Threshold(0, 0),
    "threshold in place": lambda: nn.Threshold(0, 0, inplace=True),
    "threshold_": lambda: lambda x: F.threshold_(x, 0.0, 0.0),
    "operator": lambda: torch.ops.aten.relu.default,
    "operator in place": lambda: torch.ops.aten.relu_,
}


class Net(nn.Module):
    """Convolution, ReLU, maximum, convolution, the same ReLU, three scores: torch's own layers, or ours."""

    def __init__(self, ndim, relu="module", ours=False):
        super().__init__()
        conv = (lambda *a: sc.Conv(*a, ndim=ndim)) if ours else getattr(nn, f"Conv{ndim}d", None)
        self.first, self.second = conv(2, 3, 3), conv(3, 4, 2)
        self.pool = sc.MaxPool(2) if ours else getattr(nn, f"MaxPool{ndim}d")(2)
        self.relu, self.last = RELUS[relu](), nn.Linear(4 * 2**ndim, 3)

    def forward(self, x):
        x = self.pool(self.relu(self.first(x)))
        return self.last(self.relu(self.second(x)).flatten(1))


def net(ndim, relu="module", ours=False):
    torch.manual_seed(ndim)
    return Net(ndim, relu, ours).double()


def given(ndim, items=2):
    return torch.randn(items, 2, *[SPACE] * ndim, dtype=torch.float64, generator=torch.Generator().manual_seed(ndim))


def at(tap, size, step=1):
    return (slice(None), slice(None), *(slice(t, t + n * step, step) for t, n in zip(tap, size, strict=True)))


def convolved(x, weight, bias):
    size = [n - k + 1 for n, k in zip(x.shape[2:], weight.shape[2:], strict=True)]
    y = np.zeros((len(x), len(weight), *size)) + bias.reshape(-1, *[1] * len(size))
    for tap in itertools.product(*map(range, weight.shape[2:])):
        y += np.einsum("oc,bc...->bo...", weight[(slice(None), slice(None), *tap)], x[at(tap, size)])
    return y


def unconvolved(signal, weight, shape):
    found = np.zeros(shape)
    for tap in itertools.product(*map(range, weight.shape[2:])):
        part = np.einsum("oc,bo...->bc...", weight[(slice(None), slice(None), *tap)], signal)
        found[at(tap, signal.shape[2:])] += part
    return found


def pooled(x):
    """The maxima of windows of 2, and which sample of the window each is."""
    size = [n // 2 for n in x.shape[2:]]
    taps = np.stack([x[at(tap, size, 2)] for tap in itertools.product(range(2), repeat=len(size))])
    return taps.max(0), taps.argmax(0)


def unpooled(signal, switch, shape):
    found = np.zeros(shape)
    for number, tap in enumerate(itertools.product(range(2), repeat=signal.ndim - 2)):
        found[at(tap, signal.shape[2:], 2)] = np.where(switch == number, signal, 0)
    return found


def through(signal, before, rule):
    """The way back through a ReLU that was given what stands in before (VZ1, VZ2, VZ3)."""
    if rule == "gradient":
        return np.where(before > 0, signal, 0)
    if rule == "deconvnet":
        return np.where(signal > 0, signal, 0)
    return np.where((before > 0) & (signal > 0), signal, 0)


def by_hand(model, x, target, rule):
    p = {name: value.detach().numpy() for name, value in model.named_parameters()}
    x = x.numpy()
    a = convolved(x, p["first.weight"], p["first.bias"])
    rectified = np.maximum(a, 0)
    largest, switch = pooled(rectified)
    b = convolved(largest, p["second.weight"], p["second.bias"])
    signal = through(p["last.weight"][target].reshape(b.shape), b, rule)
    signal = unconvolved(signal, p["second.weight"], largest.shape)
    signal = through(unpooled(signal, switch, a.shape), a, rule)
    return unconvolved(signal, p["first.weight"], x.shape)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("ndim", "ours"), [(1, False), (2, False), (3, False), (1, True), (2, True), (4, True)])
def test_vz1_vz2_vz3_every_rule_equals_a_numpy_oracle_where_one_relu_is_called_twice(rule, ndim, ours):
    model, x = net(ndim, ours=ours), given(ndim)
    target = np.array([2, 0])
    found = explain.saliency(model, x, target, rule=rule)
    expected = by_hand(model, x, target, rule)
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


def test_vz2_vz3_the_rules_differ_from_each_other_on_these_nets():
    for ndim in (1, 2, 3):
        maps = [explain.saliency(net(ndim), given(ndim), 1, rule=rule) for rule in RULES]
        assert not any(torch.allclose(one, other) for one, other in itertools.combinations(maps, 2))


@pytest.mark.parametrize("relu", RELUS)
@pytest.mark.parametrize("rule", RULES)
def test_vz2_vz3_a_relu_is_one_however_it_is_called(rule, relu):
    for ndim in (1, 2):
        x = given(ndim)
        expected = explain.saliency(net(ndim), x, 1, rule=rule)
        assert torch.equal(explain.saliency(net(ndim, relu), x, 1, rule=rule), expected)


class Wrapped(nn.Module):
    """A function with a convolution (1, 2, 3 channels to the same) before it and a sum after it."""

    def __init__(self, function, channels=2):
        super().__init__()
        torch.manual_seed(1)
        self.function = function
        self.one, self.two = (nn.Conv1d(channels, channels, 3, padding=1).double() for _ in range(2))
        self.last = nn.Linear(channels * SPACE, 1).double()

    def forward(self, x):
        return self.last(self.function(self, x).flatten(1))


def _residual_in_place(m, x):
    y = F.relu(m.one(x), inplace=True)
    z = m.two(y)
    z += y
    return z.relu_()


def _residual(m, x):
    y = m.one(x).relu()
    return (m.two(y) + y).relu()


def _later_written(m, x):
    y = m.one(x).clamp(min=0)
    y += m.two(x)
    return y.relu()


def _view_in_place(m, x):
    y = m.one(x)
    y[:, :1].relu_()
    return m.two(y)


def _checkpointed(m, x):
    return checkpoint(lambda y: m.two(m.one(y).relu()).relu(), x, use_reentrant=False)


SAME = {
    "residual": (_residual_in_place, _residual),
    "written after": (_later_written, lambda m, x: (m.one(x).relu() + m.two(x)).relu()),
    "view": (_view_in_place, lambda m, x: m.two(torch.cat([m.one(x)[:, :1].relu(), m.one(x)[:, 1:]], 1))),
    "checkpoint": (_checkpointed, lambda m, x: m.two(m.one(x).relu()).relu()),
    "first in place": (lambda m, x: m.one(x.relu_()), lambda m, x: m.one(x.relu())),
    "bounded": (lambda m, x: m.two(m.one(x).relu()).clamp(0, 1), lambda m, x: F.hardtanh(m.two(m.one(x).relu()), 0, 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
@pytest.mark.parametrize("rule", RULES)
def test_vz2_vz3_branches_views_and_places_written_to_make_no_difference(rule, name):
    one, other = (Wrapped(function) for function in SAME[name])
    x = given(1)
    before = x.clone()
    found, expected = (explain.saliency(model, x, rule=rule) for model in (one, other))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    assert torch.equal(x, before)


def test_vz3_a_residual_block_equals_a_numpy_oracle():
    m, x = Wrapped(_residual_in_place), given(1)
    p = {name: value.detach().numpy() for name, value in m.named_parameters()}
    padded = lambda y: np.pad(y, ((0, 0), (0, 0), (1, 1)))
    for rule in RULES:
        a = convolved(padded(x.numpy()), p["one.weight"], p["one.bias"])
        y = np.maximum(a, 0)
        b = convolved(padded(y), p["two.weight"], p["two.bias"]) + y
        signal = through(p["last.weight"].reshape(1, *b.shape[1:]).repeat(len(b), 0), b, rule)
        shape = padded(a).shape
        signal = through(unconvolved(signal, p["two.weight"], shape)[..., 1:-1] + signal, a, rule)
        expected = unconvolved(signal, p["one.weight"], shape)[..., 1:-1]
        np.testing.assert_allclose(explain.saliency(m, x, rule=rule), expected, rtol=0, atol=1e-13)


class Guided(torch.autograd.Function):
    """Guided backpropagation as a layer of its own, to stand where a model has a ReLU."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, signal):
        return signal * (ctx.saved_tensors[0] > 0) * (signal > 0)


class Layer(nn.Module):
    def forward(self, x):
        return Guided.apply(x)


@pytest.mark.parametrize("name", ["resnet:18", "googlenet", "vgg:A"])
def test_vz3_models_of_branches_equal_those_with_every_relu_replaced(name):
    torch.manual_seed(0)
    model = models.build(name, ndim=2, in_channels=1, classes=3, width=1 / 16).double()
    x = torch.randn(2, 1, 64, 64, dtype=torch.float64)
    found = explain.saliency(model, x, 1, rule="guided")
    assert model.training
    for parent in list(model.modules()):
        for child, module in list(parent.named_children()):
            if isinstance(module, nn.ReLU):
                setattr(parent, child, Layer())
    assert not any(isinstance(module, nn.ReLU) for module in model.modules())
    expected = explain.saliency(model, x, 1)
    assert not torch.equal(expected, torch.zeros(()).expand_as(expected))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14 * float(expected.abs().max()))


@pytest.mark.parametrize("ours", [False, True])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_vz2_the_way_back_through_a_maximum_is_unpooling_at_the_switches(ndim, ours):
    torch.manual_seed(0)
    pool = sc.MaxPool(2) if ours else getattr(nn, f"MaxPool{ndim}d")(2)
    last = nn.Linear(2 * 4**ndim, 1).double()
    x = given(ndim)
    _, places = getattr(F, f"max_pool{ndim}d")(x.relu(), 2, return_indices=True)
    signal = last.weight.detach().view(1, 2, *[4] * ndim).expand(2, -1, *[-1] * ndim)
    expected = getattr(F, f"max_unpool{ndim}d")(signal, places, 2).relu()
    found = explain.saliency(nn.Sequential(nn.ReLU(), pool, nn.Flatten(), last), x, rule="deconvnet")
    windows_of_zeros = x.relu() == 0  # where all are equal, which of them is chosen is no matter of the rule
    assert torch.equal(found[~windows_of_zeros], expected[~windows_of_zeros])
    assert torch.equal(found.sum(), expected.sum())


def test_vz2_vz3_of_compiled_models_are_those_of_the_models():
    model, x = net(1), given(1)
    compiled = torch.compile(net(1), backend="eager")
    with torch.no_grad():
        compiled(x)
    for rule in RULES:
        expected = explain.saliency(model, x, 1, rule=rule)
        torch.testing.assert_close(explain.saliency(compiled, x, 1, rule=rule), expected, rtol=1e-12, atol=1e-14)


def test_vz2_vz3_a_rule_that_changes_nothing_is_refused():
    x = given(1)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(2 * SPACE, 4), nn.SiLU(), nn.Linear(4, 1), nn.Tanh()).double()
    unused = Wrapped(lambda m, x: F.linear(m.one(x), torch.eye(SPACE, dtype=x.dtype).mul(m.last.weight.sum()).relu()))
    drawn = nn.Sequential(sc.StochasticPool(2), nn.Flatten(), nn.Linear(SPACE, 1)).double()  # clamps, for itself
    with warnings.catch_warnings(action="ignore"):  # torch means to give TorchScript up
        script = torch.jit.trace(net(1), x)
    for model, target, message in [
        (flat, None, r"rule 'guided' is for ReLU, and none .* of this Sequential \(other activations: SiLU, Tanh\)"),
        (unused, None, r"this Wrapped \(other activations: none\): rule='gradient' takes any model"),
        (drawn, None, "none is between x and the answer of this Sequential"),
        (script, 0, "'the model' is TorchScript, whose ReLUs are out of reach: give the nn.Module"),
        (nn.Sequential(script), 0, "'0' is TorchScript"),
    ]:
        with pytest.raises(ValueError, match=message) as error:
            explain.saliency(model, x, target, rule="guided")
        assert "\n" not in str(error.value)
    for relu6 in (nn.ReLU6(), F.relu6, lambda x: x.clamp(0, 6), lambda x: x.clamp(min=0.1), nn.LeakyReLU()):
        with pytest.raises(ValueError, match="is for ReLU"):
            explain.saliency(Wrapped(lambda m, x, f=relu6: f(m.one(x))), x, rule="deconvnet")


def test_vz1_strongest_is_the_largest_magnitude_over_the_channels():
    for ndim in (1, 2, 3, 4):
        x = given(ndim)
        expected = np.abs(x.numpy()).max(1)
        np.testing.assert_array_equal(explain.strongest(x), expected)
        np.testing.assert_array_equal(explain.strongest(x.numpy()), expected)
        assert isinstance(explain.strongest(x.numpy()), np.ndarray)
    with pytest.raises(ValueError, match=r"x has shape \(2, 0, 3\): expected a map"):
        explain.strongest(torch.zeros(2, 0, 3))


def smooth(ndim):
    torch.manual_seed(ndim)
    return nn.Sequential(
        sc.Conv(2, 3, 3, ndim=ndim), nn.Tanh(), sc.AvgPool(2), nn.Flatten(), nn.Linear(3 ** (ndim + 1), 3)
    ).double()


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_integrated_gradients_sum_to_what_the_answer_gained(ndim):
    x, target = given(ndim, 3), torch.tensor([0, 2, 1])
    baseline = given(ndim, 4)[3:].mean(1, keepdim=True)
    kinks = (net(ndim, ours=True), 512, 5e-3) if ndim < 4 else (net(ndim, ours=True), 64, 4e-2)
    for model, steps, error in [(smooth(ndim), 32, 1e-10), kinks]:
        found = explain.integrated_gradients(model, x, target, baseline, steps)
        assert found.shape == x.shape
        with torch.no_grad():
            gained = (model(x) - model(baseline.expand_as(x))).gather(1, target[:, None]).squeeze(1)
        torch.testing.assert_close(found.flatten(1).sum(1), gained, rtol=0, atol=error * float(gained.abs().max()))
    few = explain.integrated_gradients(smooth(ndim), x[:2], target[:2], baseline, 7, batch_size=3)
    whole = explain.integrated_gradients(smooth(ndim), x[:2], target[:2], baseline, 7)
    torch.testing.assert_close(few, whole, rtol=1e-11, atol=1e-14)


class Power(nn.Module):
    def __init__(self, degree):
        super().__init__()
        self.degree = degree

    def forward(self, x):
        return x.flatten(1).pow(self.degree).sum(1)


def test_integrated_gradients_are_exact_for_polynomials_and_bounded_at_a_kink():
    x = given(1)
    for steps in (1, 2, 4):
        degree = 2 * steps
        found = explain.integrated_gradients(Power(degree), x, baseline=0.5, steps=steps)
        torch.testing.assert_close(found, x**degree - 0.5**degree, rtol=1e-12, atol=1e-12)
    for steps in (1, 3, 16, 64):
        for place in np.linspace(0.01, 0.99, 37):
            kink = Wrapped(lambda m, x, p=place: (x - p).relu())
            kink.last.weight.data.fill_(1)
            whole = torch.ones(1, 2, SPACE, dtype=torch.float64)
            found = explain.integrated_gradients(kink, whole, steps=steps)
            assert float((found - (1 - place)).abs().max()) <= 1.6 / steps


def head(ndim):
    """Convolution, ReLU in place, convolution (node "2"), mean over space, linear."""
    torch.manual_seed(ndim)
    return nn.Sequential(
        sc.Conv(2, 4, 3, ndim=ndim, padding=1), nn.ReLU(inplace=True), sc.Conv(4, 5, 2, ndim=ndim, stride=2),
        sc.GlobalAvgPool(), nn.Flatten(), nn.Linear(5, 3),
    ).double()  # fmt: skip


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_class_activation_equals_zhous_map_where_a_mean_and_a_linear_layer_follow(ndim):
    model, x, target = head(ndim), given(ndim, 3), torch.tensor([0, 2, 1])
    with torch.no_grad():
        there = model[:3](x)
        zhou = torch.einsum("bc,bc...->b...", model[5].weight[target], there) / 4**ndim
        wide = sc.upsample(zhou[:, None], size=SPACE, mode="linear")[:, 0]
    found = explain.class_activation(model, x, target, "2", signed=True)
    torch.testing.assert_close(found, wide, rtol=1e-12, atol=1e-14)
    positive = sc.upsample(zhou.relu()[:, None], size=SPACE, mode="linear")[:, 0]
    torch.testing.assert_close(explain.class_activation(model, x, target, "2"), positive, rtol=1e-12, atol=1e-14)
    arrays = explain.class_activation(model, x.numpy(), target.numpy(), "2")
    np.testing.assert_allclose(arrays, positive, rtol=1e-12, atol=1e-14)


def test_class_activation_of_a_layer_is_not_that_of_what_is_written_over_it():
    model, x = head(1), given(1)
    plain = head(1)
    plain[1] = nn.ReLU()
    found = [explain.class_activation(m, x, 0, "0", signed=True) for m in (model, plain)]
    assert torch.equal(*found)
    assert not torch.allclose(found[0], explain.class_activation(model, x, 0, "1", signed=True))


def test_class_activation_refuses_layers_without_one_answer_in_space():
    x = given(1)
    for model, node, message in [
        (head(1), "conv", "node 'conv' is no layer of the model"),
        (head(1), "5", r"node '5' answers \(2, 3\): expected \(batch, channels, 1 axes\)"),
        (net(1), "relu", "node 'relu' answers 2 times: expected a layer that is called once"),
        (Wrapped(lambda m, x: m.one(x)), "two", "node 'two' answers 0 times"),
        (Wrapped(lambda m, x: m.one(x) + m.two(x).detach()), "two", "leads from the model's answer to node 'two'"),
    ]:
        with pytest.raises(ValueError, match=message) as error:
            explain.class_activation(model, x, 0, node)
        assert "\n" not in str(error.value)


def whole_numbers(ndim, classes=1):
    """A linear model of whole weights, and whole inputs: sums are exact."""
    draw = torch.Generator().manual_seed(ndim)
    model = nn.Sequential(nn.Flatten(), nn.Linear(2 * 5**ndim, classes)).double()
    model[1].weight.data = torch.randint(-9, 10, (classes, 2 * 5**ndim), generator=draw).double()
    return model, torch.randint(-9, 10, (3, 2, *[5] * ndim), generator=draw).double()


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_occlusion_of_a_linear_model_is_the_weights_share_exactly(ndim):
    model, x = whole_numbers(ndim, 3)
    target = torch.tensor([2, 0, 0])
    weight = model[1].weight.detach()[target].view_as(x)
    value = torch.tensor([2.0, -1.0]).view(2, *[1] * ndim)
    share = ((x - value) * weight).sum(1)
    assert torch.equal(explain.occlusion(model, x, target, size=1, value=value), share)
    for size, stride in [(2, None), (3, 1), (2, 2), ([2, 3, 1, 5][:ndim], [1, 2, 1, 3][:ndim])]:
        sizes, steps = np.broadcast_to(size, ndim), np.broadcast_to(size if stride is None else stride, ndim)
        total, times = torch.zeros_like(share), torch.zeros(share.shape[1:], dtype=torch.float64)
        starts = [sorted({*range(0, 5 - k, s), 5 - k}) for k, s in zip(sizes, steps, strict=True)]
        for start in itertools.product(*starts):
            box = tuple(slice(i, i + k) for i, k in zip(start, sizes, strict=True))
            total[:, *box] += share[:, *box].flatten(1).sum(1).view(-1, *[1] * ndim)
            times[box] += 1
        for batch_size in (1, 4, 64):
            found = explain.occlusion(model, x, target, size=size, stride=stride, value=value, batch_size=batch_size)
            assert torch.equal(found, total / times)


def test_occlusion_says_what_does_not_fit():
    model, x = whole_numbers(2)
    for options, message in [
        ({"size": 6}, r"size \(6, 6\) is larger than x's space \(5, 5\)"),
        ({"size": 2, "stride": (2, 3)}, r"stride \(2, 3\) is larger than size \(2, 2\)"),
        ({"size": (1, 1, 1)}, r"size \(1, 1, 1\) has 3 entries for 2 spatial axes"),
        ({"size": 1, "value": torch.zeros(3, 5, 5)}, r"value has shape \(3, 5, 5\): expected a number, or a shape"),
    ]:
        with pytest.raises(ValueError, match=message):
            explain.occlusion(model, x, **options)
    for wrong in (torch.zeros(2, 5), torch.zeros(1, 3, 2, 5, 5), np.zeros((3, 2, 5, 6))):
        with pytest.raises(ValueError, match="baseline has shape"):
            explain.integrated_gradients(model, x, baseline=wrong)
    for call in (explain.integrated_gradients, lambda m, x: explain.occlusion(m, x, size=1)):
        with pytest.raises(ValueError, match=r"x is int64 \(3, 2, 5, 5\): expected floating \(batch, channels"):
            call(model, x.long())


CALLS = {
    **{rule: lambda m, x, y=1, rule=rule: explain.saliency(m, x, y, rule=rule) for rule in RULES},
    "integrated": lambda m, x, y=1: explain.integrated_gradients(m, x, y, steps=3),
    "activation": lambda m, x, y=1: explain.class_activation(m, x, y, "second"),
    "occlusion": lambda m, x, y=1: explain.occlusion(m, x, y, size=3, stride=2),
}


@pytest.mark.parametrize("call", CALLS)
def test_maps_leave_the_model_and_x_as_they_were_and_come_in_xs_kind(call):
    call = CALLS[call]
    model, x = net(2, "module in place"), given(2)
    model.first.weight.requires_grad_(False)
    model.second.weight.grad = torch.ones_like(model.second.weight)
    model.pool.eval()
    before, x_before = {k: v.clone() for k, v in model.state_dict().items()}, x.clone()
    flags = [m.training for m in model.modules()], [p.requires_grad for p in model.parameters()]
    hooks = [len(m._forward_hooks) for m in model.modules()]
    found = call(model, x)
    assert (found.dtype, found.device, found.requires_grad) == (x.dtype, x.device, False)
    assert found.shape in (x.shape, x.shape[:1] + x.shape[2:])
    assert torch.equal(x, x_before)
    assert x.grad is None
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert ([m.training for m in model.modules()], [p.requires_grad for p in model.parameters()]) == flags
    assert [len(m._forward_hooks) for m in model.modules()] == hooks
    assert torch.equal(model.second.weight.grad, torch.ones_like(model.second.weight))
    assert model.last.weight.grad is None
    array = x.numpy()
    array.flags.writeable = False
    again = call(model, array)
    assert isinstance(again, np.ndarray)
    np.testing.assert_array_equal(again, found)
    for asked_in in (torch.no_grad(), torch.inference_mode()):
        with asked_in:
            assert torch.equal(call(model, x, torch.tensor([1, 1])), found)
    with torch.inference_mode():
        inner = x.clone()
    assert torch.equal(call(model, inner), found)
    assert call(net(2).float(), x.float()).dtype == torch.float32


@pytest.mark.parametrize("call", CALLS)
def test_maps_of_no_item_are_of_no_item(call):
    found = CALLS[call](net(1), given(1)[:0])
    assert found.shape in ((0, 2, SPACE), (0, SPACE))


@pytest.mark.parametrize("call", CALLS)
def test_maps_stop_cleanly_when_the_model_fails(call):
    model = net(1)
    model.last = nn.Linear(5, 3).double()
    hooks = [len(m._forward_hooks) for m in model.modules()]
    with contextlib.suppress(RuntimeError):
        CALLS[call](model, given(1))
    assert [len(m._forward_hooks) for m in model.modules()] == hooks
    assert model.training
    y = torch.tensor([-1.0, 2.0], requires_grad=True)
    y.relu().mul(torch.tensor([1.0, -1.0])).sum().backward()
    assert y.grad.tolist() == [0, -1]  # the rule is gone
