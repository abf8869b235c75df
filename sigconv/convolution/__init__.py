"""Convolution as functions (operations.py) and as layers (layers.py), one implementation for any number of axes."""

from sigconv.convolution.layers import Conv, Conv1d, Conv2d, Conv3d
from sigconv.convolution.operations import conv, plan

__all__ = ["Conv", "Conv1d", "Conv2d", "Conv3d", "conv", "plan"]
