"""Blocks: what the classical architectures are put together from, in any number of axes."""

from sigconv.blocks.activations import ACTIVATIONS, Maxout, Swish, activation
from sigconv.blocks.normalization import BatchNorm

__all__ = ["ACTIVATIONS", "BatchNorm", "Maxout", "Swish", "activation"]
