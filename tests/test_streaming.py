"""Streaming: whatever the chunks, a live model answers as offline, as soon as it can, in bounded memory."""

import copy
import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples
from torch import nn
from torch.nn import functional as F

import sigconv as sc
from sigconv import nd
from sigconv.filters import auditory, gabor, scattering
from sigconv.streaming import whole
from sigconv.transforms import speech

EPS64, EPS32 = (torch.finfo(kind).eps for kind in (torch.float64, torch.float32))
BANDS = 5  # before time, in two dimensions


KINDS = ["ours", "torch", "pool", "torch_pool", "act", "norm", "residual", "nested", "blur", "up", "pad"]


class Residual(nn.Module):
    """Nobody's block: a branch beside a shortcut, with a stride."""

    def __init__(self, channels, ndim, stride, padding_mode="zeros"):
        super().__init__()
        one = (1,) * (ndim - 1)
        options = {"padding": "same", "padding_mode": padding_mode}
        self.conv1 = sc.Conv(channels, channels, (*one, 3), (*one, stride), **options)
        self.act = nn.LeakyReLU(0.2, inplace=True)
        self.conv2 = sc.Conv(channels, channels, (*one, 5), **options)
        self.skip = sc.Conv(channels, channels, (*one, 1), (*one, stride))

    def forward(self, x):
        return F.relu(self.conv2(self.act(self.conv1(x))) + self.skip(x))


def pieces(x, cuts):
    """x in chunks that end at these places; some of them have no sample."""
    places = [0, *sorted(min(cut, x.shape[-1]) for cut in cuts), x.shape[-1]]
    return [x[..., a:b] for a, b in itertools.pairwise(places)]


def streamed(live, chunks):
    """All a stream gives for these chunks."""
    found = [live(chunk) for chunk in chunks]
    found.append(live.flush())
    return torch.cat(found, -1) if isinstance(found[0], torch.Tensor) else np.concatenate(found, -1)


