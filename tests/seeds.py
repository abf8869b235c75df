"""Small good files of every format that is read, what may go wrong with their bytes, and how each is read."""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import json
import pkgutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from sigconv import readers

NO_READERS = {"bedgraph", "child"}  # one writes alone, the other reads by these
NATIVE = {"video", "flac", "image", "zarr"}  # decoded by libraries of C: in a process of their own
FOLDERS = {"zarr"}  # whose files lie in a folder, one of which is damaged


def kinds() -> list[str]:
    """Every reader there is."""
    return sorted(
        one.name for one in pkgutil.iter_modules(readers.__path__) if one.name[0] != "_" and one.name not in NO_READERS
    )


def read(kind: str, path: Any) -> Any:
    """All that a reader makes of a file."""
    module = importlib.import_module(f"sigconv.readers.{kind}")
    if kind == "archive":
        return list(module.members(path))
    if kind == "bids":
        return module.described(path, "tests", "1")
    found = module.read(path)
    return list(found) if kind == "vcf" else found


def sound(kind: str, subtype: str) -> bytes:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.sin(np.arange(600).reshape(300, 2)), 8000, format=kind, subtype=subtype)
    return file.getvalue()


def picture(kind: str, **options: Any) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    grey = np.random.default_rng(0).integers(0, 255, (20, 24)).astype("uint8")
    Image.fromarray(grey).save(file, kind, **options)
    return file.getvalue()


def film(folder: Path, name: str, **options: Any) -> bytes:
    from sigconv.readers import video

    frames = np.random.default_rng(0).integers(0, 255, (3, 4, 16, 16)).astype("uint8")
    video.write(folder / name, frames, 25, **options)
    return (folder / name).read_bytes()


def volume(folder: Path, name: str) -> bytes:
    from sigconv.readers import nifti

    nifti.write(folder / name, np.arange(60.0, dtype="float32").reshape(3, 4, 5), np.diag([1.0, 2, 3, 1]))
    return (folder / name).read_bytes()


def freesurfer() -> bytes:
    head = np.array([1, 3, 4, 5, 1, 4, 0], ">i4").tobytes() + np.array([1], ">i2").tobytes()
    place = np.array([1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0], ">f4").tobytes()
    return (head + place).ljust(284, b"\0") + np.arange(60, dtype=">i2").tobytes()


def array(**named: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **named) if named else np.save(file, np.arange(12.0).reshape(3, 4))
    return file.getvalue()


def idx() -> bytes:
    return bytes([0, 0, 8, 2]) + np.array([3, 4], ">u4").tobytes() + bytes(range(12))


def sphere() -> bytes:
    said = "NIST_1A\n   1024\nchannel_count -i 1\nsample_count -i 50\nsample_rate -i 8000\nsample_n_bytes -i 2\n"
    said += "sample_byte_format -s2 01\nsample_coding -s3 pcm\nend_head\n"
    return said.encode().ljust(1024) + np.arange(50, dtype="<i2").tobytes()


def archives() -> dict[str, bytes]:
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("in/a.wav", b"sound" * 40)
        file.writestr("b.txt", b"text")
    with tarfile.open(fileobj=tarred, mode="w", format=tarfile.PAX_FORMAT) as file:
        info = tarfile.TarInfo("in/ü" + "a" * 120)
        info.size = 200
        file.addfile(info, io.BytesIO(b"sound" * 40))
    content = tarred.getvalue()
    return {
        "a.zip": zipped.getvalue(),
        "a.tar": content,
        "a.tar.gz": gzip.compress(content),
        "a.tar.bz2": bz2.compress(content),
    }


def zarrs(folder: Path) -> dict[str, bytes]:
    """The files of three arrays, by their names."""
    import zarr
    from zarr import codecs

    x = np.arange(48.0, dtype="float32").reshape(6, 8)
    common: dict[str, Any] = {"shape": x.shape, "dtype": x.dtype, "attributes": {"fs": 8000}}
    packed = {"compressors": codecs.ZstdCodec(level=1), "chunks": (3, 4)}
    zarr.create_array(store=str(folder / "shards"), shards=(6, 4), **packed, **common)[...] = x
    plain = {"compressors": codecs.GzipCodec(), "filters": [codecs.TransposeCodec(order=(1, 0))], "chunks": (6, 4)}
    zarr.create_array(store=str(folder / "turned"), **plain, **common)[...] = x
    zarr.create_array(store=str(folder / "old"), zarr_format=2, chunks=(6, 8), **common)[...] = x  # blosc or zstd
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


