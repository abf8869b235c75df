"""The phones of TIMIT, 61 as they are written down, folded to the 48 that models have and the 39 that are scored.

Lee and Hon 1989, Speaker-independent phone recognition using hidden Markov models, doi:10.1109/29.46546: closures, the
epenthetic pause and silences become one; the glottal stop q is left out.
"""

from __future__ import annotations

from collections.abc import Iterable

# A line for each of the 39: its phones of the 48, each with those of the 61 it stands for, if more than itself.
_TABLE = """
aa: aa ao              | ae: ae                | ah: ah ax=ax,ax-h   | aw: aw       | ay: ay
b: b                   | ch: ch                | d: d                | dh: dh       | dx: dx
eh: eh                 | er: er=er,axr         | ey: ey              | f: f         | g: g
hh: hh=hh,hv           | ih: ih ix             | iy: iy              | jh: jh       | k: k
l: l el                | m: m=m,em             | n: n=n,nx en        | ng: ng=ng,eng
ow: ow                 | oy: oy                | p: p                | r: r         | s: s
sh: sh zh              | t: t                  | th: th              | uh: uh       | uw: uw=uw,ux
v: v                   | w: w                  | y: y                | z: z
sil: sil=h#,pau cl=pcl,tcl,kcl vcl=bcl,dcl,gcl epi
"""
LEFT_OUT = "q"


def _folds() -> tuple[dict[str, str], dict[str, str]]:
    """61 -> 48 and 48 -> 39."""
    to_48: dict[str, str] = {}
    to_39: dict[str, str] = {}
    for entry in _TABLE.replace("\n", "|").split("|"):
        if entry.strip():
            scored, _, modelled = entry.strip().partition(": ")
            for phone, _, written in (part.partition("=") for part in modelled.split()):
                to_39[phone] = scored
                to_48 |= dict.fromkeys((written or phone).split(","), phone)
    return to_48, to_39


TO_48, TO_39 = _folds()
PHONES_61 = tuple(sorted([*TO_48, LEFT_OUT]))
PHONES_48 = tuple(sorted(TO_39))
PHONES_39 = tuple(sorted(set(TO_39.values())))
FOLDINGS = {61: PHONES_61, 48: PHONES_48, 39: PHONES_39}


def fold(phones: Iterable[str], to: int = 39) -> list[str]:
    """Phones of the 61 as those of the 48 or 39; q is left out. Neighbours that have become alike stay two.

    ValueError for a phone that is none of the 61, and for another number.

    >>> fold(["h#", "q", "ao", "tcl", "t", "zh"])
    ['sil', 'aa', 'sil', 't', 'sh']
    """
    if to not in (48, 39):
        raise ValueError(f"to {to} must be 48 (phones of models) or 39 (phones of scores)")
    kept = [TO_48[known(phone)] for phone in phones if phone != LEFT_OUT]
    return kept if to == 48 else [TO_39[phone] for phone in kept]


def known(phone: str) -> str:
    """The phone, if it is one of the 61."""
    if phone not in TO_48 and phone != LEFT_OUT:
        raise ValueError(f"phone {phone!r} is none of TIMIT's 61: {' '.join(PHONES_61)}")
    return phone
