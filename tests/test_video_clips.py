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


LARGEST = [("int8", 127), ("uint16", 65535), ("int32", 2**31 - 1), ("uint32", 2**32 - 1), ("int64", 2**48)]


@pytest.mark.parametrize(("dtype", "most"), LARGEST)
@pytest.mark.parametrize("method", ready.METHODS)
def test_resized_whole_numbers_neither_wrap_nor_lose_their_last_digit(dtype, most, method):
    for value in (most, most - 1):
        y = ready.resize(np.full((1, 1, 6, 4), value, dtype), (3, 3), method=method)
        assert y.dtype == np.dtype(dtype)
        assert (y == value).all()


@pytest.mark.parametrize("method", ready.METHODS)
def test_frames_of_any_kind_of_numbers_are_resized(method):
    x = torch.rand(1, 2, 8, 6, generator=torch.Generator().manual_seed(0))
    plain = ready.resize(x, 4, method=method)
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        y = ready.resize(x.to(dtype), 4, method=method)
        assert y.dtype == dtype
        torch.testing.assert_close(y.float(), plain, rtol=0, atol=1e-2)
    y = ready.resize(torch.complex(x, -x), 4, method=method)
    torch.testing.assert_close(y, torch.complex(plain, -plain))
    assert torch.equal(ready.resize(x.repeat(1, 1, 1, 1) > -1, 4, method=method), torch.ones(1, 2, 5, 4) > 0)
    far = torch.full((1, 1, 4, 4), 2**60 + 1)
    if method == "nearest":
        assert (ready.resize(far, 2, method=method) == 2**60 + 1).all()
    else:
        with pytest.raises(ValueError, match="reaches from 1152921504606846977 to .* take method 'nearest'"):
            ready.resize(far, 2, method=method)


WIDER = {"bool": "int8", "int8": "int16", "uint8": "int16", "int16": "int32", "uint16": "int32", "int32": "int64"}


@pytest.mark.parametrize(("dtype", "wider"), [*WIDER.items(), ("uint32", "int64"), ("float16", "float16")])
def test_differences_are_of_a_kind_that_holds_them(dtype, wider):
    info = (np.finfo if dtype == "float16" else np.iinfo)("int8" if dtype == "bool" else dtype)
    low, high = (0, 1) if dtype in ("bool", "float16") else (info.min, info.max)
    y = ready.difference(np.array([low, high, low], dtype).reshape(3, 1, 1))
    assert y.dtype == np.dtype(wider)
    assert y.ravel().tolist() == [int(high) - int(low), int(low) - int(high)]


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_differences_of_64_bits_are_right_or_refused(dtype):
    near = np.array([2**62, 2**62 - 3], dtype).reshape(2, 1, 1)
    assert ready.difference(near).ravel().tolist() == [-3]
    with pytest.raises(ValueError, match=f"x of torch.{dtype} reaches from 0 to 9223372036854775807|differences would"):
        ready.difference(np.array([-(2**62) if dtype == "int64" else 2**63, 2**62], dtype).reshape(2, 1, 1))


def test_more_frames_than_memory_holds_are_one_line():
    for call in (
        lambda: ready.clip(10, 10**15),
        lambda: ready.segments(10, 10**15),
        lambda: ready.clips(10, 4, 10**15),
        lambda: ready.resize(torch.zeros(1, 1, 2, 2), 10**10),
    ):
        with pytest.raises(ValueError, match="(length|count|size) 1000+ asks for .* more than this machine holds"):
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
