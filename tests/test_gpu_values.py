"""Every family of operations on a GPU: values and gradients against float64 on the CPU, and the same bits again.

Run with: python -m pytest -m gpu        On a CPU: SIGCONV_TEST_DEVICE=cpu python -m pytest -m gpu
"""

import copy
from functools import partial

import pytest
import torch
from on_device import CUDA, DEVICE, EPS, GPU, far, made, parts

import sigconv as sc
from sigconv.filters import auditory, gabor, gaussian, haar, laws, motion, riesz, scattering, sinc, wavelet
from sigconv.models import dna
from sigconv.transforms import speech, volume

pytestmark = GPU

AGAIN = 3
FULL = {torch.float64: 1e-10, torch.float32: 2e-5}
HALVES = {torch.float16: 32 * EPS[torch.float16], torch.bfloat16: 16 * EPS[torch.bfloat16]}


def leaf(*size, seed=0):
    return made(*size, seed=seed)


def space(ndim):
    """Odd and even sizes, no multiple of 64."""
    return {1: (203,), 2: (21, 34), 3: (11, 14, 9), 4: (7, 6, 5, 9)}[ndim]


def convolutions():
    """Name, function of leaves, leaves."""
    for ndim in (1, 2, 3, 4):
        x, weight, bias = leaf(2, 4, *space(ndim)), leaf(6, 4, *[3] * ndim, seed=1), leaf(6, seed=2)
        yield f"conv {ndim}-D", lambda x, w, b: sc.conv(x, w, b, padding="same"), (x, weight, bias)
        options = {"stride": 2, "padding": 2, "dilation": 2, "padding_mode": "reflect"}
        yield f"conv {ndim}-D strided", lambda x, w, b, o=options: sc.conv(x, w, b, **o), (x, weight, bias)
        alone = leaf(8, 1, *[3] * ndim, seed=3)
        yield f"conv {ndim}-D depthwise", lambda x, w: sc.conv(x, w, padding=1, groups=4), (x, alone)
        back = lambda x, w: sc.conv_transpose(x, w, stride=2, padding=1)
        yield f"conv_transpose {ndim}-D", back, (leaf(2, 6, *space(ndim)), weight)
        mask = lambda x, w: sc.masked_conv(x, w, (x[:, :1].detach() > -1).to(x), padding=1)
        yield f"masked_conv {ndim}-D", mask, (x, weight.abs())
        yield f"unfold {ndim}-D", lambda x: sc.unfold(x, 3, stride=2), (x,)
    tokens = torch.arange(2 * 203).reshape(2, 203) * 7 % 5  # 4 is unknown
    weight, bias = leaf(6, 4, 9, seed=1), leaf(6, seed=2)
    yield "conv of tokens", lambda w, b: sc.conv(tokens.to(w.device), w, b, padding=4), (weight, bias)
    yield "conv_max of tokens", lambda w, b: sc.conv_max(tokens.to(w.device), w, b), (weight, bias)
    yield "convolve", lambda x, h: sc.convolve(x, h, "same"), (leaf(203), leaf(31, seed=1))
    yield "convolve, long", lambda x, h: sc.convolve(x, h), (leaf(40_003), leaf(2001, seed=1))
    yield "correlate 2-D", lambda x, h: sc.correlate(x, h, "valid"), (leaf(33, 41), leaf(5, 7, seed=1))


