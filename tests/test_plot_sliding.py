"""Animations of convolutions show the true numbers at every step, and are GIFs of the frames asked for."""

import io
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from PIL import Image
from scipy import signal as scipy_signal
from strategies import examples

import sigconv as sc
from sigconv import files, plot
from sigconv.plot import _sliding, _stages

TIGHT = {"rtol": 1e-12, "atol": 1e-12}


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def opened(gif):
    """Every frame (height, width, 3) and how long it lasts, in milliseconds."""
    image = Image.open(io.BytesIO(gif))
    frames, lasting = [], []
    for n in range(image.n_frames):
        image.seek(n)
        frames.append(np.asarray(image.convert("RGB")))
        lasting.append(image.info["duration"])
    return frames, lasting


# The numbers


@examples(20)
@given(st.integers(1, 12), st.integers(1, 9), st.floats(0.5, 100))
def test_vz8_every_step_of_the_integral_is_a_convolution_of_scipy(samples, taps, fs):
    x, kernel = drawn(samples), drawn(taps, seed=1)
    wanted = scipy_signal.convolve(x, kernel, method="direct") / fs
    stage = _stages.Integral(x, kernel, fs, "")
    assert_allclose(stage.output, wanted, **TIGHT)
    for n in range(len(wanted)):
        stage.show(n)
        assert_allclose(stage.traced.get_xydata(), np.stack([np.arange(n + 1) / fs, wanted[: n + 1]], 1), **TIGHT)
        assert_allclose(stage.dot.get_xydata(), [[n / fs, wanted[n]]], **TIGHT)
        tau, values = np.asarray(stage.turned.get_xydata()).T
        assert_allclose(values, kernel[::-1])
        assert_allclose(n / fs - tau, np.arange(taps)[::-1] / fs, atol=1e-9)  # what it shows at τ is h(t - τ)
        under = sum(x[k] * kernel[n - k] for k in range(samples) if 0 <= n - k < taps)
        assert_allclose(stage.product(n).sum(), under, **TIGHT)


def test_vz8_the_product_is_shaded_where_it_is():
    stage = _stages.Integral(np.array([1.0, 2.0, 3.0]), np.array([1.0, 10.0]), 2.0, "")
    stage.show(2)
    corners = stage.shade.get_paths()[0].vertices
    assert {(float(a), float(b)) for a, b in corners if b} == {(0.5, 20.0), (1.0, 3.0)}
    stage.show(0)
    assert stage.shade.get_paths()[0].vertices[:, 1].max() == 1.0, "one shade at a time"
    assert len(stage.above.collections) == 1


SPACES = [((7, 8), (3, 2)), ((5, 6, 7), (2, 3, 3)), ((6, 4, 5), (4, 1, 2))]


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("size", "taps"), SPACES, ids=["2-D", "3-D", "3-D deep"])
def test_vz8_every_step_of_the_window_is_a_layer_and_scipys_correlation(size, taps, channels, flip):
    x, kernel = drawn(channels, *size), drawn(channels, *taps, seed=1)
    two = scipy_signal.convolve if flip else scipy_signal.correlate
    wanted = sum(two(a, b, "valid", method="direct") for a, b in zip(x, kernel, strict=True))
    layer = sc.conv(x[None], kernel[None], flip=flip)[0, 0]
    assert_allclose(wanted, layer, **TIGHT)
    found = plot.sliding(x, kernel, flip=flip, frames=2)
    assert_allclose(found.output, wanted, **TIGHT)
    assert found.places == [0, wanted.size - 1]

    stage = _sliding._stage(x, kernel, 1.0, flip, "")
    whole = wanted.reshape(stage.shape)
    for n in range(0, wanted.size, 5):
        stage.show(n)
        depth, row, column = np.unravel_index(n, stage.shape)
        assert_allclose(stage.products(n).sum(), whole[depth, row, column], **TIGHT)
        part = np.ma.filled(stage.filled.get_array(), np.nan)
        known = np.arange(wanted.size).reshape(stage.shape)[depth] <= n
        assert_allclose(part, np.where(known, whole[depth], np.nan), **TIGHT)
        assert f"{whole[depth, row, column]:.3g}" in stage.whole.get_xlabel()
        assert tuple(stage.box.get_xy()) == (column - 0.5, row - 0.5)
        for made, one in zip(stage.made, stage.products(n), strict=True):
            shown = np.ma.filled(made.get_array(), np.nan)
            assert_allclose(shown[:, : taps[-1]], one[0], **TIGHT)


