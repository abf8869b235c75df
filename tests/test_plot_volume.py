"""Pictures of volumes, films and kernels hold what they should: which slice, where in millimetres."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from sigconv import plot
from sigconv.plot import _space


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def pictures(ax):
    """What an axes' images hold, (right, up), without masks."""
    return [np.asarray(image.get_array()).swapaxes(0, 1) for image in ax.images]


def written(figure):
    assert plot.png(figure, dpi=30).startswith(b"\x89PNG")


SIZES = st.tuples(*[st.integers(1, 7)] * 3)
SPACINGS = st.tuples(*[st.floats(0.2, 5)] * 3)


# Slices


@examples(15)
@given(SIZES, SPACINGS, st.data())
def test_slices_are_those_asked_for_in_millimetres(size, spacing, data):
    at = [data.draw(st.integers(0, n - 1)) for n in size]
    x = drawn(*size)
    _, several = plot.slices(x, spacing=spacing, at=at)
    for axis, ax in enumerate(several):
        right, up = (a for a in range(3) if a != axis)
        (found,) = pictures(ax)
        np.testing.assert_array_equal(found, x.take(at[axis], axis))
        for limits, a in ((ax.get_xlim(), right), (ax.get_ylim(), up)):
            np.testing.assert_allclose(limits, (-spacing[a] / 2, (size[a] - 0.5) * spacing[a]))
        assert ax.get_aspect() == 1, "a millimetre is as long upwards as to the right"
        assert ax.images[0].origin == "lower"
        across, upwards = (line.get_xydata()[0] for line in ax.lines)
        np.testing.assert_allclose((across[0], upwards[1]), (at[right] * spacing[right], at[up] * spacing[up]))


@examples(15)
@given(SIZES, SPACINGS, st.data())
def test_a_box_of_labels_is_outlined_where_its_voxels_end(size, spacing, data):
    low = [data.draw(st.integers(0, n - 1)) for n in size]
    high = [data.draw(st.integers(a + 1, n)) for a, n in zip(low, size, strict=True)]
    labels = np.zeros(size, np.uint8)
    labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = 3
    figure, several = plot.slices(drawn(*size), labels=labels, spacing=spacing, names={3: "a box"})
    for axis, ax in enumerate(several):
        right, up = (a for a in range(3) if a != axis)
        (line,) = ax.collections
        (path,) = line.get_paths()
        box = path.get_extents()
        for found, a in (((box.x0, box.x1), right), ((box.y0, box.y1), up)):
            np.testing.assert_allclose(found, ((low[a] - 0.5) * spacing[a], (high[a] - 0.5) * spacing[a]))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a box"]


def test_every_label_has_a_line_of_its_own_colour_and_the_slices_go_where_labels_are():
    labels = np.zeros((8, 9, 10), int)
    labels[5, 2:4, 7], labels[5, 6:8, 7:9] = 1, 2
    figure, (ax, _, _) = plot.slices(drawn(8, 9, 10), labels=labels)
    assert [ax.get_title() for ax in figure.axes[:3]] == ["x = 5", "y = 6", "z = 7"]
    colours = {tuple(line.get_edgecolor()[0]) for line in ax.collections}
    assert len(colours) == len(ax.collections) == 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["1", "2"]
    written(figure)


def test_predicted_labels_are_dashed_in_the_colours_of_the_true_ones():
    labels, predicted = np.zeros((2, 6, 6, 6), int)
    labels[1:4, 1:4, 1:4], predicted[2:5, 2:5, 2:5], predicted[0, 0, 0] = 2, 2, 5
    figure, (ax, _, _) = plot.slices(drawn(6, 6, 6), labels=labels, predicted=predicted, at=(2, 2, 2))
    true, ours = ax.collections
    assert tuple(true.get_edgecolor()[0]) == tuple(ours.get_edgecolor()[0])
    assert true.get_linestyle()[0][1] is None, "whole"
    assert ours.get_linestyle()[0][1], "dashed"
    assert ours.get_paths()[0].get_extents().x0 == 1.5
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["2", "5", "predicted"]
    written(figure)
    with pytest.raises(ValueError, match=r"predicted has shape \(6, 6\)"):
        plot.slices(labels, predicted=labels[0])


def test_an_overlay_hides_more_the_surer_it_is():
    over = np.zeros((5, 6, 7))
    over[2, 3, 4], over[1, 1, 1] = 4, 1
    figure, several = plot.slices(drawn(5, 6, 7), over, spacing=2)
    assert [ax.get_title() for ax in several] == ["x = 2", "y = 3", "z = 4"]
    for ax in several:
        assert len(ax.images) == 2
        assert ax.images[1].get_clim() == (0, 4)
        opaque = ax.images[1].get_alpha()
        assert opaque.max() == 0.85
        assert (opaque == 0).sum() == opaque.size - 1
    assert len(figure.axes) == 4, "and a bar tells its colours"
    _, signed = plot.slices(drawn(5, 6, 7), -over)
    assert signed[0].images[1].get_clim() == (-4, 4)
    written(figure)


