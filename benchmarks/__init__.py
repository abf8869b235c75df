"""Ours against peers, side by side in one run."""

if __name__ != "sigconv.benchmarks":
    raise ImportError(f"this folder is the package 'sigconv.benchmarks', not {__name__!r}")
