"""Moving shapes, of which a single frame tells no direction, and the recipe that finds it (FB9, AP3, D.2)."""

import math
import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from sigconv import console
from sigconv.datasets import moving_shapes as data
from sigconv.filters import motion
from sigconv.recipes import moving_direction as recipe
from sigconv.train import run

WAYS = 2 * math.pi * np.arange(8) / 8
HEADINGS = np.stack([np.cos(WAYS), np.sin(WAYS)], 1)


@pytest.mark.parametrize("kind", data.KINDS)
def test_a_clip_is_a_function_of_seed_and_index(kind):
    first, again = (data.draw(3, 7, kind=kind) for _ in range(2))
    assert np.array_equal(first.frames, again.frames)
    assert first.frames.dtype == np.float32
    assert first.label == 7
    for other in (data.draw(4, 7, kind=kind), data.draw(3, 15, kind=kind)):
        assert not np.array_equal(first.frames, other.frames)
    few, more = (data.load(kind=kind, train=n, valid=2, test=3, seed=1, digits="strokes") for n in (3, 5))
    assert torch.equal(more.train.x[:3], few.train.x), "a larger set begins as a smaller one"
    assert torch.equal(more.test.x, few.test.x)
    x, y = few.train.item(1)
    assert x.shape == (1, 8, 24, 24)
    assert few.train.classes[int(y)] == "down right"


@given(
    st.tuples(st.integers(3, 9), st.integers(3, 9)),
    st.tuples(st.floats(-20, 20), st.floats(-20, 20)),
    st.tuples(st.integers(-9, 9), st.integers(-9, 9)),
    st.integers(0, 99),
)
@examples(50)
def test_moving_is_a_roll_adds_up_and_keeps_the_power(shape, part, whole, seed):
    picture = np.random.default_rng(seed).normal(size=shape)
    np.testing.assert_allclose(data.shifted(picture, [whole])[0], np.roll(picture, whole, (0, 1)), atol=1e-12)
    both = data.shifted(picture, [np.add(part, whole)])[0]
    np.testing.assert_allclose(np.roll(data.shifted(picture, [part])[0], whole, (0, 1)), both, atol=1e-11)
    odd = np.random.default_rng(seed).normal(size=(7, 9))  # no wave there is its own mirror image
    there = data.shifted(odd, [part])[0]
    np.testing.assert_allclose(data.shifted(there, [np.negative(part)])[0], odd, atol=1e-11)
    assert np.square(there).sum() == pytest.approx(np.square(odd).sum())


@pytest.mark.parametrize("kind", ["digits", "texture"])
def test_every_frame_is_one_pattern_at_its_place(kind):
    for index in range(8):
        made = data.draw(0, index, kind=kind, size=25, frames=6, snr=math.inf, speeds=(0.5, 3))
        steps = np.diff(made.places, axis=0)
        speed = np.hypot(*steps[0])
        assert 0.5 <= speed <= 3
        np.testing.assert_allclose(steps, np.broadcast_to(speed * HEADINGS[index], (5, 2)), atol=1e-12)
        moved = data.shifted(made.frames[0], made.places - made.places[0])
        np.testing.assert_allclose(made.frames, moved, atol=1e-4)  # kept in 32 bits
        assert made.frames.mean() == pytest.approx(0, abs=1e-6)
        assert made.frames.var() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", data.KINDS)
def test_nothing_is_drawn_by_the_direction(kind):
    """With as many directions as one likes the same numbers are drawn, so only where the pattern goes is another."""
    eight, seven = (data.draw(5, 15, kind=kind, directions=n, size=25) for n in (8, 7))
    assert (eight.label, seven.label) == (7, 1)
    np.testing.assert_allclose(eight.places[0], seven.places[0])
    speeds = [np.hypot(*(made.places[1] - made.places[0])) for made in (eight, seven)]
    assert speeds[0] == pytest.approx(speeds[1])
    if kind != "grating":
        np.testing.assert_array_equal(eight.frames[0], seven.frames[0])


@pytest.mark.parametrize("frame", [0, 3, 7])
def test_places_are_uniform_in_every_frame_of_every_direction(frame):
    """What single frames of two directions could differ by is where the pattern is: so much is there to test."""
    from scipy.stats import kstest

    for direction in range(8):
        places = np.array([data.draw(1, 8 * n + direction, frames=8).places[frame] for n in range(150)]) % 24 / 24
        for axis in range(2):
            assert kstest(places[:, axis], "uniform").pvalue > 1e-4  # 48 looks: all pass but once in 200
            assert kstest(24 * places[:, axis] % 1, "uniform").pvalue > 1e-4, "fractions of a pixel too"