ORDERS = [
    (order, signs) for order in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)
]


@pytest.mark.parametrize(("order", "signs"), ORDERS)
def test_letters_are_those_of_nibabel_for_all_48_orders(order, signs):
    import nibabel

    affine = np.eye(4)
    turn = np.zeros((3, 3))
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        turn[world, axis] = sign * (1.0, 2.0, 3.5)[axis]
    tilt = np.linalg.qr(np.eye(3) + 0.1 * drawn(3, 3, seed=1))[0]
    tilt = tilt * np.sign(np.diag(tilt))
    for one in (turn, tilt @ turn):
        affine[:3, :3] = one
        assert [ends[1] for ends in _space.letters(affine)] == list(nibabel.aff2axcodes(affine))
        assert all(ends in ("LR", "RL", "PA", "AP", "IS", "SI") for ends in _space.letters(affine))


def test_an_affine_says_the_spacing_and_which_end_is_which():
    affine = np.diag([-2.0, 1.0, 3.0, 1.0])
    figure, (sagittal, coronal, axial) = plot.slices(drawn(4, 5, 6), affine=affine)
    ends = {ax.get_title()[0]: [text.get_text() for text in ax.texts] for ax in (sagittal, coronal, axial)}
    assert ends == {"x": ["P", "A", "I", "S"], "y": ["R", "L", "I", "S"], "z": ["R", "L", "P", "A"]}
    np.testing.assert_allclose((*axial.get_xlim(), *axial.get_ylim()), (-1, 7, -0.5, 4.5))
    written(figure)
    assert not plot.slices(drawn(4, 5, 6))[1][0].texts


