"""Volumes of any kind of numbers and on any grid: kept exactly, promoted, or refused in one line; never wrapped."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from sigconv.transforms import volume
from sigconv.transforms.volume._axis import along, weights, window

LINE, PLANE = np.eye(2), np.eye(3)
TURNED = np.array([[0.8, 0.6, 0.0], [-0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])


@given(
    n=st.integers(1, 9),
    step=st.floats(1.5, 60),
    order=st.sampled_from([1, 3]),
    middle=st.floats(-30, 30),
    seed=st.integers(0, 2**31),
)
@examples(40)
def test_a_mean_over_more_than_there_is_is_the_same_by_fewer_taps(n, step, order, middle, seed):
    x, places = np.random.default_rng(seed).normal(size=n), torch.tensor([middle, n / 2], dtype=torch.float64)
    long = along(torch.from_numpy(x), 0, *weights(places, window(step), order))
    index, share = weights(places, window(step), order, n)
    assert index.shape[1] <= max(n + 14, 8)
    torch.testing.assert_close(along(torch.from_numpy(x), 0, index, share), long, rtol=0, atol=1e-12)
    torch.testing.assert_close(share.sum(1), torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("spacing", [1e4, 1e9, 1e15])
@pytest.mark.parametrize("order", [0, 1, 3])
def test_a_grid_much_coarser_is_the_mean_of_both_ends(spacing, order):
    y, place = volume.resample(np.array([0.0, 1.0, 5.0]), LINE, spacing=spacing, order=order)
    assert place[0, 0] == spacing
    np.testing.assert_allclose(y, 1.0 if order == 0 else 2.5, atol=1e-3)
    turned, _ = volume.resample(np.ones((3, 3)), PLANE, like=((2, 2), TURNED @ np.diag([spacing, spacing, 1])))
    assert set(turned.ravel().tolist()) <= {0.0, 1.0}


HOLDS = [
    ("uint8", 255, 256),
    ("uint8", 0, -1),
    ("uint16", 65535, 65536),
    ("int8", -128, 0.5),
    ("uint32", 2**32 - 1, 2**32),
    ("int64", -(2**53), 2**63),
    ("bool", 1, 2),
    ("int16", 7, np.nan),
    ("float16", -65504.0, 1e6),
    ("float32", np.inf, 1e39),
]


@pytest.mark.parametrize(("dtype", "fits", "wraps"), HOLDS)
def test_a_value_is_filled_in_as_it_is_or_refused(dtype, fits, wraps):
    x = (np.arange(16).reshape(4, 4) % 2).astype(dtype)
    for call, corner in (
        (lambda value: volume.crop_pad(x, PLANE, shape=6, value=value), (0, 0)),
        (lambda value: volume.resample(x, PLANE, like=((6, 6), PLANE), order=0, value=value), (5, 5)),
        (lambda value: volume.resample(x, PLANE, like=((6, 6), TURNED), order=0, value=value), (5, 0)),
        (
            lambda value: volume.resample(x, PLANE, like=((6, 6), TURNED @ np.diag([2, 2, 1])), order=0, value=value),
            (5, 0),
        ),
    ):
        y, _ = call(fits)
        assert y.dtype == x.dtype
        assert y[corner] == fits
        with pytest.raises(ValueError, match=re.escape(f"value {wraps} is no torch.{dtype}: expected")) as caught:
            call(wraps)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool])
def test_a_network_that_answers_whole_numbers_is_refused(dtype):
    with pytest.raises(ValueError, match=f"the model's answers of {dtype} have no means: give floating numbers"):
        volume.sliding(lambda part: (part > 0).to(dtype), torch.ones(1, 1, 8), 4)


@pytest.mark.parametrize(
    "level",
    [volume.zscore, volume.percentile, lambda x: volume.window(x, 0, 1)],
    ids=["zscore", "percentile", "window"],
)
def test_complex_values_have_no_grey_scale(level):
    x = torch.tensor([1 + 1j, 2 - 5j])
    with pytest.raises(ValueError, match=r"x of torch.complex64 has no scale of grey values: take its magnitude first"):
        level(x)
    assert level(x.abs()).shape == (2,)


@pytest.mark.parametrize("unit", [1e300, 1e150, 1.0, 1e-150, 1e-300])
def test_scores_do_not_depend_on_the_unit(unit):
    np.testing.assert_allclose(volume.zscore(unit * np.array([1.0, 2.0, 3.0])), [-(1.5**0.5), 0, 1.5**0.5], atol=1e-12)


def test_no_volumes_are_no_volumes():
    x = torch.ones(0, 3, 3)
    assert volume.zscore(x, ndim=2).shape == volume.percentile(x, ndim=2).shape == (0, 3, 3)
    for order in (0, 1, 3):
        y, _ = volume.resample(np.zeros((0, 4), "uint8"), LINE, spacing=2.0, order=order)
        assert y.shape == (0, 2)
        assert y.dtype == ("uint8" if order == 0 else "float32")


@pytest.mark.parametrize("order", [0, 1, 3])
def test_complex_values_between_samples_are_those_of_their_parts(order):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 6, dtype=torch.complex128, generator=generator)
    places = [7 * torch.rand(40, dtype=torch.float64, generator=generator) - 1 for _ in range(2)]
    parts = [volume.at_points(part, places, order=order) for part in (x.real, x.imag)]
    torch.testing.assert_close(volume.at_points(x, places, order=order), torch.complex(*parts))
    whole = [torch.arange(5.0)[:, None], torch.arange(6.0)[None]]
    assert torch.equal(volume.at_points(x, whole, order=order), x)


X = np.zeros(4, "float32")
MUCH = {
    "spacing": (
        lambda: volume.resample(X, LINE, spacing=1e-12),
        "spacing 1e-12 asks for 4000000000000 .* give it in mm",
    ),
    "least spacing": (lambda: volume.resample(X, LINE, spacing=1e-320), "spacing .* give it in mm"),
    "shape": (lambda: volume.resample(X, LINE, shape=2**50), "shape 1125899906842624 asks for 1125899906842624 values"),
    "like": (lambda: volume.resample(X, LINE, like=((2**50,), LINE)), r"like \(1125899906842624,\) asks for"),
    "crop": (lambda: volume.crop_pad(X, LINE, shape=2**50), "shape 1125899906842624 asks for 1125899906842624 values"),
}


@pytest.mark.parametrize("case", MUCH)
def test_more_than_memory_holds_is_refused_before_it_is_asked_for(case):
    call, message = MUCH[case]
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
