"""Augmentation of any kind of numbers: kept, or refused in one line; never wrapped, merged or cut off."""

import numpy as np
import pytest
import torch

from sigconv.transforms import augment

KINDS = [torch.bool, torch.uint8, torch.int8, torch.uint16, torch.int32, torch.uint32, torch.uint64, torch.complex64]


def generators(count=1, seed=0):
    return [torch.Generator().manual_seed(seed + item) for item in range(count)]


@pytest.mark.parametrize("dtype", KINDS, ids=str)
def test_mirrors_take_any_kind_of_numbers_and_exchange_any_kind_of_labels(dtype):
    x = torch.tensor([[[0, 1, 1, 0, 0]]]).to(dtype)
    part = augment.Flip(share=1.0, pairs=((0, 1),))
    y = x[:, 0] if not dtype.is_complex else None
    found = part(x, generators(), y)
    image, labels = (found, None) if y is None else found
    assert image.dtype == dtype
    assert image.to(torch.complex64).real.flatten().tolist() == [0, 0, 1, 1, 0]
    if labels is not None:
        assert labels.dtype == dtype
        assert labels.long().flatten().tolist() == [1, 1, 0, 0, 1]


@pytest.mark.parametrize(
    "part", [augment.Rotate(20), augment.Scale(0.2), augment.Shift(2.0), augment.Elastic(0.5, 8.0)]
)
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
def test_complex_images_move_as_their_parts_do(part, dtype):
    x = torch.randn(2, 1, 6, 7, dtype=dtype, generator=generators()[0])
    parts = [part(piece, generators(2)) for piece in (x.real, x.imag)]
    torch.testing.assert_close(part(x, generators(2)), torch.complex(*parts))


@pytest.mark.parametrize(("value", "kept"), [(0, True), (255, True), (-1, False), (256, False), (0.5, False)])
def test_a_cutout_is_filled_with_its_value_or_refused(value, kept):
    part, x = augment.Cutout(np.inf, value=value), torch.ones(1, 1, 6, dtype=torch.uint8)
    if kept:
        assert (part(x, generators()) == value).all()
    else:
        with pytest.raises(ValueError, match=f"value {value} is no torch.uint8"):
            part(x, generators())


def test_gamma_bends_what_is_finite_and_nothing_else():
    part = augment.Gamma(0.5)
    x = torch.tensor([[[0.0, 1.0, 4.0, 4.0, 4.0, 0.0], [torch.nan, torch.nan, torch.inf, torch.inf, -torch.inf, 1.0]]])
    plain = part(x[:, :1], generators())
    x[0, 0, 3:5] = torch.tensor([torch.inf, torch.nan])
    y = part(x, generators())
    torch.testing.assert_close(y[0, 1], x[0, 1], equal_nan=True)
    assert torch.equal(y[0, 0, [0, 1, 2, 5]], plain[0, 0, [0, 1, 2, 5]])
    torch.testing.assert_close(y[0, 0, 3:5], x[0, 0, 3:5], equal_nan=True)


def test_gamma_spans_all_of_half_precision_and_does_not_see_how_x_lies():
    part = augment.Gamma(0.5)
    x = torch.tensor([[[-60000.0, 1.0, 60000.0]]])
    torch.testing.assert_close(part(x.half(), generators()), part(x, generators()).half())
    x = torch.randn(1, 2, 33, 31, generator=generators()[0]).transpose(2, 3)
    assert torch.equal(part(x, generators()), part(x.contiguous(), generators()))


X, W = torch.ones(2, 1, 6, 6), torch.ones(1, 5, dtype=torch.int8)
REFUSED = {
    "whole normals": (
        lambda: augment.normals(generators(), W),
        r"like is torch.int8, which would cut .* like.float\(\)",
    ),
    "whole uniforms": (lambda: augment.uniforms(generators(), 5, W), "like is torch.int8"),
    "few generators": (lambda: augment.Flip()(X, generators()), "1 generators for 2 items: give one for each"),
    "few maps": (lambda: augment.Flip()(X, generators(2), X[:1, 0]), "1 label maps for 2 items"),
    "chain of pairs": (
        lambda: augment.Flip(pairs=((1, 2), (2, 3))),
        r"pairs \(\(1, 2\), \(2, 3\)\) are not pairs of labels",
    ),
    "same label": (lambda: augment.Flip(pairs=((1, 1),)), "are not pairs of labels, each label in one of them"),
    "three labels": (lambda: augment.Flip(pairs=((1, 2, 3),)), "are not pairs of labels"),
    "border of a warp": (lambda: augment.Warp(padding_mode="bogus"), "padding_mode 'bogus' is not one of"),
    "order of a warp": (lambda: augment.Warp(order=2), "order 2 is not one of"),
    "border of a crop": (lambda: augment.Crop(4, padding_mode="bogus"), "padding_mode 'bogus' is not one of"),
    "border of a signal": (
        lambda: augment.warp(X[:, 0, 0], torch.ones(2), torch.zeros(2), padding_mode="bogus"),
        "padding_mode 'bogus' is not one of",
    ),
    "large crop": (
        lambda: augment.Crop(2**40)(X, generators(2)),
        "size 1099511627776 asks for 1x1099511627776x1099511627776",
    ),
    "fine bias": (
        lambda: augment.Bias(0.1, 1e-9)(X, generators(2)),
        "a field of knots 1e-09 mm apart asks for .* apart",
    ),
    "finer bias": (lambda: augment.Bias(0.1, 1e-320)(X, generators(2)), "a field of knots .* set them farther apart"),
    "fine bending": (
        lambda: augment.Elastic(0.0, 1e-9)(X, generators(2)),
        "a field of knots 1e-09 mm apart asks for 2x",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_one_line_before_any_work(case):
    call, message = REFUSED[case]
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