FASTA = b">one first\nACGTNRYacgu\nAC\n>two\nGGG\n"
BED = b"track name=a\nchr1\t1\t20\tpeak\t7.5\t+\nchr2\t0\t5\tb\t.\t-\n"
PEAKS = b"chr1\t1\t20\tpeak\t7\t+\t1.5\t2\t3\t9\n"
VCF = b"##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\nchr1\t10\trs1\tA\tg,<DEL>\nchr1\t12\t.\tAC\t*\n"
SEQ = b"FoldID\tEventID\tseq\tBound\nA\tseq_1\tTGCCAtn\t1\nB\tseq_2\tAC\t0.5\n"
MEME = b"MEME version 4\n\nALPHABET= ACGT\n\nMOTIF M1 x\nletter-probability matrix: alength= 4 w= 2 nsites= 20 E= 0\n"
MEME += b" 0.25 0.25 0.25 0.25\n 0.1 0.2 0.3 0.4\n"
JASPAR = b">MA1 x\nA [ 1 2 ]\nC [ 3 4 ]\nG [ 5 6 ]\nT [ 7 8 ]\n"
TRANSFAC = b"AC M1\nXX\nID x\nP0 A C G T\n01 1 2 3 4\n02 4 3 2 1\nXX\n//\n"
BIDS = json.dumps({"Name": "a", "BIDSVersion": "1.10.0"}).encode()


def made(kind: str, folder: Path) -> dict[str, bytes]:
    """Good files of a kind, by their names; KeyError for a kind that has none yet."""
    return {
        "archive": archives,
        "bed": lambda: {"a.bed": BED, "a.narrowPeak": PEAKS, "a.bed.gz": gzip.compress(BED)},
        "bids": lambda: {"dataset_description.json": BIDS},
        "fasta": lambda: {"a.fa": FASTA, "a.fa.gz": gzip.compress(FASTA)},
        "flac": lambda: {"a.flac": sound("FLAC", "PCM_16"), "b.flac": sound("FLAC", "PCM_24")},
        "idx": lambda: {"a.idx": idx(), "a.idx.gz": gzip.compress(idx())},
        "image": lambda: {f"a.{end}": picture(end.upper()) for end in ("png", "jpeg", "tiff", "gif", "bmp", "webp")},
        "motif": lambda: {"a.meme": MEME, "a.jaspar": JASPAR, "a.transfac": TRANSFAC, "a.gz": gzip.compress(MEME)},
        "nifti": lambda: {name: volume(folder, name) for name in ("a.nii", "a.nii.gz")} | {"a.mgh": freesurfer()},
        "npy": lambda: {"a.npy": array()},
        "npz": lambda: {"a.npz": array(x=np.arange(9), y=np.ones((2, 2)))},
        "phn": lambda: {"a.phn": b"0 10 h#\n10 25 ae\n", "a.wrd": b"0 10 she\n8 25 had\n"},
        "seq": lambda: {"a.seq": SEQ, "a.seq.gz": gzip.compress(SEQ), "train.data": b">a CAGTT 1\n>b ACG 0\n"},
        "sphere": lambda: {"a.sph": sphere()},
        "vcf": lambda: {"a.vcf": VCF, "a.vcf.gz": gzip.compress(VCF)},
        "video": lambda: {name: film(folder, name, codec=codec) for name, codec in FILMS.items()},
        "wav": lambda: {f"{coding}.wav": sound("WAV", coding) for coding in ("PCM_16", "FLOAT", "ULAW")},
        "zarr": lambda: zarrs(folder),
    }[kind]()  # fmt: skip


FILMS = {"a.mkv": "ffv1", "a.avi": "ffv1", "a.mp4": "mpeg4", "b.mp4": "h264"}
HUGE = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1]
WORDS = [b"0", b"-1", b"1e999", b"nan", b"99999999999999999999", b"\n", b"\t", b"\r", b"\xff", b"\0", b'"', b"[" * 50]


@st.composite
def damaged(draw: Any, good: bytes) -> bytes:
    """A file with one to four things wrong; where it is packed, often what is packed."""
    packed = good[:2] == b"\x1f\x8b" and draw(st.booleans())
    content = bytearray(gzip.decompress(good) if packed else good)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        many = draw(st.integers(1, 40))
        kind = draw(st.sampled_from(["flip", "byte", "huge", "word", "lose", "double", "splice", "insert", "cut"]))
        if kind == "flip" and content:
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "byte" and content:
            content[at] = draw(st.integers(0, 255))
        elif kind == "huge":
            size, order = draw(st.sampled_from([1, 2, 4, 8])), draw(st.sampled_from(["little", "big"]))
            content[at : at + size] = (draw(st.sampled_from(HUGE)) % 256**size).to_bytes(size, order)
        elif kind == "word":
            content[at : at + draw(st.integers(0, 3))] = draw(st.sampled_from(WORDS))
        elif kind == "lose":
            del content[at : at + many]
        elif kind == "double":
            content[at:at] = content[at : at + many]
        elif kind == "splice":
            other = draw(st.integers(0, max(len(content) - 1, 0)))
            content[at : at + many] = content[other : other + many]
        elif kind == "insert":
            content[at:at] = draw(st.binary(max_size=8))
        elif kind == "cut":
            del content[at:]
    return gzip.compress(bytes(content)) if packed else bytes(content)