@pytest.mark.parametrize("snr", [-6.0, 0.0, 10.0])
def test_noise_is_as_loud_as_asked(snr):
    amount = 10 ** (-snr / 20)
    found = []
    for index in range(20):
        clean, noisy = (data.draw(0, index, kind="texture", snr=level).frames for level in (math.inf, snr))
        found.append(noisy * math.hypot(1, amount) - clean)
    noise = np.stack(found) / amount
    n = noise.size
    assert noise.mean() == pytest.approx(0, abs=4 / math.sqrt(n))
    assert noise.var() == pytest.approx(1, abs=4 * math.sqrt(2 / n))


def test_a_grating_tells_its_axis_and_a_single_frame_no_more():
    assert data.best_still("grating") == 0.5
    for direction in range(4):
        back = data.draw(0, direction + 4, kind="grating", snr=math.inf)
        spectrum = np.abs(np.fft.fft2(back.frames[0], (96, 96)))[:, :49]
        row, column = np.unravel_index(spectrum.argmax(), spectrum.shape)
        wave = np.array([(row + 48) % 96 - 48, column], float)
        assert abs(wave @ HEADINGS[direction]) / np.hypot(*wave) > 0.97
    reverse = data.draw(0, 4, kind="grating", snr=math.inf)
    phases = np.unwrap(np.angle(np.fft.fft(reverse.frames[:, :, 0], axis=1)[:, 1:6]), axis=0)
    assert (np.diff(phases.mean(1)) > 0).all(), "up: the phase of what goes up rises"


@pytest.mark.parametrize("kind", data.KINDS)
def test_fb9_motion_energy_points_where_things_go(kind):
    parts = data.load(kind=kind, train=64, valid=1, test=1, snr=math.inf, speeds=1.5, digits="strokes")
    bank = motion.bank([1.5], HEADINGS, (1.0, 1.0, 1.0), frequency=[1 / 6], bandwidth=1.2)
    energy = bank(parts.train.x, output="energy").mean((2, 3, 4)).numpy()
    pointed = (energy / energy.mean(0)) @ HEADINGS  # filters differ in what they see of any pattern
    angle = np.arctan2(pointed[:, 1], pointed[:, 0]) - WAYS[parts.train.y.numpy()]
    assert (np.cos(angle) > 0).mean() > 0.95, "within a quarter of a turn"


@pytest.mark.parametrize("speed", [2.0, 3.0, 5.0, 6.0])
def test_the_waves_of_a_texture_are_too_long_to_go_back(speed):
    for index in range(4):
        made = data.draw(0, index, kind="texture", speeds=speed, snr=math.inf, frames=2)
        waves = np.fft.fft2(made.frames, axes=(1, 2))
        there = np.abs(waves[0]) > 1e-3 * np.abs(waves[0]).max()
        frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(24), np.fft.fftfreq(24), indexing="ij"))
        assert there.any()
        assert frequency[there].max() * speed <= 0.5 + 1e-9, "half a wave a frame at the most"


