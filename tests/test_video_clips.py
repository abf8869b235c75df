"""Clips chosen of a video, its frames made ready, and what moves in them (FB9)."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sigconv.transforms import video as ready


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 4), st.integers(0, 99), st.sampled_from(["loop", "hold"]))
def test_a_clip_lies_in_its_video_and_is_the_same_of_the_same_generator(frames, length, stride, seed, short):
    made = lambda: torch.Generator().manual_seed(seed)
    for generator in (made, lambda: None):
        found = ready.clip(frames, length, stride=stride, generator=generator(), short=short)
        assert torch.equal(found, ready.clip(frames, length, stride=stride, generator=generator(), short=short))
        assert found.shape == (length,)
        assert int(found.min()) >= 0
        assert int(found.max()) < frames
        if frames >= (length - 1) * stride + 1:
            assert (found.diff() == stride).all()
        else:
            whole = stride * torch.arange(length)
            assert torch.equal(found, whole % frames if short == "loop" else whole.clamp_max(frames - 1))
    many = ready.clips(frames, length, 3, stride=stride, short=short)
    middle = ready.clip(frames, length, stride=stride, short=short)
    assert torch.equal(many[1], middle)
    assert torch.equal(ready.clips(frames, length, 1, stride=stride, short=short)[0], middle)
    assert int(many[0, 0]) == 0
    assert frames < (length - 1) * stride + 1 or int(many[2, -1]) == frames - 1


def test_random_clips_begin_anywhere_alike():
    generator = torch.Generator().manual_seed(0)
    firsts = torch.stack([ready.clip(11, 4, stride=2, generator=generator) for _ in range(2000)])[:, 0]
    counts = firsts.bincount(minlength=5)
    assert len(counts) == 5, "frames 0 to 4 leave room for four frames, each second one"
    assert ((counts - 400).double() ** 2 / 400).sum() < 18.5, "chi square of 4 degrees, p = 0.001"


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 99))
def test_segments_are_one_of_each_part(frames, length, seed):
    for generator in (None, torch.Generator().manual_seed(seed)):
        found = ready.segments(frames, length, generator=generator).double()
        low = torch.arange(length).double() * frames / length
        assert ((found >= low.floor()) & (found < low + frames / length)).all()
        assert (found < frames).all()
        assert (found.diff() >= 0).all()


@pytest.mark.parametrize("method", ready.METHODS)
def test_resized_frames_keep_constants_kinds_and_shares(method):
    constant = np.full((3, 4, 20, 30), 77, np.uint8)
    for size, shape in ((10, (10, 15)), ((5, 40), (5, 40)), (20, (20, 30)), (33, (33, 50))):
        y = ready.resize(constant, size, method=method)
        assert y.shape == (3, 4, *shape)
        assert y.dtype == np.uint8
        assert (y == 77).all()
    x = torch.rand(2, 3, 20, 30, dtype=torch.float64, requires_grad=True)
    half = ready.resize(x, 10, method=method)
    assert half.dtype == torch.float64
    assert half.requires_grad
    if method == "area":
        torch.testing.assert_close(half, x.unflatten(-2, (10, 2)).unflatten(-1, (15, 2)).mean((-3, -1)))
    one = torch.stack([ready.resize(frame[None], 10, method=method)[0] for frame in x.detach().flatten(0, 1)])
    torch.testing.assert_close(half.detach().flatten(0, 1), one, msg="each frame is made by itself")


def test_crops_are_windows_the_same_in_all_frames():
    x = torch.arange(2 * 3 * 7 * 9).reshape(2, 3, 7, 9)
    seen = set()
    generator = torch.Generator().manual_seed(0)
    for _ in range(300):
        y = ready.crop(x, (5, 6), generator=generator)
        assert y.shape == (2, 3, 5, 6)
        top, left = divmod(int(y[0, 0, 0, 0]), 9)
        assert torch.equal(y, x[..., top : top + 5, left : left + 6])
        seen.add((top, left))
    assert seen == {(top, left) for top in range(3) for left in range(4)}
    assert torch.equal(ready.crop(x, 5), x[..., 1:6, 2:7])
    with pytest.raises(ValueError, match=r"size \(8, 8\) is larger than the frames, which are \(7, 9\)"):
        ready.crop(x, 8)


def test_scale_differences_and_refusals():
    x = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 9, 12, 16), np.uint8))
    y = ready.normalize(x)
    assert y.dtype == torch.float32
    back = y * torch.tensor(ready.STD).reshape(3, 1, 1, 1) + torch.tensor(ready.MEAN).reshape(3, 1, 1, 1)
    torch.testing.assert_close(back, x.float() / 255)
    step = ready.difference(x)
    assert step.dtype == torch.int16
    assert torch.equal(step, x[:, 1:].short() - x[:, :-1].short())
    assert torch.equal(step.sum(1), x[:, -1].short() - x[:, 0].short())
    for call, message in (
        (lambda: ready.normalize(x, (1, 2)), r"mean \(1, 2\) must be a finite number, or 3 of them"),
        (lambda: ready.normalize(x, std=0), "std 0 must be above 0"),
        (lambda: ready.normalize(x[0, 0]), "expected"),
        (lambda: ready.difference(x[:, :1]), "has 1 frame"),
        (lambda: ready.resize(x, 10, method="cubic"), "method 'cubic' is not one of"),
        (lambda: ready.clip(5, 4, stride=2, short="refuse"), "5 frames are too few for a clip of 4, every 2-th"),
        (lambda: ready.clip(5, 0), "length 0"),
        (lambda: ready.clip(5, 4, short="pad"), "short 'pad' is not one of"),
        (lambda: ready.slices(x, row=12), "row 12 is none of 12"),
        (lambda: ready.crop(x[0, 0], 3), "expected frames"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("speed", [-2, -1, 0, 1, 3])
def test_fb9_a_speed_is_a_slant_in_space_and_time(speed):
    x = torch.zeros(8, 5, 40)
    for frame in range(8):
        x[frame, :, 20 + speed * frame if speed < 0 else 10 + speed * frame] = 1
    across, down = ready.slices(x)
    assert across.shape == (8, 40)
    assert down.shape == (8, 5)
    assert (across.argmax(1).diff() == speed).all()
    assert torch.equal(ready.slices(x.transpose(1, 2)).down, across)
