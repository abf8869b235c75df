"""Letters of DNA as files have them: capitals or small, U for T, ambiguous by IUPAC's codes; and what is none."""

from __future__ import annotations

import re

KNOWN = "ACGTRYSWKMBDHVN"
_COMPLEMENT = bytes.maketrans(b"ACGTRYSWKMBDHVN", b"TGCAYRSWMKVHDBN")
_PROTEIN = "EFIJLOPQXZ"
_CAPITALS = bytearray(256)  # zero is what is no letter of DNA
for _letter in KNOWN:
    _CAPITALS[ord(_letter)] = _CAPITALS[ord(_letter.lower())] = ord(_letter)
_CAPITALS[ord("U")] = _CAPITALS[ord("u")] = ord("T")
_WRONG = re.compile(rb"[^ACGTURYSWKMBDHVNacgturyswkmbdhvn \t\n]")


def capitals(text: bytes) -> bytes | None:
    r"""The letters in capitals, T for U, without blanks, tabs and ends of lines; None if any is none of DNA.

    >>> capitals(b"acgu N\n"), capitals(b"ACGE")
    (b'ACGTN', None)
    """
    letters = text.translate(_CAPITALS, b" \t\n")
    return None if b"\0" in letters else letters


def wrong(text: bytes) -> tuple[int, str]:
    """Where the first letter stands that is none of DNA, and what to say of it.

    >>> wrong(b"ACGE")
    (3, "letter 'E' is one of proteins, not of DNA")
    """
    match = _WRONG.search(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} has no letter that is wrong")
    found = match[0].decode("latin-1")
    if found.upper() in _PROTEIN:
        what = f"letter {found!r} is one of proteins, not of DNA"
    elif found in "-.~":
        what = f"{found!r} is a gap: these are aligned, and sequences are read"
    else:
        what = f"{found!a} is no letter of DNA (A C G T U, R Y S W K M B D H V, N)"
    return match.start(), what


def complement(letters: bytes) -> bytes:
    """The other strand of capital letters, read its own way.

    >>> complement(b"AACGR")
    b'YCGTT'
    """
    return letters.translate(_COMPLEMENT)[::-1]