def poolings():
    for ndim in (1, 2, 3, 4):
        x = leaf(2, 3, *space(ndim))
        for name, pool in {
            "max": lambda x: sc.max_pool(x, 3, 2, padding=1),
            "max, wide": lambda x: sc.max_pool(x, 5, 1, padding=2),
            "avg": lambda x: sc.avg_pool(x, 3, 2, padding=1),
            "avg, without margins": lambda x: sc.avg_pool(x, 3, 1, padding=1, count_include_pad=False),
            "lp": lambda x: sc.lp_pool(x, 2.5, 3, 2),
            "lse": lambda x: sc.lse_pool(x, 3, 2, beta=2.0),
            "softmax": lambda x: sc.softmax_pool(x, 3, 2, beta=2.0),
            "stochastic, at rest": lambda x: sc.stochastic_pool(x, 2, 2, training=False),
            "blur": lambda x: sc.blur_pool(x, 3, 2),
            "max and blur": lambda x: sc.max_blur_pool(x, 2),
            "adaptive avg": lambda x: sc.adaptive_avg_pool(x, 3),
            "adaptive max": lambda x: sc.adaptive_max_pool(x, 3),
            "pyramid": lambda x: sc.pyramid_pool(x, (1, 2)),
            "global avg": lambda x: sc.global_pool(x),
            "global max": lambda x: sc.global_pool(x, "max"),
            "flips": lambda x: sc.group_max_pool(x, lambda t: t.flatten(2).cumsum(-1)[..., ::7], "flip"),
            "upsample": lambda x: sc.upsample(x, scale_factor=2, mode="linear"),
            "unpool": lambda x: sc.max_unpool(*sc.max_pool(x, 2, return_indices=True), 2, output_size=x.shape[2:]),
        }.items():
            yield f"{name} {ndim}-D", pool, (x,)
    samples = torch.rand(2, 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = lambda x: sc.fractional_max_pool(x, 2, 11, samples=samples.to(x))
    yield "fractional 2-D", drawn, (leaf(2, 3, *space(2)),)


def wavelets(ndim):
    """Their filters are PyWavelets'."""
    pytest.importorskip("pywt")
    return wavelet.default(ndim)


ROOMS = {"gabor": gabor, "haar": haar, "gaussian": gaussian, "laws": laws, "riesz": riesz}


def banks():
    """Name, what makes a bank, a function of it and x, x."""
    found = {f"{name} {n}-D": (partial(room.default, n), n) for n in (1, 2, 3) for name, room in ROOMS.items()}
    found |= {f"wavelet {n}-D": (partial(wavelets, n), n) for n in (1, 2, 3)}
    found |= {f"motion {n}-D": (partial(motion.default, n), n) for n in (2, 3)}
    found["sinc"] = lambda: sinc.default(1), 1
    found["mel"] = lambda: auditory.bank("mel", 12, 60.0, 3000.0, fs=8000), 1
    found["gammatone"] = lambda: auditory.gammatone(8, 100.0, 3000.0, 8000), 1
    found["log-Gabor 2-D"] = lambda: gabor.log_gabor([[0.1, 0.0], [0.06, 0.08]]), 2
    for name, (bank, ndim) in found.items():
        x = leaf(2, 2, *(n + 20 for n in space(ndim)))
        yield f"bank {name}", bank, lambda bank, x: bank(x, padding_mode="symmetric"), x
        yield f"bank {name} strided", bank, lambda bank, x: bank(x, stride=3, output="real"), x
        yield f"bank {name} energy", bank, lambda bank, x: bank(x, output="energy"), x


def nothing():
    """Where no module is wanted."""


def transforms():
    wave = leaf(2, 1, 4003)
    yield "spectrogram", nothing, lambda _, x: speech.spectrogram(x, n_fft=256, hop_length=100), wave
    yield "mel spectrogram", nothing, lambda _, x: speech.mel_spectrogram(x, 8000, n_fft=256, n_mels=20), wave
    yield "log-mel", nothing, lambda _, x: speech.log_mel(x, 8000, n_fft=256, n_mels=20), wave
    yield "MFCC", nothing, lambda _, x: speech.mfcc(x, 8000, n_fft=256, n_mels=20, n_mfcc=8), wave
    yield "deltas", nothing, lambda _, x: speech.deltas(x[..., :400]), wave
    yield "resample", nothing, lambda _, x: speech.resample(x, 8000, 11025), wave
    for kind in ("log_mel", "gabor", "leaf", "sinc", "raw"):
        yield f"front end {kind}", partial(speech.front_end, kind, 8000, bands=12), lambda front, x: front(x), wave
    for name in ("dwt", "swt", "packets"):
        transform = getattr(haar, name)
        yield f"haar {name} 1-D", nothing, lambda _, x, t=transform: t(x, 2, axes=[-1]), leaf(3, 1, 256)
        yield f"haar {name} 3-D", nothing, lambda _, x, t=transform: t(x, 1, axes=[-3, -2, -1]), leaf(2, 12, 14, 10)
    back = lambda _, x: haar.idwt(haar.dwt(x, 2, axes=[-2, -1]), axes=[-2, -1])
    yield "haar idwt 2-D", nothing, back, leaf(2, 36, 44)
    kinds = haar.viola_jones(8, ["edge"])[:200]
    yield "haar boxes", nothing, lambda _, x: haar.boxes(x, kinds), leaf(12, 15)
    for ndim, size in ((1, (200,)), (2, (40, 36))):
        yield (
            f"scattering {ndim}-D",
            partial(scattering.Scattering, 2, ndim=ndim),
            lambda layer, x: layer(x),
            leaf(2, 1, *size),
        )
    yield (
        "motion energy",
        partial(motion.AdelsonBergen, 1.0, 4, ndim=3),
        lambda cells, x: cells(x),
        leaf(2, 1, 12, 17, 19),
    )
    yield (
        "volume resample",
        nothing,
        lambda _, x: volume.resample(x, torch.eye(4), spacing=(1.5, 1.5, 0.7))[0],
        leaf(11, 14, 9),
    )


def losses():
    reads = torch.arange(2 * 2 * 30).reshape(2, 2, 30) % 7
    profile = lambda y, n: dna.profile_loss((y, n), reads.to(y))
    yield "profile loss", profile, (leaf(2, 2, 30), leaf(2, 2, seed=1).abs())


PLAIN = {name: (function, leaves) for name, function, leaves in (*convolutions(), *poolings(), *losses())}
MODULES = {name: row for name, *row in (*banks(), *transforms())}


def gradients(function, leaves):
    """What it answers, and the derivatives of its parts' sum, each part weighted differently."""
    leaves = [one.detach().clone().requires_grad_() for one in leaves]
    found = [part for part in parts(function(*leaves)) if part.is_floating_point() or part.is_complex()]
    real = [torch.view_as_real(part) if part.is_complex() else part for part in found]
    weights = [torch.linspace(0.5, 1.5, part.numel()).reshape(part.shape).to(part) for part in real]
    total = sum((part * w).sum() for part, w in zip(real, weights, strict=True))
    return [*(part.detach() for part in found), *torch.autograd.grad(total, leaves)]


def kept(function, leaves, dtype, most):
    """Near the exact answer of the rounded leaves, and the same bits every time."""
    near = [one.to(dtype) for one in leaves]
    exact = gradients(function, [one.double() for one in near])
    there = [one.to(DEVICE) for one in near]
    found = gradients(function, there)
    assert len(found) == len(exact)
    for one, true in zip(found, exact, strict=True):
        assert one.device.type == torch.device(DEVICE).type
        assert one.shape == true.shape
        assert far(one, true) <= most
    for _ in range(AGAIN):
        assert all(map(torch.equal, gradients(function, there), found))


@pytest.mark.parametrize("dtype", FULL, ids=str)
@pytest.mark.parametrize("name", PLAIN)
def test_values_and_gradients_are_the_cpus_and_the_same_bits_again(name, dtype):
    function, leaves = PLAIN[name]
    kept(function, leaves, dtype, FULL[dtype])


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize(
    "name", ["conv 1-D", "conv 3-D", "conv 3-D depthwise", "max 3-D", "avg 3-D", "lp 2-D", "lse 2-D"]
)
def test_halves_keep_their_own_gate(name, dtype):
    if name == "avg 3-D" and not CUDA:
        pytest.skip("torch has no means of halves over volumes on a CPU")
    function, leaves = PLAIN[name]
    kept(function, leaves, dtype, HALVES[dtype])


@pytest.mark.parametrize("dtype", FULL, ids=str)
@pytest.mark.parametrize("name", MODULES)
def test_banks_and_transforms_are_the_cpus(name, dtype):
    build, function, x = MODULES[name]
    module = build()
    exact = parts(function(module and copy.deepcopy(module).double(), x.to(dtype).double()))
    layer = module and module.to(DEVICE)
    if dtype == torch.float64:
        layer = layer and layer.double()
    there = x.to(DEVICE, dtype)
    found = parts(function(layer, there))
    assert len(found) == len(exact)
    for one, true in zip(found, exact, strict=True):
        assert one.device.type == torch.device(DEVICE).type
        assert far(one, true) <= (1e-3 if dtype == torch.float32 else 1e-8)
    again = parts(function(layer, there))
    assert all(map(torch.equal, again, found))