@pytest.mark.parametrize(
    "x",
    [np.zeros((3, 4, 5)), np.full((3, 4, 5), np.nan), np.full((1, 1, 1), np.inf), np.ones((200, 1, 1), bool)],
    ids=["zeros", "nothing", "one voxel", "a line"],
)
def test_volumes_with_nothing_in_them_are_drawn_without_a_word(x, capfd, recwarn):
    blank = np.zeros(x.shape, int)
    figure, several = plot.slices(x, blank, blank, affine=np.eye(4))
    for axis, ax in enumerate(several):
        np.testing.assert_array_equal(pictures(ax)[0], x.take(x.shape[axis] // 2, axis))
        assert not ax.collections, "no label has a line around it"
    written(figure)
    figure, grid = plot.glass(x, x)
    for axis, ax in enumerate(grid[0]):
        np.testing.assert_array_equal(pictures(ax)[0], np.where(np.isfinite(x), x, 0).max(axis))
        assert ax.images[0].get_clim() == (0, 1)
    written(figure)
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


# Glass


@examples(12)
@given(SIZES, SPACINGS, st.integers(1, 3))
def test_glass_holds_the_maxima_along_every_axis(size, spacing, features):
    energy = drawn(features, *size)
    names = [f"feature {n}" for n in range(features)]
    _, grid = plot.glass(energy, spacing=spacing, names=names)
    assert grid.shape == (features, 3)
    for n, row in enumerate(grid):
        assert row[0].get_title() == names[n]
        for axis, ax in enumerate(row):
            (found,) = pictures(ax)
            np.testing.assert_allclose(found, np.abs(energy[n]).max(axis))
            assert ax.images[0].get_clim() == (0, np.abs(energy[n]).max())


def test_glass_is_outlined_by_the_volume():
    volume = np.zeros((10, 11, 12))
    volume[3:6, 2:9, 4:8] = 1
    figure, grid = plot.glass(np.abs(drawn(10, 11, 12)), volume, spacing=(1, 2, 1), affine=None)
    box = grid[0, 2].collections[0].get_paths()[0].get_extents()
    np.testing.assert_allclose((box.x0, box.x1, box.y0, box.y1), (2.5, 5.5, 3, 17))
    written(figure)


# Films


@examples(12)
@given(st.data())
def test_a_film_shows_its_frames_and_one_row_and_column_against_time(data):
    count, tall, wide = (data.draw(st.integers(1, 12)) for _ in range(3))
    at = data.draw(st.integers(0, tall - 1)), data.draw(st.integers(0, wide - 1))
    video = np.random.default_rng(0).integers(0, 256, (3, count, tall, wide), dtype=np.uint8)
    frames = data.draw(st.integers(1, 5))
    _, several = plot.film(video, fs=10.0, frames=frames, at=at)
    *shown, across, down = several
    assert len(shown) == min(frames, count)
    assert shown[0].get_title() == "0.00 s"
    for ax in shown:
        n = round(float(ax.get_title().split()[0]) * 10)
        np.testing.assert_allclose(ax.images[0].get_array(), np.moveaxis(video[:, n], 0, -1) / 255)
    np.testing.assert_allclose(across.images[0].get_array(), video[:, :, at[0]].transpose(2, 1, 0) / 255)
    np.testing.assert_allclose(down.images[0].get_array(), video[:, :, :, at[1]].transpose(2, 1, 0) / 255)
    np.testing.assert_allclose(across.get_xlim(), (-0.05, count / 10 - 0.05))


def test_what_moves_evenly_is_a_slanted_line():
    video = np.zeros((12, 8, 20))
    for t in range(12):
        video[t, :, 3 + t] = 5
    figure, several = plot.film(video, fs=2.0)
    found = np.asarray(several[-2].images[0].get_array())
    assert [int(n) for n in found.argmax(0)] == list(range(3, 15))
    written(figure)
    written(plot.film(np.zeros((1, 1, 1, 1)))[0])


# Kernels


@pytest.mark.parametrize("size", [(3, 4), (3, 4, 5), (2, 3, 4, 5)])
def test_kernels_are_drawn_slice_by_slice(size):
    weights = drawn(3, *size)
    figure, ax = plot.kernels(weights, ["a", "b", "c"])
    assert len(ax.images) == 3
    assert [text.get_text() for text in ax.texts] == ["a", "b", "c"]
    for kernel, image in zip(weights, ax.images, strict=True):
        picture = np.asarray(image.get_array().filled(np.nan))
        assert np.count_nonzero(np.isfinite(picture)) == kernel.size
        rows, columns = size[0] if len(size) == 4 else 1, size[-3] if len(size) > 2 else 1
        for i, j in itertools.product(range(rows), range(columns)):
            part = kernel[i, j] if len(size) == 4 else kernel[j] if len(size) == 3 else kernel
            top, left = i * (size[-2] + 1), j * (size[-1] + 1)
            np.testing.assert_array_equal(picture[top : top + size[-2], left : left + size[-1]], part)
        reach = np.abs(kernel).max()
        np.testing.assert_allclose(image.get_clim(), (-reach, reach))
    written(figure)
    assert plot.kernels(weights, spacing=(1,) * (len(size) - 2) + (3, 2))[1].get_aspect() == 1.5


def test_kernels_of_a_bank_of_motion_and_into_axes_given():
    from sigconv.filters import motion

    _, ax = plot.axes()
    figure, same = plot.kernels(motion.default(3).kernels.real.numpy(), ax=ax)
    assert same is ax
    written(figure)


# Words


MISTAKES = [
    (lambda: plot.slices(np.zeros((3, 4))), r"volume has shape \(3, 4\) of float64: expected real numbers \(x, y, z\)"),
    (lambda: plot.slices(np.zeros((3, 4, 5), complex)), r"volume has shape \(3, 4, 5\) of complex128"),
    (lambda: plot.slices(np.zeros((3, 4, 0))), r"volume has shape \(3, 4, 0\)"),
    (lambda: plot.slices(np.zeros((3, 4, 5)), np.zeros((3, 4, 4))), r"overlay has shape \(3, 4, 4\): expected that of"),
    (lambda: plot.slices(np.zeros((3, 4, 5)), at=(0, 4, 0)), r"at \(0, 4, 0\) is not inside a volume of \(3, 4, 5\)"),
    (lambda: plot.slices(np.zeros((3, 4, 5)), spacing=0), "spacing 0 must be above 0"),
    (lambda: plot.slices(np.zeros((3, 4, 5)), spacing=(1, 2)), r"spacing \(1, 2\) must be above 0, one number or one"),
    (lambda: plot.slices(np.zeros((3, 4, 5)), affine=np.eye(3)), r"affine has shape \(3, 3\): expected \(4, 4\)"),
    (lambda: plot.slices(np.zeros((3, 4, 5)), affine=np.diag([1, 0, 1, 1])), "spacing .* must be above 0"),
    (lambda: plot.slices(np.zeros((3, 4, 5)), affine=np.eye(4), spacing=1), "spacing 1 beside an affine"),
    (lambda: plot.glass(np.zeros((3, 4))), r"energy has shape \(3, 4\): expected \(x, y, z\) or"),
    (lambda: plot.film(np.zeros((2, 5, 4, 4))), r"video has shape \(2, 5, 4, 4\): expected \(frames, height, width\)"),
    (lambda: plot.film(np.zeros((5, 4, 4)), fs=0), "fs 0 must be above 0"),
    (lambda: plot.film(np.zeros((5, 4, 4)), at=(4, 0)), r"at \(4, 0\) is not inside frames of \(4, 4\)"),
    (lambda: plot.kernels(np.zeros((2, 3))), r"weights have shape \(2, 3\): expected \(filters, \*size\)"),
]


@pytest.mark.parametrize(("call", "told"), MISTAKES)
def test_what_cannot_be_drawn_is_told_in_one_line(call, told):
    with pytest.raises(ValueError, match=told) as caught:
        call()
    assert "\n" not in str(caught.value)
