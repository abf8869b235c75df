"""Video: frames of any file that FFmpeg knows, through PyAV, in the memory of a few of them. Extra: sigconv[video].

Frames are as they are stored: a phone's note to turn them is not followed, sound is not read. A file is wrong where it
ends before its own count of frames or its own length (of Matroska and AVI), or where a frame of it is damaged; MPEG
streams do not say how much they hold, and one that was cut between two frames reads as a shorter one. Only formats that
hold their frames themselves are opened: playlists, which name other files and addresses, are not.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from sigconv import console, files
from sigconv.readers import _matroska, _riff

MOST_FILE = 1 << 44  # bytes
MOST_PIXELS = 8192 * 4320  # of a frame: what is sold as 8K
MOST_BYTES = 8 << 30  # of frames in memory, decoded
AT_ONCE = 64 << 20  # bytes of them that are read before they are put where they belong
MOST_RATE = 1e6  # frames a second
THREADS = 2  # that decode a file
FORMATS = "avi,mov,mp4,matroska,webm,mpeg,mpegvideo,mpegts,m4v,flv,asf,ogg,gif,ivf,h264,hevc,yuv4mpegpipe,nut,mxf,dv"
CODECS = {"ffv1": ("ffv1", "bgr0"), "h264": ("libx264", "yuv420p"), "mpeg4": ("mpeg4", "yuv420p")}
USUAL = {".mkv": "ffv1", ".avi": "ffv1", ".mp4": "h264"}
NAMES = {".mkv": "matroska", ".avi": "avi", ".mp4": "mp4"}  # FFmpeg's

Fail = Callable[[str], Exception]


class Header(NamedTuple):
    """What a video says of itself: frames (None where it does not), their size in pixels, frames/s, and seconds.

    frames is the file's own count, which may be off by the few that it leaves out; fs is the mean rate; seconds is None
    where neither a duration nor a count is given.
    """

    frames: int | None
    height: int
    width: int
    fs: float
    seconds: float | None


def header(path: str | os.PathLike[str], *, count: bool = False) -> Header:
    """What a video says of itself; with count, frames are counted by decoding all of them, with read's errors.

    Raises OSError where there is no regular file, ValueError, with the file's name, for one that is no video; and
    ImportError where PyAV is not installed.
    """
    with _opened(path) as source:
        return source.header._replace(frames=sum(1 for _ in source.frames())) if count else source.header


def blocks(
    path: str | os.PathLike[str], n: int = 16, *, start: int = 0, frames: int | None = None, every: int = 1
) -> Iterator[np.ndarray]:
    """The frames of a video block by block, uint8 (n, height, width, 3), red, green, blue; the last may be smaller.

    Together they are what read gives of the same start, frames and every, in the memory of one block. The header is
    checked at once; what is wrong further on ends the blocks with read's errors.
    """
    from sigconv import nd

    n, wanted = nd.count(n, "n"), _wanted(start, frames, every)
    header(path)
    return _blocks(path, n, *wanted)


def read(
    path: str | os.PathLike[str], *, start: int = 0, frames: int | None = None, every: int = 1
) -> tuple[np.ndarray, float]:
    """Frames of a video, uint8 (3, frames, height, width), red, green, blue, and fs, how many a second are given.

    start       the first, counted from 0; those before it are decoded all the same, as others are made from them
    frames      how many; all there are, without it
    every       of how many one is taken: 2 takes each second one, and fs is half of the file's

    Raises OSError where there is no regular file, ValueError, with the file's name, where it is no video, cut short,
    damaged, has frames of more than 8192 x 4320 pixels, or fewer than were asked for, and where all of them take more
    than 8 GB; ImportError where PyAV is not installed.
    """
    found, held, wanted = [], 0, _wanted(start, frames, every)
    said, fail = header(path), _failing(path)
    size = 3 * said.height * said.width
    expected = frames or len(range(start, said.frames or 0, every))  # only to fail early: it may not be true
    for block in _blocks(path, max(AT_ONCE // size, 1), *wanted):
        held += block.nbytes
        if max(held, expected * size) > MOST_BYTES:
            raise fail(f"its frames take more than the {MOST_BYTES} bytes read at once: take blocks, or some frames")
        found.append(block)
    answer = np.empty((3, sum(map(len, found)), said.height, said.width), np.uint8)
    at = answer.shape[1]
    while found:  # from the end on, so that a block is gone when its copy is there
        block = found.pop()
        answer[:, at - len(block) : at] = block.transpose(3, 0, 1, 2)
        at -= len(block)
    return answer, said.fs / every


def write(path: str | os.PathLike[str], frames: Any, fs: float, *, codec: str | None = None) -> None:
    """Write a video, whole or not at all: .mkv, .avi or .mp4; without loss, the same bytes each time.

    frames  uint8 (channels, frames, height, width), tensor or array, channels 3 (red, green, blue) or 1 (grey)
    fs      frames a second
    codec   ffv1 (.mkv and .avi; without loss, and what they have unless told), h264 (.mp4's) or mpeg4; the last two
            lose a little and take even heights and widths only

    Raises ValueError for frames, rates and names that are none of these, ImportError where PyAV is not installed.
    """
    from sigconv import nd

    av, name = _library(), str(os.fspath(path))
    ending = os.path.splitext(name)[1].lower()
    if ending not in USUAL:
        raise ValueError(f"{name!r} does not end in one of {', '.join(USUAL)}")
    kind, pixels = CODECS[nd.one_of(codec or USUAL[ending], tuple(CODECS), "codec")]
    x, rate = _storable(frames, name), Fraction(_rate(fs)).limit_denominator(100_000)
    if pixels != "bgr0" and (x.shape[2] % 2 or x.shape[3] % 2):
        raise ValueError(
            f"frames of {x.shape[2]} x {x.shape[3]} for {name!r}: {codec or USUAL[ending]} takes even sizes"
        )
    with files.writing(path) as file:
        try:
            _encoded(av, file, x, rate, (NAMES[ending], kind, pixels))
        except (av.error.FFmpegError, ValueError) as error:
            raise ValueError(f"{name!r} cannot be written as {codec or USUAL[ending]}: {_line(error)}") from None


def _encoded(av: Any, file: BinaryIO, x: np.ndarray, rate: Fraction, kinds: tuple[str, str, str]) -> None:
    with av.open(file, "w", format=kinds[0], options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(kinds[1], rate=rate)
        stream.height, stream.width, stream.pix_fmt = x.shape[2], x.shape[3], kinds[2]
        stream.codec_context.thread_count = 1
        for number in range(x.shape[1]):
            picture = np.ascontiguousarray(x[:, number].transpose(1, 2, 0))
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _storable(frames: Any, name: str) -> np.ndarray:
    """uint8 (3, frames, height, width)."""
    x = np.asarray(frames.detach().cpu() if hasattr(frames, "detach") else frames)
    if x.dtype != np.uint8 or x.ndim != 4 or x.shape[0] not in (1, 3) or 0 in x.shape:
        raise ValueError(
            f"frames for {name!r} are {x.dtype} of shape {x.shape}: expected uint8 (3 or 1, frames, height, width)"
        )
    return np.broadcast_to(x, (3, *x.shape[1:]))


def _rate(fs: Any) -> float:
    if not (math.isfinite(fs) and 0 < fs <= MOST_RATE):
        raise ValueError(f"fs {fs} must be above 0 and at most {MOST_RATE:g} frames a second")
    return float(fs)


def _library() -> Any:
    try:
        import av
    except ImportError:
        raise ImportError("video needs PyAV: pip install 'sigconv[video]'") from None
    return av


def _wanted(start: int, frames: int | None, every: int) -> tuple[int, int | None, int]:
    if (start, frames, every) == (0, None, 1):  # a process that reads a file whole does not load torch, as nd does
        return start, frames, every
    from sigconv import nd

    count = None if frames is None else nd.count(frames, "frames")
    return nd.count(start, "start", 0), count, nd.count(every, "every")


def _blocks(path: str | os.PathLike[str], n: int, start: int, frames: int | None, every: int) -> Iterator[np.ndarray]:
    """Blocks of wanted frames; those between are decoded, as others are made from them, but not converted."""
    with _opened(path) as source:
        held: list[np.ndarray] = []
        taken = number = 0
        for number, frame in enumerate(source.frames(), 1):
            if number <= start or (number - 1 - start) % every:
                continue
            held.append(frame.to_ndarray(format="rgb24"))
            taken += 1
            if len(held) == n or taken == frames:
                yield np.stack(held)
                held.clear()
            if taken == frames:
                return
        if frames is not None or start >= number:
            last = start if frames is None else start + (frames - 1) * every
            raise source.fail(f"it has {number} frames, and number {last} was asked for (the first is 0)")
        if held:
            yield np.stack(held)


@dataclass
class _Source:
    """An open video."""

    container: Any
    stream: Any
    header: Header
    fail: Fail
    lacking: str = ""  # what is wrong with its length
    packets: int = 0  # read so far

    def frames(self) -> Iterator[Any]:
        """Its frames, every one whole, and as many packets of them as it says."""
        count = 0
        for frame in self._decoded():
            if frame.is_corrupt:
                raise self.fail(f"its frame {count} is damaged")
            if (frame.height, frame.width) != self.header[1:3]:
                said = " x ".join(map(str, self.header[1:3]))
                raise self.fail(f"its frame {count} is {frame.height} x {frame.width}, its header says {said}")
            count += 1
            yield frame
        if self.header.frames is not None and self.packets < self.header.frames:
            raise self.fail(f"truncated: its header says {self.header.frames} frames, and {self.packets} are left")
        if self.lacking:  # told last: frames before the cut are whole
            raise self.fail(self.lacking)
        if not count:
            raise self.fail("it holds no frame")

    def _decoded(self) -> Iterator[Any]:
        with _telling(self.fail):
            for packet in self.container.demux(self.stream):
                self.packets += packet.size > 0  # the last, of nothing, asks for what the decoder still holds
                if packet.is_corrupt:
                    raise self.fail(f"truncated or damaged: packet {self.packets - 1} is not whole")
                yield from packet.decode()


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[_Source]:
    """A file that was looked at, as FFmpeg sees it; its decoder is told the largest frame before it makes one."""
    av, fail = _library(), _failing(path)
    if files.size_of(path, MOST_FILE) == 0:
        raise fail("it is empty")
    bounds = {"max_pixels": str(MOST_PIXELS), "format_whitelist": FORMATS}
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open(path, "rb"))  # no name for FFmpeg to take for an address
        _matroska.check(file, fail)
        lacking = _riff.lacking(file)
        with _telling(fail):
            container = stack.enter_context(av.open(file, options=bounds, metadata_errors="replace"))
        if not container.streams.video:
            raise fail("it has no pictures (no video stream)")
        stream = container.streams.video[0]
        codec = stream.codec_context
        if codec is None:
            raise fail("its pictures are coded in a way that is not known here")
        codec.options = {"max_pixels": str(MOST_PIXELS)}
        codec.thread_count, codec.thread_type = THREADS, "AUTO"
        yield _Source(container, stream, _header(container, stream, fail), fail, lacking)


def _header(container: Any, stream: Any, fail: Fail) -> Header:
    height, width = stream.codec_context.height, stream.codec_context.width
    if height < 1 or width < 1 or height * width > MOST_PIXELS:
        raise fail(f"frames of {height} x {width} pixels cannot be, or are more than the {MOST_PIXELS} read")
    rate = stream.average_rate or stream.guessed_rate
    if not rate or not 0 < rate <= MOST_RATE:
        raise fail(f"it says {rate or 'nothing'} of how many frames a second has")
    frames = stream.frames if stream.frames > 0 else None
    seconds = None if frames is None else frames / float(rate)
    if stream.duration and stream.time_base:
        seconds = float(stream.duration * stream.time_base)
    elif container.duration:
        seconds = container.duration / 1e6
    return Header(frames, height, width, float(rate), seconds)


@contextlib.contextmanager
def _telling(fail: Fail) -> Iterator[None]:
    """FFmpeg's errors as one line with the file's name."""
    from av.error import FFmpegError

    try:
        yield
    except FFmpegError as error:
        raise fail(f"FFmpeg finds {_line(error)}") from None


def _line(error: Exception) -> str:
    return console.one_line(getattr(error, "strerror", None) or error, 200).lower()


def _failing(path: str | os.PathLike[str]) -> Fail:
    return lambda why: ValueError(f"{str(os.fspath(path))!r} is not a usable video: {why}")