def test_vz8_the_box_lies_about_what_is_multiplied_in_every_slice():
    x, kernel = drawn(2, 5, 6, 7), drawn(2, 3, 2, 4, seed=1)
    stage = _sliding._stage(x, kernel, 1.0, False, "")
    for n in (0, 13, stage.output.size - 1):
        stage.show(n)
        depth, row, column = stage.place(n)
        for c in range(2):
            picture = np.ma.filled(stage.seen[c].get_array(), np.nan)
            assert len(stage.boxes[c]) == 3
            for j, box in enumerate(stage.boxes[c]):
                left, top = (round(v + 0.5) for v in box.get_xy())
                assert (box.get_width(), box.get_height()) == (4, 2)
                inside = picture[top : top + 2, left : left + 4]
                assert_allclose(inside, x[c, depth + j, row : row + 2, column : column + 4])


def test_vz8_channels_beyond_four_are_added_though_not_drawn():
    x, kernel = drawn(6, 5, 5), drawn(6, 2, 2, seed=1)
    stage = _sliding._stage(x, kernel, 1.0, False, "")
    stage.show(3)
    assert len(stage.rows) == 4
    assert_allclose(stage.output, sc.conv(x[None], kernel[None])[0], **TIGHT)
    assert stage.whole.get_xlabel() == f"sum of 6 channels, 4 of them drawn = {stage.output.flat[3]:.3g}"


# The files


CASES = {
    "1-D": (drawn(40), drawn(15, seed=1)),
    "2-D": (drawn(2, 12, 14), drawn(2, 3, 3, seed=1)),
    "3-D": (drawn(1, 6, 10, 11), drawn(1, 3, 3, 3, seed=1)),
}


@pytest.mark.parametrize("case", CASES)
def test_vz8_a_gif_has_the_frames_asked_for_and_each_differs_from_the_one_before(case):
    x, kernel = CASES[case]
    found = plot.sliding(x, kernel, frames=7, rate=5.0)
    frames, lasting = opened(found.gif)
    assert len(frames) == len(found.places) == 7
    assert (found.places[0], found.places[-1]) == (0, found.output.size - 1)
    assert lasting == [200] * 6 + [1500]
    for one, other in itertools.pairwise(frames):
        assert (one != other).any(-1).mean() > 0.001
    assert len(np.unique(frames[-1].reshape(-1, 3), axis=0)) > 8, "no blank"
    assert plot.sliding(x, kernel, frames=7, rate=5.0).gif == found.gif, "the same bytes"


@pytest.mark.parametrize("case", CASES)
def test_vz8_forty_frames_of_noise_are_smaller_than_a_megabyte(case):
    x, kernel = CASES[case]
    found = plot.sliding(x, kernel, title="noise")
    assert len(found.places) == 40
    assert Image.open(io.BytesIO(found.gif)).n_frames == 40
    assert len(found.gif) < 1_000_000


def test_vz8_the_picture_of_the_last_frame_is_of_the_data():
    x, kernel = CASES["2-D"]
    frames = [opened(plot.sliding(x * sign, kernel, frames=1).gif)[0][-1] for sign in (1, 1, -1)]
    np.testing.assert_array_equal(frames[0], frames[1])
    assert (frames[0] != frames[2]).any(-1).mean() > 0.05


def test_vz8_few_places_are_all_shown_and_one_frame_is_the_last():
    assert plot.sliding(np.ones(2), np.ones(2)).places == [0, 1, 2]
    assert plot.sliding(drawn(1, 4, 4), drawn(1, 2, 2), frames=1).places == [8]
    assert plot.sliding(np.zeros((1, 1, 1)), np.zeros((1, 1, 1))).output.shape == (1, 1)