def test_digits_are_of_mnist_where_it_is_at_hand(tmp_path, monkeypatch):
    monkeypatch.delenv("SIGCONV_DATA", raising=False)
    assert data.digits_of() == "strokes"
    (tmp_path / "mnist").mkdir()
    for part, n, shade in (("train", 12, 100), ("t10k", 5, 200)):
        images = np.zeros((n, 28, 28), np.uint8)
        images[:, 10:18, 10 : 18 if shade == 100 else 12] = shade  # a square to train with, a bar to test on
        header = struct.pack(">IIII", 2051, n, 28, 28)
        (tmp_path / "mnist" / f"{part}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        (tmp_path / "mnist" / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, n) + bytes(n))
    assert data.digits_of(tmp_path) == "mnist"
    monkeypatch.setattr(data.mnist, "load", lambda root, seed, whole=data.mnist.load: whole(root, valid=2))
    parts = data.load(tmp_path, train=4, valid=2, test=4, snr=math.inf)
    share = lambda part: (part.x[:, 0, 0] > part.x.amax((1, 2, 3, 4))[:, None, None] / 2).double().mean()
    assert share(parts.train) > 2 * share(parts.test)
    assert torch.equal(
        data.load(tmp_path, digits="strokes", train=2, valid=1, test=1).train.x,
        data.load(train=2, valid=1, test=1).train.x,
    )


def test_what_cannot_be_drawn_is_refused():
    for options, message in (
        ({"kind": "cars"}, "kind 'cars' is not one of"),
        ({"size": 4}, "size"),
        ({"frames": 0}, "frames"),
        ({"directions": 1}, "directions"),
        ({"speeds": (2, 1)}, r"speeds \(2, 1\) must be pixels a frame"),
        ({"speeds": math.inf}, "speeds inf"),
        ({"snr": math.nan}, "snr nan must be"),
        ({"snr": -7000.0}, "snr -7000.0 must be decibels, -200 at least, or inf for no noise"),
        (
            {"kind": "texture", "speeds": (1, 7)},
            "speeds up to 7 need waves of 14 pixels: a texture of 24 has them up to 12",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            data.draw(0, 0, **options)
    with pytest.raises(ValueError, match="digits 'roman' is not one of"):
        data.load(digits="roman")


SMALL = ["--samples", "40", "--epochs", "1", "--size", "16", "--frames", "6", "--digits", "strokes", "--tested", "40"]


@pytest.mark.parametrize("front_end", recipe.FRONT_ENDS)
def test_ap3_the_recipe_runs_with_every_front_end_and_reports_it_beside_none(tmp_path, front_end):
    words = [*SMALL, "--front-end", front_end, "--out", str(tmp_path)]
    metrics = run(recipe.moving_direction, words)["metrics"]
    assert {
        "accuracy",
        "single_frame_accuracy",
        "accuracy_linear_motion",
        "accuracy_linear_gabor",
        "chance",
        "parameters",
    } <= set(metrics)
    assert ("accuracy_none" in metrics) == (front_end != "none")
    assert metrics["chance"] == 0.125
    if front_end == "motion":
        learned = run(recipe.moving_direction, [*words, "--learned"])["metrics"]
        assert learned["accuracy_frozen"] == metrics["accuracy"], "the control is the fixed bank's network"
        assert learned["parameters"] > metrics["parameters"]


def test_as_many_epochs_are_trained_as_are_asked_for(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(recipe, "fit", lambda *_, epochs, **__: asked.append(epochs))
    for words in ([], ["--epochs", "0"], ["--epochs", "3"]):
        run(recipe.moving_direction, ["--samples", "40", "--tested", "16", *words, "--out", str(tmp_path)])
    assert sorted(set(asked)) == [0, 3, 400]


def test_fb9_a_fixed_bank_and_a_linear_head_learn_it_of_few_clips():
    parts = data.load(train=48, valid=24, test=160, digits="strokes", snr=0.0)
    assert recipe.linear(parts, recipe.motion_bank()) > 0.9
    still = data.Parts(
        *(data.Arrays(part.x[:, :, :1].expand(-1, -1, 8, -1, -1), part.y, part.classes) for part in parts)
    )
    assert recipe.linear(still, recipe.motion_bank()) < 0.125 + 4 * math.sqrt(0.125 * 0.875 / 160), (
        "a frame that stands tells nothing"
    )


def test_a_network_has_as_many_axes_as_its_clips():
    assert recipe.network(1, 8)(torch.zeros(2, 1, 8, 24, 24)).shape == (2, 8)
    assert recipe.network(1, 8, ndim=2)(torch.zeros(2, 1, 24, 24)).shape == (2, 8)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--front-end", "fourier"], "--front-end 'fourier' is not one of none, gabor, haar, motion"),
        (["--kind", "cars"], "--kind 'cars' is not one of"),
        (["--samples", "5"], "--samples 5 must be 16 to"),
        (["--size", "8"], "--size 8 must be 12 to"),
        (["--frames", "2"], "--frames 2 must be 4 to"),
        (["--batch-size", "1"], "--batch-size 1 must be 2 to"),
        (["--learned"], "--learned needs a --front-end"),
    ],
)
def test_wrong_words_are_refused_in_one_line(tmp_path, words, message):
    with pytest.raises(console.UsageError, match=message):
        run(recipe.moving_direction, [*words, "--out", str(tmp_path)])
