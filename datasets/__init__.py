"""Data sets, one a file: load(root=None, …) -> train, valid, test.

Each part is a map-style data set: len, .classes and item(index, generator) -> (x, y), a pure function of its arguments.
A set that is fetched has a <name>.toml beside it: address, SHA-256, licence.
"""

if __name__ != "sigconv.datasets":
    raise ImportError(f"this folder is the package 'sigconv.datasets', not {__name__!r}")
