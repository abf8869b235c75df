"""Motion: which way a grating drifts fixes every sign; nothing here is derived where it can be shown."""

import math

import numpy as np
import pytest
import torch

from sigconv.filters import motion

FS = {1: (50.0, 10.0), 2: (50.0, 10.0, 10.0), 3: (1.0, 1.0, 1.0, 1.0)}  # frames per second, samples per unit of space
FRAMES, SIDE = 60, {1: 64, 2: 40, 3: 24}


def grating(toward, frequency, speed, fs, frames=FRAMES):
    """A film of bars that drift toward a unit vector at so many units per second: frame t shows frame 0, moved."""
    side = SIDE[len(toward)]
    lines = [torch.arange(frames, dtype=torch.float64), *[torch.arange(side, dtype=torch.float64)] * len(toward)]
    time, *space = (p / r for p, r in zip(torch.meshgrid(*lines, indexing="ij"), fs, strict=True))
    moved = [x - speed * u * time for x, u in zip(space, toward, strict=True)]
    return torch.cos(2 * math.pi * frequency * sum(u * x for u, x in zip(toward, moved, strict=True)))[None, None]


def middle(y):
    """The mean of each channel where no border is seen."""
    inner = (slice(None), slice(y.shape[2] * 2 // 3, -8), *(slice(n // 3, 2 * n // 3) for n in y.shape[3:]))
    return y[0][inner].flatten(1).mean(1)


def tuned(axes, **options):
    """A bank of the given number of axes of space, and what its filters are tuned to."""
    fs = FS[axes]
    step = 1 / fs[1]
    speed, frequency = fs[0] * step / 2, 1 / (6 * step)
    bank = motion.bank([speed], {1: 2, 2: 8, 3: 6}[axes], fs, frequency=frequency, bandwidth=1.5, **options)
    return bank, speed, frequency, fs


def test_a_grating_moves_as_it_says():
    film = grating((1.0,), 0.5, 10.0, FS[1])[0, 0]  # 10 units/s at 50 frames/s and 10 samples a unit: 2 samples a frame
    torch.testing.assert_close(film[1, 2:], film[0, :-2])


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_fb9_rf8_each_filter_sees_its_own_direction_and_not_the_opposite(axes, causal):
    bank, speed, frequency, fs = tuned(axes, causal=causal, truncate=2.5)
    directions = [row["direction"] for row in bank.table()]
    films = torch.cat([grating(u, frequency, speed, fs) for u in directions])
    seen = torch.stack([middle(y[None]) for y in bank(films, output="energy")])
    for i, u in enumerate(directions):
        back = next(j for j, v in enumerate(directions) if np.allclose(np.add(u, v), 0))
        assert seen[i].argmax() == i, u
        assert seen[i, i] == pytest.approx(0.25, abs=0.02)
        assert seen[i, back] < seen[i, i] / (30 if causal else 1000)


@pytest.mark.parametrize("axes", [1, 2])
def test_speed_is_tuned(axes):
    fs = FS[axes]
    bank = motion.bank([1.0, 4.0], 2, fs, ndim=axes + 1, frequency=1.5)
    assert [row["flicker"] for row in bank.table()] == pytest.approx([1.5, 1.5, 6.0, 6.0])
    assert [row["speed"] for row in bank.table()] == pytest.approx([1.0, 1.0, 4.0, 4.0])
    toward = bank.table()[0]["direction"]
    for speed, best in ((1.0, 0), (4.0, 2)):
        assert middle(bank(grating(toward, 1.5, speed, fs), output="energy")).argmax() == best


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_rf8_motion_energy_is_positive_onwards_and_negative_back(axes):
    fs = FS[axes]
    speed, frequency = fs[0] / fs[1], fs[1] / 8
    layer = motion.AdelsonBergen(speed, 2 * axes, fs, frequency=frequency)
    both = motion.AdelsonBergen(speed, 2 * axes, fs, frequency=frequency, opponent=False)
    share = motion.AdelsonBergen(speed, 2 * axes, fs, frequency=frequency, normalize=True)
    for d in range(axes):
        toward = tuple(float(a == d) for a in range(axes))
        for sign in (1, -1):
            film = grating(tuple(sign * c for c in toward), frequency, speed, fs)
            found, pair = middle(layer(film)), middle(both(film))
            assert found.abs().argmax() == d
            assert sign * found[d] > 0.15
            assert pair[d if sign > 0 else d + axes] > 12 * pair[d + axes if sign > 0 else d]
            torch.testing.assert_close(middle(share(film))[d], middle(share(0.3 * film))[d], rtol=1e-3, atol=0)
            assert sign * middle(share(film))[d] > 0.8


def test_rf8_simple_cells_follow_the_phase_and_complex_cells_do_not():
    """Hubel & Wiesel's hierarchy: a simple cell's answer to a drifting bar oscillates, a complex cell's is steady."""
    fs = FS[1]
    speed, frequency = fs[0] / fs[1], fs[1] / 8
    cells = motion.AdelsonBergen(speed, 2, fs, frequency=frequency).cells
    film = grating((1.0,), frequency, speed, fs)
    simple, complex_ = (cells(film, output=output)[0, 0, 40:, 32] for output in ("real", "energy"))
    assert simple.max() > 0.4
    assert simple.min() < -0.4
    assert complex_.std() < 0.02 * complex_.mean()


def test_rf8_the_cells_are_adelsons_and_bergens_sums_of_products():
    cells = motion.AdelsonBergen(1.0, 2, ndim=2).cells
    k = cells.value("k")[0, 0].item()
    t = np.arange(cells.kernel_size[0] // 2 + 1)
    h = {
        n: (k * t) ** n * np.exp(-k * t) * (1 / math.factorial(n) - (k * t) ** 2 / math.factorial(n + 2))
        for n in (3, 5)
    }
    x = np.arange(cells.kernel_size[1]) - cells.kernel_size[1] // 2
    sigma, f = cells.value("sigma").item(), cells.value("frequency").item()
    even, odd = (np.exp(-0.5 * (x / sigma) ** 2) * wave(2 * math.pi * f * x) for wave in (np.cos, np.sin))
    product = {(n, s): np.outer(h[n], shape) for n in (3, 5) for s, shape in (("even", even), ("odd", odd))}
    a_s, b_s, a_f, b_f = product[5, "even"], product[5, "odd"], product[3, "even"], product[3, "odd"]
    ours = cells.kernels[:, len(t) - 1 :].detach().numpy()
    for way, (one, other) in enumerate(((a_s - b_f, a_f + b_s), (a_s + b_f, b_s - a_f))):
        theirs = one + 1j * other
        scale = np.abs(ours[way]).max() / np.abs(theirs).max()
        np.testing.assert_allclose(ours[way], scale * theirs, atol=1e-12)


def test_what_stands_still_or_is_level_has_no_motion():
    still = torch.rand(1, 1, 1, 24, 24, dtype=torch.float64).expand(1, 1, 60, 24, 24)
    found = motion.energy(still)
    assert found[:, :, 45:].abs().max() < 1e-8
    assert motion.energy(torch.ones(1, 1, 60, 24, 24)).isfinite().all()
    flicker = grating((1.0,), 0.125, 1.0, (1.0, 1.0)) + grating((-1.0,), 0.125, 1.0, (1.0, 1.0))
    assert middle(motion.energy(flicker)).abs().max() < 1e-3
    assert not motion.energy(torch.zeros(1, 1, 9, 9), normalize=True).any()


@pytest.mark.parametrize(
    "make",
    [lambda: motion.bank([1.0, 2.0], 4, 1.0, ndim=3, causal=True), lambda: motion.AdelsonBergen(1.0, 4, ndim=3).cells],
)
def test_causal_filters_see_no_frame_to_come(make):
    bank = make()
    film = torch.zeros(1, 1, 20, 12, 12, dtype=torch.float64)
    film[:, :, 12] = torch.rand(12, 12)
    found = bank(film, output="magnitude")
    assert found[:, :, :12].abs().max() < 1e-12
    assert found[:, :, 13:].abs().max() > 1e-4


def test_fb6_motion_trains():
    film = grating((1.0,), 0.1, 1.0, (1.0, 1.0), frames=24)
    for model in (
        motion.bank([1.0], 2, 1.0, ndim=2, learnable=True),
        motion.AdelsonBergen(1.0, 2, ndim=2, learnable=True),
    ):
        y = model(film, output="energy") if hasattr(model, "kernels") else model(film)
        y.square().sum().backward()
        for name, p in model.named_parameters():
            assert torch.isfinite(p.grad).all(), name
            assert (p.grad != 0).all(), name
    assert not any(p.requires_grad for p in motion.bank([1.0], 2, 1.0, ndim=2).parameters())


def test_tables_say_what_filters_are_tuned_to():
    cells = motion.AdelsonBergen(2.0, 4, (10.0, 4.0, 4.0), frequency=0.5).cells
    for row, toward in zip(cells.table(), ((1, 0), (0, 1), (-1, 0), (0, -1)), strict=True):
        assert row["speed"] == pytest.approx(2)
        assert row["flicker"] == pytest.approx(1)
        assert row["direction"] == pytest.approx(toward, abs=1e-9)


def test_energy_takes_what_it_is_given():
    film = np.random.default_rng(0).normal(size=(2, 3, 10, 12, 12)).astype(np.float32)
    found = motion.energy(film, opponent=False)
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float32
    assert found.shape == (2, 3 * 4, 10, 12, 12)
    alone = motion.energy(torch.from_numpy(film[:, 1:2]))
    torch.testing.assert_close(motion.energy(torch.from_numpy(film))[:, 2:4], alone, msg="channel-major")
    given = motion.energy(film[:, :1], 1.0, [[0.0, 2.0]])
    np.testing.assert_allclose(given, motion.energy(film[:, :1])[:, 1:2], atol=1e-6)


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_default(ndim):
    if ndim == 1:
        with pytest.raises(ValueError, match=r"motion has banks for 2 axes .* not for ndim=1"):
            motion.default(ndim)
        return
    bank = motion.default(ndim, fs=5.0)
    assert bank(torch.rand(1, 2, *[8] * ndim)).shape == (1, 2 * len(bank), *[8] * ndim)
    torch.testing.assert_close(motion.default(ndim).kernels, bank.kernels)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: motion.bank([40.0], 4, (30.0, 1, 1), frequency=0.5),
            r"speed 40 at frequency 0.5 flickers at 20, above half the frame rate \(fs=30 -> 15\)",
        ),
        (
            lambda: motion.bank([1.0], 4, (30.0, 1, 1), frequency=0.6),
            "frequency 0.6 is above half .*: expected at most 0.5",
        ),
        (lambda: motion.bank([-1.0], 4, (30.0, 1, 1)), "speeds .* must be at least 0"),
        (lambda: motion.bank([1.0], 3, (30.0, 1, 1)), "directions 3 is odd"),
        (lambda: motion.bank([1.0], 4, 30.0), "fs=30.0 does not say how many axes"),
        (lambda: motion.bank([1.0], [[0.0, 0.0]], 30.0), "none of them 0"),
        (lambda: motion.bank([1.0], 2, 1.0, ndim=2, frequency=0.0), "frequency 0 must be above 0"),
        (lambda: motion.AdelsonBergen(0.0, 2, ndim=2), "speed 0 does not move"),
        (lambda: motion.energy(torch.zeros(1, 1, 5)), r"x has shape \(1, 1, 5\): expected video"),
    ],
)
def test_errors_carry_the_number_and_the_limit(call, message):
    with pytest.raises(ValueError, match=message):
        call()
