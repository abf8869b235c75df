"""Hand-written fast loops behind torch.library ops, each beside its torch twin and tested against it.

A kernel is optional: where it cannot run (no numba, another device, a functorch transform, forward mode) its twin does.
A newcomer adds a file with an op, its fake tensor, its derivative and its twin.
"""