@st.composite
def layers(draw, channels, ndim, folds):
    """One layer that keeps the channels, along time with options of all kinds."""
    one = (1,) * (ndim - 1)
    last = lambda n: (*one, n)
    kind = draw(st.sampled_from(KINDS))
    k, stride, gap = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    modes = ["zeros", "constant", "replicate", *(["reflect", "symmetric"] if folds else [])]
    if kind == "ours":
        words = ["valid", "same", "causal", "full", "half"][: 5 if gap * (k - 1) % 2 == 0 else 4]
        pair = st.tuples(st.integers(0, 6), st.integers(0, 6))
        margin = draw(st.one_of(st.sampled_from(words), pair))
        padding = margin if ndim == 1 or isinstance(margin, str) else ((0, 0), margin)
        options = {"padding": padding, "padding_mode": draw(st.sampled_from(modes)), "dilation": last(gap)}
        return sc.Conv(channels, channels, last(k), last(stride), value=0.5, **options)
    if kind == "torch":
        mode = draw(st.sampled_from(["zeros", "replicate", *(["reflect"] if folds else [])]))
        padding = draw(st.one_of(st.integers(0, 3).map(lambda p: (*(0,) * (ndim - 1), p)), st.just("same")))
        stride, k = (1, k + (k + 1) % 2) if padding == "same" else (stride, k)  # of even ones torch warns
        conv = nn.Conv1d if ndim == 1 else nn.Conv2d
        return conv(channels, channels, last(k), last(stride), padding, last(gap), padding_mode=mode)
    if kind in ("pool", "torch_pool"):
        half, ceil = draw(st.integers(0, k // 2)), draw(st.booleans())
        name = draw(st.sampled_from(["MaxPool", "AvgPool"]))
        if kind == "pool":
            return getattr(sc, name)(last(k), last(stride), padding=(*(0,) * (ndim - 1), half), ceil_mode=ceil)
        padding = (*(0,) * (ndim - 1), half)
        return getattr(nn, f"{name}{ndim}d")(last(k), last(stride), padding, ceil_mode=ceil)
    if kind == "act":
        return draw(st.sampled_from([nn.LeakyReLU(0.1, inplace=True), nn.Tanh(), nn.PReLU(channels), nn.Identity()]))
    if kind == "norm":
        norm = nn.BatchNorm1d(channels) if ndim == 1 else nn.BatchNorm2d(channels)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        return norm
    if kind == "residual":
        return Residual(channels, ndim, stride, draw(st.sampled_from(modes)))
    if kind == "nested":
        return nn.Sequential(nn.Sequential(sc.Conv(channels, channels, last(k), padding="same")), nn.Dropout())
    if kind == "blur" and folds:
        return sc.BlurPool(3, 2, padding_mode=draw(st.sampled_from(modes))) if ndim == 1 else nn.Identity()
    if kind == "up" and ndim == 1:
        return nn.ConvTranspose1d(channels, channels, k + 2, stride, draw(st.integers(0, 2)))
    if kind == "pad" and ndim == 1 and folds:
        return nn.ReflectionPad1d((draw(st.integers(0, 4)), draw(st.integers(0, 4))))
    return nn.GELU()


@st.composite
def models(draw, ndim=None, folds=True, most=4):
    """A chain of up to so many layers, in eval mode."""
    ndim = draw(st.integers(1, 2)) if ndim is None else ndim
    torch.manual_seed(draw(st.integers(0, 2**31)))
    channels = draw(st.integers(1, 3))
    chain = [draw(layers(channels, ndim, folds)) for _ in range(draw(st.integers(1, most)))]
    shape = (channels,) if ndim == 1 else (channels, BANDS)
    return nn.Sequential(sc.Conv(channels, channels, 1, ndim=ndim), *chain).eval(), shape


def signal(shape, n, dtype=torch.float64, batch=2):
    return torch.randn(batch, *shape, n, generator=torch.Generator().manual_seed(n), dtype=dtype)


def offline(model, x):
    """The answer of the whole, or None where the model says that x is too short."""
    try:
        with torch.no_grad():
            return model(x.clone())
    except (ValueError, RuntimeError):
        return None


def near(found, wanted, bound):
    assert found.shape == wanted.shape
    assert not wanted.numel() or (found - wanted).abs().max() <= bound


cutting = st.lists(st.integers(0, 150), max_size=8)


@given(models(), cutting, st.integers(1, 150))
@examples(120)
def test_n28_any_chunks_give_what_the_whole_gives(model, cuts, n):
    net, shape = model
    net, x = net.double(), signal(shape, n)
    wanted = offline(net, x)
    if wanted is None:
        return
    live = sc.stream(net)
    for _ in range(2):  # after flush it begins anew
        near(
            streamed(live, pieces(x, cuts)), wanted, 1e-12 * max(float(wanted.abs().max()) if wanted.numel() else 0, 1)
        )


def magnitudes(model):
    """The model whose answers to |x| bound the sums that the model's own answers are made of."""
    model = copy.deepcopy(model)
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            parameter.data.abs_()
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.abs_().neg_()
    return model


@given(models(), cutting, st.integers(30, 150))
@examples(60)
def test_n28_float32_is_within_the_promise_of_every_layer(model, cuts, n):
    net, shape = model
    x = signal(shape, n, torch.float32)
    wanted = offline(net, x)
    if wanted is None or not wanted.numel():
        return
    sums = offline(magnitudes(net), x.abs()).abs().max()
    taps = max((p[0].numel() for p in net.parameters() if p.ndim > 1), default=1)
    steps = sum(1 for module in net.modules() if not list(module.children()))
    near(streamed(sc.stream(net), pieces(x, cuts)), wanted, 2 * steps * math.sqrt(taps) * EPS32 * float(sums))


@given(models(), cutting, cutting, st.integers(1, 40))
@examples(25)
def test_n28_in_blocks_any_chunks_give_the_same_bits(model, cuts, others, block):
    net, shape = model
    x = signal(shape, 120, torch.float32)
    if offline(net, x) is None:
        return
    live = sc.stream(net, block=block)
    first = streamed(live, pieces(x, cuts))
    assert torch.equal(first, streamed(live, pieces(x, others)))
    assert torch.equal(first, streamed(live, [x]))
    chunks = (c for c in pieces(x, others))
    found = list(whole(net, chunks, block=block))
    assert torch.equal(first, torch.cat(found, -1))
    assert torch.equal(first, whole(net, x, block=block))


def arrivals(live, x):
    """After how many samples each output came."""
    return [n for n, sample in enumerate(x.split(1, -1), start=1) for _ in range(live(sample).shape[-1])]


def steady(live):
    """The first output that sees nothing beyond the beginning."""
    behind, jump = 0, 1
    for node in live._nodes:
        behind, jump = behind + max(node.reach.before, 0) * jump, jump * node.reach.stride / node.reach.each
    return math.ceil(behind / jump)


@given(models(folds=False, most=3), st.integers(1, 30))
@examples(40)
def test_every_output_comes_with_the_sample_that_latency_says_and_not_before(model, block):
    net, shape = model
    x = signal(shape, 80, batch=1)
    live = sc.stream(net.double())
    latency, stride, first = live.latency, live.stride, steady(live)
    came = arrivals(live, x)
    said = [math.floor(j * stride) + latency + 1 for j in range(len(came))]
    period = math.prod(node.reach.each for node in live._nodes)
    if period == 1:
        assert came[first:] == said[first:]
    else:  # of a group of outputs, the one that waits longest says it
        assert all(n <= most for n, most in zip(came[first:], said[first:], strict=True))
        assert len(came) < first + period or any(n == most for n, most in zip(came[first:], said[first:], strict=True))
    blocked = sc.stream(net, block=block)
    came = arrivals(blocked, x)
    assert latency <= blocked.latency <= latency + block - 1
    waits = [n - math.floor(j * stride) - 1 for j, n in enumerate(came)][first:]
    assert max(waits, default=0) <= max(blocked.latency, 0)
    assert period > 1 or len(waits) < block or max(waits) == blocked.latency


@given(models(ndim=1, folds=False, most=3))
@examples(40)
def test_the_last_sample_that_is_waited_for_is_seen_and_none_after_it(model):
    net, shape = model
    live = sc.stream(net.double())
    hides = ("MaxPool", "MaxPool1d", "Residual", "ConvTranspose1d")
    if any(type(module).__name__ in hides for module in net.modules()):
        return  # a maximum need not show what it sees
    for module in net.modules():
        module.inplace = False  # for the gradient's sake
    x = signal(shape, 120, batch=1).requires_grad_()
    j = steady(live) + 1
    last = j * live.stride + live.latency
    y = net(x.clone())
    if 0 <= last < 119 and j < y.shape[-1]:
        (grad,) = torch.autograd.grad(y[0, :, j].sum(), x)
        seen = grad[0].abs().amax(0).nonzero().flatten()
        assert seen.numel() == 0 or seen.max() == last


@given(st.integers(1, 9), st.integers(1, 4), st.integers(0, 8), st.integers(0, 8), st.sampled_from([0, 1]), st.data())
@examples(60)
def test_reflecting_borders_wait_for_what_they_copy_and_no_longer(k, stride, before, after, fold, data):
    mode = ("reflect", "symmetric")[fold]
    layer = sc.Conv1d(1, 1, k, stride, (before, after), padding_mode=mode).double().eval()
    x = signal((1,), data.draw(st.integers(max(k, 12), 40)))
    live = sc.stream(layer)
    came = []
    for n, sample in enumerate(x.split(1, -1), start=1):
        came += [n] * live(sample).shape[-1]
    copied = before + 1 - fold
    for j, n in enumerate(came):
        due = max(j * stride + live.latency + 1, 1)
        assert n == (max(due, copied) if came[0] == n and copied > due else due) or (
            j * stride < before and n == copied
        )


def test_latency_is_told_in_samples_and_seconds():
    net = nn.Sequential(sc.Conv1d(1, 4, 9, 2, padding="same"), nn.ReLU(), sc.Conv1d(4, 4, 5, padding="causal")).eval()
    live = sc.stream(net, fs=8000)
    assert (live.latency, live.stride, live.seconds) == (4, 2, 0.0005)
    assert sc.stream(net, block=100).latency == 4 + 99
    assert sc.stream(sc.Conv1d(1, 1, 5, padding="causal").eval()).latency == 0
    assert sc.stream(net).seconds is None
    assert "latency=4 (0.0005 s)" in repr(live)


def test_reaches_compose_and_count():
    first, second = nd.Reach(2, 3, 4), nd.Reach(5, 1, 0)
    assert first.then(second) == nd.Reach(10, 5, 4)
    assert [first.ready(n) for n in (0, 4, 5, 6, 7)] == [0, 0, 1, 1, 2]
    assert nd.Reach(1, 0, 0, each=3).last(7) == 2
    with pytest.raises(ValueError, match="each=1"):
        first.then(nd.Reach(1, 0, 0, 2))


FRONTS = list(speech.FRONT_ENDS)


@pytest.mark.parametrize("kind", FRONTS)
def test_n28_every_front_end_streams(kind):
    front = speech.front_end(kind, 8000, bands=20).eval()
    x = 0.3 * signal((1,), 3001, torch.float32, batch=1)
    wanted = offline(front, x)
    for size in (37, 100, 1024, 4000):
        near(
            streamed(sc.stream(front), x.split(size, -1)), wanted, 1e-4 * wanted.abs().max()
        )  # decibels of near nothing
    double = offline(front.double(), x.double())
    near(streamed(sc.stream(front), x.double().split(333, -1)), double, 1e-9 * double.abs().max())


def test_n28_front_end_and_network_at_every_block_size_up_to_two_hops():
    hop = 40
    torch.manual_seed(0)
    net = nn.Sequential(
        speech.front_end("log_mel", 8000, bands=10, hop=hop / 8000),
        sc.Conv2d(1, 4, 3, padding="same", bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        sc.MaxPool(2),
        sc.MaxPool((5, 1)),
        nn.Flatten(1, 2),
        nn.Conv1d(4, 3, 3, padding=1),
    )
    net.eval()
    x = signal((1,), 900, torch.float32, batch=1)
    wanted = offline(net, x)
    bits = streamed(sc.stream(net, block=hop), [x])
    for size in range(1, 2 * hop + 1):
        near(streamed(sc.stream(net), x.split(size, -1)), wanted, 1e-4 * wanted.abs().max())
        if size % 16 == 1:
            assert torch.equal(streamed(sc.stream(net, block=hop), x.split(size, -1)), bits)


@pytest.mark.parametrize("size", [3, 79, 80, 500, 5000])
def test_n28_banks_pcen_spectra_and_resampling_stream(size):
    x = signal((1,), 1500)
    steps = [auditory.leaf(8000, 8).eval(), gabor.bank([0.1, 0.2], 4.0), speech.LogMel(8000, n_mels=12).double()]
    steps = [*steps, auditory.LowPass(1, 101, 10, 20.0)]
    for step in steps:
        wanted = offline(step.eval(), x)
        near(streamed(sc.stream(step), x.split(size, -1)), wanted, 1e-9 * wanted.abs().max())
    steps = [speech.MFCC(8000, top_db=None), speech.Resample(8000, 11025), speech.Resample(44100, 16000)]
    steps += [nn.Sequential(speech.LogMel(8000), speech.Deltas(padding_mode=mode)) for mode in ("interp", "reflect")]
    for step in steps:
        wanted = offline(step.eval(), x[:, 0])
        near(streamed(sc.stream(step), x[:, 0].split(size, -1)), wanted, 1e-9 * wanted.abs().max())
    frames = signal((6,), 1500).abs()
    gain = auditory.PCEN(6, s=0.1).eval()
    near(streamed(sc.stream(gain), frames.split(size, -1)), offline(gain, frames), 1e-12 * 10)


def test_a_module_says_what_it_is_made_of_by_reach_steps_or_recursive():
    class Mean(nn.Module):
        reach = nd.Reach(4, 0, 7)

        def forward(self, x):
            return torch.stack([x[..., j : j + 8].mean(-1) for j in range(0, x.shape[-1] - 7, 4)], -1)

    class Total(nn.Module):
        recursive = True

        def forward(self, x, *, state=None, return_state=False):
            y = x.cumsum(-1) + (0 if state is None else state.unsqueeze(-1))
            return (y, y[..., -1]) if return_state else y

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.mean, self.total = Mean(), Total()

        def steps(self):
            return [self.mean, (lambda x: 2 * x, nd.Reach(1, 0, 0)), self.total]

        def forward(self, x):
            return self.total(2 * self.mean(x))

    x = signal((3,), 101)
    for cuts in ([], [1, 2, 3], [50, 57]):
        near(streamed(sc.stream(Both().eval()), pieces(x, cuts)), Both()(x), 1e-12)
    Mean.reach = nd.Reach(2, 0, 7)
    with pytest.raises(ValueError, match="its reach is wrong"):
        sc.stream(Mean().eval())(x[..., :20])
    Mean.reach = (4, 0, 7)
    with pytest.raises(TypeError, match=r"reach is \(4, 0, 7\): expected nd.Reach"):
        sc.stream(Mean().eval())


def test_numpy_empty_chunks_flush_and_reset():
    net = nn.Sequential(nn.Conv1d(2, 3, 7, 2, padding=3), nn.ReLU()).eval()
    x = signal((2,), 50, torch.float32).numpy()
    live = sc.stream(net)
    assert live(x[..., :0]).shape == (2, 3, 0)
    assert live.flush().shape == (2, 3, 0)
    with pytest.raises(ValueError, match="nothing has come yet"):
        live.flush()
    first = live(x[..., :9])
    assert isinstance(first, np.ndarray)
    assert (first.dtype, first.shape) == (np.float32, (2, 3, 3))
    live.reset()
    found = np.concatenate([live(x[..., :20]), live(x[..., 20:20]), live(x[..., 20:]), live.flush()], -1)
    np.testing.assert_allclose(found, net(torch.from_numpy(x)).detach().numpy(), atol=1e-5)
    live(x[:1])  # after flush, another shape may come
    assert not live(torch.from_numpy(x[:1])).requires_grad


def test_a_signal_shorter_than_a_window_has_no_positions():
    for layer in (nn.Conv1d(1, 1, 9), sc.Conv1d(1, 1, 9, 2), nn.MaxPool1d(4), sc.stream):
        live = (
            sc.stream(layer.eval()) if isinstance(layer, nn.Module) else sc.stream(nn.Conv1d(1, 2, 3).eval(), window=9)
        )
        assert live(torch.zeros(1, 1, 3)).shape[-1] == live.flush().shape[-1] == 0


def test_chunks_may_be_written_over_and_are_not_written_to():
    net = nn.Sequential(nn.LeakyReLU(0.5, inplace=True), nn.Conv1d(1, 1, 9, padding=4)).eval()
    x, buffer, live = signal((1,), 64), torch.empty(2, 1, 8, dtype=torch.float64), sc.stream(net.double())
    found = []
    for piece in x.split(8, -1):
        buffer.copy_(piece)
        found.append(live(buffer))
        assert torch.equal(buffer, piece)
    near(torch.cat([*found, live.flush()], -1), offline(net, x), 1e-14)


def test_n8_what_is_not_finite_spreads_as_far_as_offline():
    x = signal((1,), 400)
    x[0, 0, 100], x[1, 0, 200] = math.nan, math.inf
    net = nn.Sequential(sc.Conv1d(1, 3, 9, 2, padding="same"), nn.ReLU(), sc.MaxPool(3, 2), sc.Conv1d(3, 2, 5)).eval()
    for model in (net.double(), auditory.leaf(8000, 4).eval()):
        found, wanted = streamed(sc.stream(model), x.split(33, -1)), offline(model, x)
        assert torch.equal(found.isfinite(), wanted.isfinite())
        assert not wanted.isfinite().all()
        near(found.nan_to_num(0, 0, 0), wanted.nan_to_num(0, 0, 0), 1e-9)


@pytest.mark.parametrize(
    ("chunk", "kind", "words"),
    [
        (torch.zeros(1, 1, 8, dtype=torch.int64), TypeError, "chunk is torch.int64"),
        (np.zeros((1, 1, 8), np.int16), TypeError, "chunk is torch.int16"),
        (torch.zeros(2, 1, 8), ValueError, r"chunk has shape \(2, 1, 8\).* expected \(1, 1, samples\)"),
        (torch.zeros(1, 2, 8), ValueError, r"chunk has shape \(1, 2, 8\)"),
        (torch.zeros(1, 1, 8).double(), ValueError, r"of torch.float64 .*expected .* of torch.float32"),
        (torch.zeros(8), ValueError, r"expected \(batch, channels, …, samples\)"),
        ([0.0], TypeError, "takes a tensor or a NumPy array, not list"),
    ],
)
def test_a_chunk_that_does_not_go_on_is_refused_and_nothing_is_lost(chunk, kind, words):
    net = nn.Conv1d(1, 1, 5, padding=2).eval()
    x = signal((1,), 40, torch.float32, batch=1)
    live = sc.stream(net)
    first = live(x[..., :20])
    with pytest.raises(kind, match=words) as error:
        live(chunk)
    assert "\n" not in str(error.value)
    near(torch.cat([first, live(x[..., 20:]), live.flush()], -1), offline(net, x), 1e-5)


def test_a_chunk_that_fails_inside_leaves_the_stream_as_it_was():
    class Fails(nn.Module):
        broken = False

        def forward(self, x):
            if self.broken:
                raise ValueError("broken")
            return x

    last = Fails()
    net = nn.Sequential(nn.Conv1d(1, 1, 5, padding=2), auditory.LowPass(1, 9, 1, 2.0), last).eval().double()
    x = signal((1,), 40)
    for block in (None, 7):
        live = sc.stream(net, block=block)
        first, last.broken = live(x[..., :20]), True
        with pytest.raises(ValueError, match="broken"):
            live(x[..., 20:])
        last.broken = False
        near(torch.cat([first, live(x[..., 20:]), live.flush()], -1), offline(net, x), 1e-14)


class Functional(nn.Module):
    """A normalization over time that no module's name tells."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(2, 4, 3, padding=1)

    def forward(self, x):
        return F.group_norm(self.conv(x), 2)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.memory = nn.LSTM(2, 2, batch_first=True)

    def forward(self, x):
        return self.memory(x.mT)[0].mT


conv = lambda: nn.Conv1d(2, 4, 3)
REFUSED = {
    "GlobalAvgPool": (nn.Sequential(conv(), sc.GlobalAvgPool()), "1 (GlobalAvgPool) sees all of time"),
    "AdaptiveAvgPool1d": (nn.Sequential(conv(), nn.AdaptiveAvgPool1d(1)), "1 (AdaptiveAvgPool1d) sees all of time"),
    "AdaptiveMaxPool": (nn.Sequential(conv(), sc.AdaptiveMaxPool(3)), "1 (AdaptiveMaxPool) sees all of time"),
    "LSTM": (nn.Sequential(conv(), nn.LSTM(4, 4)), "1 (LSTM) remembers"),
    "GRU": (nn.GRU(2, 2), "the model (GRU) remembers"),
    "inner LSTM": (nn.Sequential(conv(), Recurrent()), "1.memory (LSTM) remembers"),
    "attention": (nn.Sequential(conv(), nn.MultiheadAttention(4, 2)), "1 (MultiheadAttention) looks at all of time"),
    "encoder": (nn.TransformerEncoderLayer(4, 2), "the model (TransformerEncoderLayer) looks at all of time"),
    "LayerNorm": (nn.Sequential(conv(), nn.LayerNorm(9)), "1 (LayerNorm) normalizes by statistics over time"),
    "GroupNorm": (nn.Sequential(conv(), nn.GroupNorm(2, 4)), "1 (GroupNorm) normalizes by statistics over time"),
    "InstanceNorm1d": (nn.Sequential(conv(), nn.InstanceNorm1d(4)), "1 (InstanceNorm1d) normalizes by statistics"),
    "BatchNorm without statistics": (
        nn.Sequential(conv(), nn.BatchNorm1d(4, track_running_stats=False)),
        "1 (BatchNorm1d) normalizes by statistics over the batch and time",
    ),
    "Linear": (nn.Sequential(conv(), nn.Linear(9, 2)), "1 (Linear) mixes the samples of the last axis"),
    "Flatten": (nn.Sequential(conv(), nn.Flatten(), nn.Linear(9, 2)), "1 (Flatten) sees all of time"),
    "Softmax": (nn.Sequential(conv(), nn.Softmax(-1)), "1 (Softmax) sees all of time"),
    "strict": (sc.Conv1d(1, 1, 3, 2, strict=True), "the model (Conv1d) is strict about the signal's length"),
    "circular": (nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular"), "the model (Conv1d) joins the end"),
    **{
        f"circular {type(module).__name__}": (module, f"the model ({type(module).__name__}) joins the end")
        for module in (
            speech.Spectrogram(64, 16, padding_mode="circular"),
            speech.LogMel(8000, padding_mode="circular"),
            speech.Deltas(padding_mode="circular"),
            speech.Resample(16000, 8000, padding_mode="circular"),
            scattering.Scattering(3, ndim=1, padding_mode="circular"),
        )
    },
    "functional": (nn.Sequential(Functional()), "0 (Functional) is not local"),
    "bank in frequency": (gabor.log_gabor([0.1], [0.5]), "is made in frequency: it sees all of an axis"),
    "MFCC": (speech.MFCC(8000, top_db=80.0), "the model (MFCC) has no reach (MFCC with top_db sees the whole"),
    "LeNet": (sc.models.lenet.build(ndim=1, in_channels=1), "fit (AdaptiveAvgPool) sees all of time"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_sees_all_of_time_is_refused_by_name_with_the_remedy(what):
    model, words = REFUSED[what]
    with pytest.raises(ValueError, match="window=") as error:
        sc.stream(model.eval())
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hop": 3}, "hop=3 without window="),
        ({"block": 0}, "block 0 must be at least 1"),
        ({"window": 0}, "window 0 must be at least 1"),
        ({"window": 4, "hop": 0}, "hop 0 must be at least 1"),
        ({"fs": 0}, "fs=0 must be above 0"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        sc.stream(nn.Conv1d(1, 1, 3).eval(), **options)


def test_training_mode_and_what_is_no_module_are_refused():
    with pytest.raises(ValueError, match=r"0 is in training mode: call model.eval\(\)"):
        sc.stream(nn.Sequential(nn.BatchNorm1d(2)))

    class Own(nn.Module):
        def forward(self, x):
            return x + self.training

    with pytest.raises(ValueError, match=r"the model is in training mode: call model.eval\(\)"):
        sc.stream(Own())
    assert sc.stream(nn.Sequential(nn.Conv1d(1, 2, 3), nn.ReLU())).latency == 2, "these two answer alike in training"
    model = nn.Sequential(nn.Conv1d(1, 2, 3), nn.BatchNorm1d(2)).eval()
    model[1].train()
    with pytest.raises(ValueError, match="1 is in training mode"):
        sc.stream(model)
    with pytest.raises(TypeError, match="model is a function"):
        sc.stream(lambda x: x)


def test_local_along_time_though_whole_along_bands_cut_off_or_turned():
    bands = (
        nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.AdaptiveAvgPool2d((1, None)), nn.Flatten(1, 2)).eval().double()
    )
    x = signal((1, 7), 60)
    near(streamed(sc.stream(bands), x.split(13, -1)), offline(bands, x), 1e-12)

    class Turned(nn.Module):  # a normalization over channels, at each position
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.mix = nn.Conv1d(2, 4, 3, padding=1), nn.LayerNorm(4), nn.Linear(4, 4)

        def forward(self, x):
            return self.mix(self.norm(self.conv(x).mT)).mT

    class Cut(nn.Module):
        def forward(self, x):
            return x[..., 3:-5:2]

    for step in (Cut(), nn.ConvTranspose1d(2, 2, 3, 3, 2), sc.ConvTranspose(2, 3, 5, 4, 6, ndim=1), sc.Upsample(2)):
        x, step = signal((2,), 60), step.eval().double()
        near(streamed(sc.stream(step), x.split(7, -1)), offline(step, x), 1e-12)
    turned = Turned().eval().double()
    x = signal((2,), 60)
    near(streamed(sc.stream(turned), x.split(13, -1)), offline(turned, x), 1e-12)


def test_what_cannot_be_told_from_the_first_layers_is_told_by_shape_or_the_first_chunk():
    class Seven(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(7, 1))

        def forward(self, x):
            return F.avg_pool1d(x.unflatten(1, (7, 1)).flatten(1, 2) * self.weight, 3, 1)

    live, x = sc.stream(Seven().eval()), torch.randn(1, 7, 20)
    with pytest.raises(ValueError, match=r"not known before its first chunk: give stream\(…, shape=\)"):
        _ = live.latency
    near(streamed(live, x.split(6, -1)), Seven.forward(live._parts[0].op, x), 1e-6)
    assert live.latency == sc.stream(Seven().eval(), shape=(7,)).latency == 2


@given(st.integers(1, 20), st.integers(1, 25), st.integers(0, 90), cutting, st.booleans())
@examples(40)
def test_windows_slide_a_model_of_fixed_clips(window, hop, n, cuts, block):
    model = nn.Sequential(nn.Conv1d(2, 3, 1), nn.Flatten(), nn.Linear(3 * window, 4)).eval().double()
    x = signal((2,), n)
    live = sc.stream(model, window=window, hop=hop, block=7 if block else None)
    found = streamed(live, pieces(x, cuts))
    clips = [x[..., j : j + window] for j in range(0, n - window + 1, hop)]
    with torch.no_grad():
        wanted = torch.stack([model(clip) for clip in clips], -1) if clips else torch.empty(2, 4, 0).double()
    near(found, wanted, 1e-12)
    assert sc.stream(model, window=window, hop=hop).latency == window - 1
    assert live.stride == hop


def test_windows_come_in_groups_bounded_in_memory_and_answers_must_be_one_a_clip(monkeypatch):
    from sigconv.streaming import _windows

    seen = []

    class Spy(nn.Module):
        def forward(self, x):
            seen.append(x.numel())
            return x.mean((-2, -1))

    monkeypatch.setattr(_windows, "MOST", 200)
    x = signal((2,), 500, batch=1)
    found = streamed(sc.stream(Spy().eval(), window=20, hop=5), [x])
    assert found.shape == (1, 97)
    assert max(seen) <= 200
    with pytest.raises(ValueError, match="one entry of it a clip"):
        sc.stream(nn.Flatten(0).eval(), window=20)(x)


def test_whole_reads_arrays_memory_maps_and_chunks(tmp_path):
    net = nn.Sequential(sc.Conv1d(1, 2, 31, 4, padding="same"), nn.ReLU()).eval()
    x = signal((1,), 5000, torch.float32, batch=1)
    wanted = whole(net, x, block=512)
    near(wanted, offline(net, x), 1e-5)
    path = tmp_path / "x.npy"
    np.save(path, x.numpy())
    mapped = whole(net, np.load(path, mmap_mode="r", allow_pickle=False), block=512)
    assert isinstance(mapped, np.ndarray)
    assert np.array_equal(mapped, wanted.numpy())
    assert list(whole(net, [])) == []
    live = sc.stream(net, fs=8000, block=512)
    assert torch.equal(whole(live, x), wanted)


def test_what_is_kept_is_bounded_by_reach_and_chunk():
    net = nn.Sequential(
        speech.LogMel(16000, n_fft=512, hop_length=160), nn.Flatten(1, 2), nn.Conv1d(40, 4, 9, padding="same")
    )
    live = sc.stream(net.eval())
    chunk = torch.randn(1, 1, 1600)
    sizes = []
    for _ in range(60):
        live(chunk)
        held = [node.held.tail for node in live._nodes if node.held.tail is not None]
        sizes.append(sum(tail.untyped_storage().nbytes() for tail in held))
    limits = [(node.reach.size + node.reach.stride + 1) * c for node, c in zip(live._nodes, (1, 1, 40), strict=True)]
    assert max(sizes[2:]) <= 4 * sum(limits) + 4 * 1600


HOUR = """
import torch, sigconv as sc
from torch import nn
from sigconv.transforms import speech
torch.set_num_threads(1)
net = nn.Sequential(speech.front_end("log_mel", 16000), sc.Conv2d(1, 8, 3, padding="same"), nn.ReLU(), sc.MaxPool(2),
    sc.Conv2d(8, 8, 3, padding="same"), nn.ReLU(), sc.MaxPool((20, 2)), nn.Flatten(1, 2), nn.Conv1d(8, 10, 1)).eval()
sound = (torch.randn(1, 1, 16000) for _ in range(SECONDS))
live = sc.stream(net)
def most():  # of this process alone: what resource tells begins with its parent's
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024
for n, chunk in enumerate(sound):
    live(chunk)
    if n == 30:
        begun = most()
print(begun, most())
"""


def test_minutes_of_sound_take_the_memory_of_seconds():
    code = HOUR.replace("SECONDS", "600")  # whose samples are 38 MB
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=True, cwd=ROOT
    )
    begun, most = map(float, done.stdout.split())
    assert most - begun < 8, f"{begun:.0f} MB after half a minute, {most:.0f} MB after ten"
    assert most < 600, "torch and what it loads, Triton among it, take 505"
