"""Front ends: one contract for all six, frozen and learned, and what learning did to them (B.2)."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from sigconv import models
from sigconv.filters import auditory
from sigconv.train.steps import steps_of
from sigconv.transforms.speech import FRONT_ENDS, drift, front_end, spans

FS = 8000
DECIBELS = [kind for kind in FRONT_ENDS if kind != "leaf"]
ORDERED = [kind for kind in FRONT_ENDS if kind != "raw"]
BOUND = ["log_mel", "gabor", "leaf", "sinc"]
LEARNED = {"log_mel": 120, "gabor": 80, "leaf": 280, "sinc": 80, "raw": 40 * 257, "scattering": 126}


def made(kind, **options):
    torch.manual_seed(0)
    return front_end(kind, FS, **options)


def tone(frequency, n=4000):
    return torch.from_numpy(np.sin(2 * np.pi * frequency * np.arange(n) / FS)).float().reshape(1, 1, -1)


@pytest.mark.parametrize("samples", [799, 800, 801, 1])
@pytest.mark.parametrize("kind", ["log_mel", "gabor", "leaf", "sinc", "raw"])
def test_b2_a_front_end_gives_a_frame_every_hop(kind, samples):
    net = made(kind)
    y = net(torch.randn(2, 1, samples))
    assert y.shape == (2, net.channels, 40, math.ceil(samples / net.hop))
    assert net.hop == 100


def test_c6_scattering_gives_orders_as_channels_and_keeps_its_bands():
    net = made("scattering")
    assert (net.hop, net.bands, net.channels) == (128, 40, 7)
    y = net(torch.randn(2, 1, 4000))
    assert y.shape == (2, 7, 40, math.ceil(4000 / 128))
    slowest = y[:, 6, 0]  # what a band slower than 2^6 samples does at that scale: nothing
    assert torch.allclose(slowest, torch.full_like(slowest, -60.0))


@pytest.mark.parametrize("kind", FRONT_ENDS)
def test_b2_frozen_has_nothing_to_train_and_learned_what_the_papers_count(kind):
    trained = lambda net: sum(p.numel() for p in net.parameters() if p.requires_grad)
    assert trained(made(kind)) == 0
    assert trained(made(kind, learnable=True)) == LEARNED[kind]


@pytest.mark.parametrize("kind", ["log_mel", "gabor", "sinc", "raw"])
def test_white_noise_of_power_one_is_0_decibels(kind):
    noise = torch.randn(8, 1, 16000, generator=torch.Generator().manual_seed(1))
    power = 10 ** (made(kind)(noise)[..., 5:-5] / 10)
    # a band of 60 Hz over 8 x 2 s has some 1,000 independent values: its mean is within 4/sqrt(1000) of 1
    assert (power.mean((0, 1, 3)) - 1).abs().max() < 0.13


@pytest.mark.parametrize("kind", ORDERED)
def test_b2_a_tone_is_loudest_in_the_band_it_belongs_to(kind):
    net = made(kind)
    centre, _ = spans(net.gains(), FS)
    assert (centre.diff() > 0).all()
    for band in (8, 20, 33):
        picture = net(tone(centre[band].item()))[0, 0, :, 10:-10]
        assert abs(int(picture.mean(-1).argmax()) - band) <= 1


@pytest.mark.parametrize("kind", FRONT_ENDS)
@pytest.mark.parametrize("x", [torch.zeros(1, 1, 2000), torch.ones(1, 1, 2000)], ids=["silence", "constant"])
def test_n23_silence_and_constants_are_finite_and_so_are_gradients(kind, x):
    net = made(kind, learnable=True)
    y = net(x.requires_grad_())
    y.sum().backward()
    assert torch.isfinite(y).all()
    assert torch.isfinite(x.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.requires_grad)


@pytest.mark.parametrize("kind", DECIBELS)
def test_silence_is_the_floor(kind):
    assert torch.allclose(made(kind)(torch.zeros(1, 1, 2000)), torch.tensor(-60.0))


def test_log_mel_starts_as_htks_triangles():
    weights = auditory.mel_weights(FS, 256, 40, fmin=40.0, htk=True, norm=None)
    assert torch.allclose(made("log_mel")[0].weights().float(), weights / weights.sum(1, keepdim=True), atol=1e-6)


@pytest.mark.parametrize("kind", ["log_mel", "gabor", "sinc", "raw", "scattering"])
def test_n28_a_frame_sees_no_further_than_its_reach(kind):
    net = made(kind).double()
    x = torch.randn(1, 1, 6000, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    reach, frame = net.reach, 30
    assert reach.stride == net.hop
    first, last = frame * net.hop - reach.before, frame * net.hop + reach.after
    there = net(x)[..., frame]
    for place in (first - 1, last + 1):
        if 0 <= place < x.shape[-1]:
            other = x.clone()
            other[..., place] += 10
            torch.testing.assert_close(net(other)[..., frame], there, atol=1e-9, rtol=0)
    near = x.clone()
    near[..., frame * net.hop] += 10
    assert (net(near)[..., frame] - there).abs().max() > 1e-3


@pytest.mark.parametrize("kind", FRONT_ENDS)
def test_b2_learned_filters_drift_and_frozen_ones_do_not(kind):
    for learnable in (False, True):
        net = made(kind, learnable=learnable)
        before = net.gains()
        head = nn.Linear(40, 2)
        parameters = [p for p in (*net.parameters(), *head.parameters()) if p.requires_grad]
        optimizer = torch.optim.Adam(parameters, lr=1e-2)
        x = torch.randn(4, 1, 1600, generator=torch.Generator().manual_seed(3))
        for _ in range(3):
            loss = nn.functional.cross_entropy(head(net(x).mean((1, 3))), torch.tensor([0, 1, 0, 1]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found = drift(before, net.gains(), FS)
        assert (found.turned > 1e-5) == learnable
        assert (found.moved > 1e-3) == learnable
        assert found.furthest >= found.moved


@pytest.mark.parametrize("kind", FRONT_ENDS)
def test_b2_weight_decay_does_not_move_filters_that_learn_nothing(kind):
    net = made(kind, learnable=True)
    before = net.gains()
    optimizer = steps_of("adamw", net, 4e-3, 0.0, 0.5)
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    for _ in range(20):
        optimizer.step()
    moved = drift(before, net.gains(), FS)
    assert moved == (0, 0, 0, 0) or kind == "raw"  # whose taps are weights: decay scales them all alike
    assert moved.moved == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("kind", BOUND)
def test_bands_lie_between_the_limits_asked_for(kind):
    low, high = 500.0, 1500.0
    centre, _ = spans(made(kind, fmin=low, fmax=high, bands=12).gains(), FS)
    assert (centre > low).all()
    assert (centre < high + 100).all()


@pytest.mark.parametrize("kind", FRONT_ENDS)
def test_a_state_dict_is_all_there_is_to_a_front_end(kind):
    x = torch.randn(1, 1, 2000)
    one = made(kind)
    torch.manual_seed(1)
    other = front_end(kind, FS)
    other.load_state_dict(one.state_dict())
    assert torch.equal(other(x), one(x))


def test_drift_measures_what_was_done():
    frequency = torch.linspace(0, 4000, 513)
    bump = lambda centre, width: torch.exp(-0.5 * ((frequency - centre) / width) ** 2)
    before = torch.stack([bump(1000, 100), bump(2000, 100)])
    after = torch.stack([bump(1050, 100), bump(2000, 200)])
    found = drift(before, after, FS)
    assert found.moved == pytest.approx(25, abs=0.1)
    assert found.furthest == pytest.approx(50, abs=0.1)
    assert found.widened == pytest.approx(0.5, abs=0.01)  # one of two by an octave
    assert 0 < found.turned < 0.2
    assert drift(before, before, FS) == (0, 0, 0, 0)


@pytest.mark.parametrize("kind", FRONT_ENDS)
def test_float64_is_float32_but_for_rounding(kind):
    net, x = made(kind), torch.randn(1, 1, 1600)
    single = net(x)
    torch.testing.assert_close(net.double()(x.double()).float(), single, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: front_end("mfcc", FS), "front end 'mfcc' is not one of"),
        *((lambda kind=kind: front_end(kind, FS, fmax=5000), "fmax 5000 is above half") for kind in BOUND),
        (lambda: front_end("raw", FS, fmin=100), "fmin=100, fmax=None: front end 'raw' has no such limits"),
        (lambda: front_end("scattering", FS, fmax=900), "front end 'scattering' has no such limits"),
        (lambda: front_end("gabor", FS, hop=1e-5), "hop 1e-05 s is 0.08 samples"),
        (lambda: front_end("log_mel", FS, bands=0), "bands"),
        (lambda: front_end("log_mel", FS)(torch.zeros(2, 8000)), r"expected \(batch, 1, samples\)"),
        (lambda: front_end("raw", FS)(torch.zeros(2, 1, 0)), r"expected \(batch, 1, samples\)"),
    ],
)
def test_mistakes_are_told_in_a_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spec", ["speech:limited", "speech:none", "speech:sincnet", "speech:full"])
def test_weight_decay_pulls_at_weights_alone(spec):
    net = models.build(spec, width=1 / 16)
    named = {id(p): name for name, p in net.named_parameters()}
    decayed = [
        named[id(p)]
        for group in steps_of("adamw", net, 1e-3, 0.0, 0.1).param_groups
        if group["weight_decay"]
        for p in group["params"]
    ]
    assert decayed
    assert not [name for name in decayed if name.endswith("bias") or "norm" in name or "filters" in name]
