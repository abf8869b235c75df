"""name what there is: recipes, data sets, models, banks, methods of convolution"""

from __future__ import annotations

from sigconv import console
from sigconv.cli import _discover


def main(arguments: list[str]) -> int:
    """sigconv list [--json]"""
    options = ["--json", "--debug", "--help", "-h"]
    for word in arguments:
        if word not in options:
            raise console.UsageError(f"unknown argument {word!r}: {console.nearest(word, options)}")
    if {"--help", "-h"} & set(arguments):
        console.show(f"usage: sigconv list [--json]\n\n{__doc__}")
        return 0
    found = there_is()
    if "--json" in arguments:
        console.answer(found)
    else:
        console.show("\n".join(f"{kind:<10} {', '.join(names)}" for kind, names in found.items() if names))
    return 0


def there_is() -> dict[str, list[str]]:
    """Names by kind: a file each, found in its room."""
    rooms = ("recipes", "datasets", "models", "methods")
    banks = [name for name, file in _discover.files("filters").items() if _discover.defines(file, "default")]
    return {room: list(_discover.files(room)) for room in rooms} | {"banks": banks}
