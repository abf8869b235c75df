"""Undecimated wavelets: PyWavelets, and the cascade written out, say what they are."""

import itertools

import numpy as np
import pytest
import pywt
import torch
from scipy import ndimage

from sigconv.filters import wavelet

WAVELETS = ["haar", "db2", "db5", "sym4", "coif1", "bior2.2", "rbio3.1", "dmey"]


def signal(*size):
    return np.random.default_rng(0).standard_normal(size)


@pytest.mark.parametrize("name", WAVELETS)
@pytest.mark.parametrize("level", [1, 2, 3])
def test_around_a_circle_they_are_the_stationary_transform_of_pywavelets(name, level):
    x = signal(8, 16)
    bank = wavelet.bank(name, "all", level, ndim=2)
    ours = dict(zip(bank.names, bank(x[None, None], padding_mode="circular")[0], strict=True))
    theirs = pywt.swtn(x, name, level)[0]
    scale = max(abs(v).max() for v in theirs.values())
    for letters, y in ours.items():
        np.testing.assert_allclose(y, theirs[letters.lower().translate({108: "a", 104: "d"})], atol=1e-13 * scale)


@pytest.mark.parametrize("ndim", [1, 3, 4])
def test_in_any_number_of_dimensions(ndim):
    x = signal(*(8,) * ndim)
    bank = wavelet.bank("db2", "all", 2, ndim=ndim)
    assert len(bank) == 2**ndim
    theirs = pywt.swtn(x, "db2", 2)[0]
    for letters, y in zip(bank.names, bank(x[None, None], padding_mode="circular")[0], strict=True):
        np.testing.assert_allclose(y, theirs[letters.lower().translate({108: "a", 104: "d"})], atol=1e-12)


NUMPY = {"zeros": "constant", "symmetric": "reflect", "replicate": "nearest", "reflect": "mirror"}


@pytest.mark.parametrize("mode", NUMPY)
@pytest.mark.parametrize("name", ["haar", "db2", "bior2.2"])
def test_the_border_stands_at_each_stage(name, mode):
    taps = {"L": pywt.Wavelet(name).dec_lo, "H": pywt.Wavelet(name).dec_hi}
    odd = {k: np.append(v, 0.0) if len(v) % 2 == 0 else np.array(v) for k, v in taps.items()}
    y = x = signal(23, 17)
    for level, letters in enumerate(["LL", "LL", "HL"]):
        for axis, letter in enumerate(letters):
            spread = np.zeros(2**level * (len(odd[letter]) - 1) + 1)
            spread[:: 2**level] = odd[letter]
            y = ndimage.convolve1d(y, spread, axis, mode=NUMPY[mode])
    ours = wavelet.bank(name, "HL", 3)(x[None, None], padding_mode=mode)[0, 0]
    np.testing.assert_allclose(ours, y, atol=1e-13)


def test_the_kernel_is_the_whole_cascade():
    bank = wavelet.bank("db2", ["LH", "HL"], 3)
    assert bank.kernel_size == (29, 29)
    impulse = torch.zeros(1, 1, 41, 41).double()
    impulse[..., 20, 20] = 1
    torch.testing.assert_close(bank(impulse)[0, :, 6:35, 6:35], bank.kernels)
    layer = bank.as_conv(dtype=torch.float64)
    torch.testing.assert_close(layer(impulse), bank(impulse))
    assert bank.kernels.sum((1, 2)).abs().max() < 1e-10, "a wavelet sees no constant"


@pytest.mark.parametrize("name", ["haar", "db2", "sym4"])
def test_orthogonal_subbands_keep_all_energy(name):
    x = torch.from_numpy(signal(1, 1, 12, 9))
    y = wavelet.bank(name, "all", ndim=2)(x, padding_mode="circular")
    torch.testing.assert_close(y.square().sum(), 4 * x.square().sum())


def test_half_precision_strides_and_arrays():
    bank = wavelet.bank("db2", "all", 2, ndim=2)
    x = torch.from_numpy(signal(2, 3, 11, 13)).float()
    y = bank(x, padding_mode="symmetric")
    assert y.shape == (2, 12, 11, 13)
    torch.testing.assert_close(bank(x, padding_mode="symmetric", stride=(2, 3)), y[..., ::2, ::3])
    low = bank(x.bfloat16(), padding_mode="symmetric")
    assert low.dtype == torch.bfloat16
    exact = bank(x.bfloat16().float(), padding_mode="symmetric")
    torch.testing.assert_close(low, exact.bfloat16())
    np.testing.assert_array_equal(bank(x.numpy(), padding_mode="symmetric"), y)
    assert bank.state_dict() == {}
    both = bank(torch.complex(x, -x), padding_mode="symmetric")
    torch.testing.assert_close(both, torch.complex(y, -y))


def test_a_nan_touches_its_window_and_nothing_else():
    x = torch.zeros(1, 1, 40)
    x[..., 20] = torch.nan
    bank = wavelet.bank("db2", "L", 2)
    bad = torch.isnan(bank(x)[0, 0])
    half = bank.kernel_size[0] // 2
    assert bad[20 - half : 21 + half].all()
    assert not bad[: 20 - half].any()
    assert not bad[21 + half :].any()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("db22x", "L"), r"unknown wavelet 'db22x': did you mean db\d+"),
        (("morl", "L"), "unknown wavelet 'morl'"),
        (("db2", "LX"), "subband 'LX' is not made of the letters L and H"),
        (("db2", ""), "subband '' is not"),
        (("db2", ["L", "LL"]), "do not have one number of letters"),
        (("db2", "all"), "give ndim="),
        (("db2", "L", 0), "level 0 must be at least 1"),
    ],
)
def test_what_there_is_not_is_named_in_one_line(words, message):
    with pytest.raises(ValueError, match=message) as caught:
        wavelet.bank(*words)
    assert "\n" not in str(caught.value)


def test_every_discrete_wavelet_has_a_bank():
    for name, letter in itertools.product(pywt.wavelist(kind="discrete"), "LH"):
        bank = wavelet.bank(name, letter)
        taps = pywt.Wavelet(name).dec_lo if letter == "L" else pywt.Wavelet(name).dec_hi
        np.testing.assert_array_equal(bank.kernels[0, : len(taps)], taps)
        assert bank.kernel_size[0] % 2 == 1
