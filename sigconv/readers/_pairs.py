"""Scans in two files, a header (.hdr) and an image (.img): the one that belongs to the other, by its name."""

from __future__ import annotations

import os


def other(name: str, ending: str, wanted: str) -> str | None:
    """The file beside one of this ending that bears the wanted one, packed or not, in small letters or capitals.

    The one that is packed as the first is comes before others. None where there is none, or name ends otherwise.
    """
    packed = name[-3:] if name.lower().endswith(".gz") else ""
    bare = name[: len(name) - len(packed)]
    if not bare.lower().endswith(ending):
        return None
    for end in (wanted, wanted.upper()):
        for pack in dict.fromkeys((packed, "", ".gz")):
            if os.path.isfile(bare[: -len(ending)] + end + pack):
                return bare[: -len(ending)] + end + pack
    return None