def test_vz8_files_are_written_whole_by_the_mechanism_for_files(tmp_path):
    with files.writing(tmp_path / "a.gif") as file:
        file.write(plot.sliding(np.ones(3), np.ones(2)).gif)
    assert Image.open(io.BytesIO((tmp_path / "a.gif").read_bytes())).n_frames == 4
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]


def test_vz8_inputs_are_left_as_they_are_and_may_be_integers():
    x, kernel = np.arange(9).reshape(1, 3, 3), np.array([[[1, 0], [0, -1]]])
    before = x.copy(), kernel.copy()
    assert plot.sliding(x, kernel, frames=1).output.tolist() == [[-4.0, -4.0], [-4.0, -4.0]]
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(kernel, before[1])


@examples(15)
@given(st.integers(1, 4), st.integers(2, 9), st.integers(2, 9))
def test_a_gif_holds_the_pictures_given(count, tall, wide):
    colours = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 0, 255]], np.uint8)
    pictures = [np.broadcast_to(colours[n], (tall, wide, 3)) for n in range(count)]
    frames, lasting = opened(plot.gif(pictures, fs=20.0))
    assert lasting == [50] * (count - 1) + [1500]
    for frame, picture in zip(frames, pictures, strict=True):
        assert np.abs(frame.astype(int) - picture).max() <= 1


WRONG = [
    (
        lambda: plot.sliding(drawn(3, 4), drawn(3, 2)),
        r"x has shape \(3, 4\) of float64: expected real numbers \(samples",
    ),
    (lambda: plot.sliding(drawn(3), drawn(1, 2, 2)), r"weight has shape \(1, 2, 2\) of float64: expected .* of 1 axes"),
    (
        lambda: plot.sliding(drawn(1, 3, 3), drawn(2, 2, 2)),
        r"weight has shape \(2, 2, 2\): expected .* x's, \(1, 3, 3\)",
    ),
    (lambda: plot.sliding(drawn(1, 3, 3), drawn(1, 4, 2)), r"weight has shape \(1, 4, 2\): expected"),
    (lambda: plot.sliding([1.0, np.nan], [1.0]), "x holds 1 numbers that are not finite"),
    (lambda: plot.sliding(np.ones(3) * 1j, [1.0]), "x has shape .* of complex128"),
    (lambda: plot.sliding(np.ones(3), [1.0], frames=0), "frames 0 must be from 1 to 500"),
    (lambda: plot.sliding(np.ones(3), [1.0], fs=0), "fs 0 must be above 0"),
    (lambda: plot.sliding(np.ones(3), [1.0], flip=True), "flip=True for a signal"),
    (lambda: plot.sliding(np.ones((1, 3, 3)), np.ones((1, 1, 1)), fs=2), r"fs 2 for x of shape \(1, 3, 3\)"),
    (lambda: plot.sliding(np.ones(3000), [1.0]), "x and weight have 3000 and 1 samples: at most 2000"),
    (lambda: plot.sliding(np.ones((1, 400, 400)), np.ones((1, 1, 1))), "at most 100000 samples a channel"),
    (lambda: plot.gif([]), "0 frames, 8.0 a second: expected 1 to 500"),
    (lambda: plot.gif([np.zeros((2, 2, 3), np.uint8)], fs=0), "1 frames, 0 a second"),
    (lambda: plot.gif([np.zeros((2, 2, 3))]), "frames are of .*float64.*: expected uint8"),
    (lambda: plot.gif([np.zeros((n, 2, 3), np.uint8) for n in (1, 2)]), "all of one size"),
]


@pytest.mark.parametrize(("call", "told"), WRONG)
def test_what_cannot_be_played_is_told_in_one_line(call, told):
    with pytest.raises(ValueError, match=told) as caught:
        call()
    assert "\n" not in str(caught.value)
