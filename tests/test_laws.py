"""Laws' masks, texture energy, and what is pooled over rotations."""

import itertools

import numpy as np
import pytest
import torch
from scipy import ndimage

from sigconv.filters import gabor, gaussian, laws, masks, rotation_pool, wavelet
from sigconv.filters._rotations import rotations

TAPS = {"L3": [1, 2, 1], "E3": [-1, 0, 1], "S3": [-1, 2, -1]}
TAPS |= {"L5": [1, 4, 6, 4, 1], "E5": [-1, -2, 0, 2, 1], "S5": [-1, 0, 2, 0, -1]}
TAPS |= {"W5": [-1, 2, 0, -2, 1], "R5": [1, -4, 6, -4, 1]}


def signal(*size, seed=0):
    return np.random.default_rng(seed).standard_normal(size)


@pytest.mark.parametrize("name", ["L3", "E5", "S5L3", "W5R5", "E3W5R5", "L5E5S5W5"])
def test_a_name_is_an_outer_product_of_masks_of_norm_one(name):
    words = [name[i : i + 2] for i in range(0, len(name), 2)]
    kernel = np.ones(())
    for word in words:
        kernel = np.multiply.outer(kernel, np.array(TAPS[word]) / np.linalg.norm(TAPS[word]))
    bank = laws.bank(name)
    assert bank.ndim == len(words)
    np.testing.assert_allclose(bank.kernels[0], kernel, atol=1e-15)
    x = signal(*(9, 8, 7, 6)[: len(words)])
    expected = ndimage.convolve(x, kernel)
    np.testing.assert_allclose(bank(x[None, None], padding_mode="symmetric")[0, 0], expected, atol=1e-13)


def test_names_of_two_lengths_share_a_middle_and_only_level_masks_see_a_constant():
    bank = laws.bank(["L3E3", "L5E5"])
    assert bank.kernel_size == (5, 5)
    torch.testing.assert_close(bank.kernels[0, 1:4, 1:4], laws.bank("L3E3").kernels[0])
    whole = laws.every(2)
    assert len(whole) == 25
    assert len(laws.every(3, taps=3)) == 27
    sums = whole.kernels.sum((1, 2)).abs()
    assert [name for name, s in zip(whole.names, sums, strict=True) if s > 1e-12] == ["L5L5"]


@pytest.mark.parametrize("mode", ["zeros", "symmetric", "circular"])
def test_energy_is_the_mean_size_around_each_place(mode):
    for size, radius in (((30,), 7), ((12, 9), (2, 1)), ((7, 6, 5), 1)):
        y = signal(1, 2, *size)
        reach = np.broadcast_to(radius, len(size))
        names = {"zeros": "constant", "symmetric": "symmetric", "circular": "wrap"}
        wide = np.pad(abs(y), [(0, 0), (0, 0), *((r, r) for r in reach)], names[mode])
        expected = np.empty_like(y)
        for place in itertools.product(*map(range, size)):
            window = tuple(slice(p, p + 2 * r + 1) for p, r in zip(place, reach, strict=True))
            expected[(..., *place)] = wide[(..., *window)].mean(tuple(range(2, y.ndim)))
        np.testing.assert_allclose(laws.energy(y, radius, padding_mode=mode), expected, atol=1e-14)
    assert laws.energy(torch.zeros(1, 1, 20, dtype=torch.complex64)).dtype == torch.float32


@pytest.mark.parametrize("name", ["", "e5", "E5 L5", "W3", "E5X5", "E7"])
def test_an_unknown_mask_is_named(name):
    with pytest.raises(ValueError, match="is not one of L3, E3, S3, L5") as caught:
        laws.bank(name)
    assert "\n" not in str(caught.value)


def test_names_of_two_dimensions_are_refused():
    with pytest.raises(ValueError, match="not of one number of dimensions"):
        laws.bank(["E5L5", "E5"])
    with pytest.raises(ValueError, match="radius -1 must be at least 0"):
        laws.energy(torch.zeros(1, 1, 4), -1)


@pytest.mark.parametrize(("ndim", "proper"), [(1, 1), (2, 4), (3, 24), (4, 192)])
def test_there_are_so_many_rotations_all_different(ndim, proper):
    grid = np.arange(3**ndim).reshape((3,) * ndim)
    seen = lambda both: {np.flip(grid.transpose(o), f).tobytes() for o, f in rotations(ndim, both)}
    assert len(seen(False)) == proper
    assert len(seen(True)) == 2 * proper
    assert seen(False) < seen(True)


@pytest.mark.parametrize("pool", ["max", "mean"])
@pytest.mark.parametrize("reflections", [False, True])
@pytest.mark.parametrize("name", ["E5", "E5L3", "E3L5S5"])
def test_turning_the_input_is_turning_the_filter(name, pool, reflections):
    bank = laws.bank(name)
    x = signal(*(9, 8, 7)[: bank.ndim])
    (kernel,) = bank.kernels.numpy()
    turned = [np.flip(kernel.transpose(order), over) for order, over in rotations(bank.ndim, reflections)]
    every = [ndimage.convolve(x, k, mode="nearest") for k in turned]
    expected = np.max(every, 0) if pool == "max" else np.mean(every, 0)
    ours = rotation_pool(bank, x[None, None], pool, reflections=reflections, padding_mode="replicate")
    np.testing.assert_allclose(ours[0, 0], expected, atol=1e-13)


def test_pooled_responses_turn_with_the_input_whatever_the_bank_and_the_borders():
    x = torch.from_numpy(signal(2, 2, 9, 8))
    banks = {
        "wavelet": wavelet.bank("db2", "all", 2, ndim=2),
        "gabor": gabor.bank([[0.2, 0.1]], 1.5),
        "dog": gaussian.dog(1.0, 2),
        "mask": masks.bank(signal(2, 3, 3)),
    }
    for name, bank in banks.items():
        options = {"output": "magnitude"} if bank.complex else {}
        one = rotation_pool(bank, x, padding_mode=("symmetric", "zeros"), **options)
        other = rotation_pool(bank, x.rot90(1, (2, 3)), padding_mode=("zeros", "symmetric"), **options)
        torch.testing.assert_close(other, one.rot90(1, (2, 3)), atol=1e-12, rtol=0, msg=name)


def test_a_stride_takes_every_so_many_of_the_pooled_responses():
    x = torch.from_numpy(signal(1, 1, 10, 9))
    whole = rotation_pool(laws.bank("E5S5"), x)
    torch.testing.assert_close(rotation_pool(laws.bank("E5S5"), x, stride=(3, 2)), whole[..., ::3, ::2])


def test_what_has_no_maximum_and_what_does_not_turn_is_refused():
    x = torch.zeros(1, 1, 8, 8)
    wave = gabor.bank([[0.2, 0.1]], 1.5)
    with pytest.raises(TypeError, match="complex responses have no maximum"):
        rotation_pool(wave, x)
    assert rotation_pool(wave, x, "mean").is_complex()
    with pytest.raises(ValueError, match=r"fs \(1.0, 0.5\) differs between axes"):
        rotation_pool(gaussian.bank(4.0, 2, fs=(1, 0.5)), x)
    with pytest.raises(ValueError, match="pool 'min' is not one of"):
        rotation_pool(wave, x, "min")
    with pytest.raises(ValueError, match="x has shape"):
        rotation_pool(wave, x[0])


def test_a_pool_of_rotations_has_gradients():
    bank = laws.bank("E3L3")
    x = torch.from_numpy(signal(1, 1, 4, 5)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: rotation_pool(bank, x, padding_mode="symmetric"), (x,))
