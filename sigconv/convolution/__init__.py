"""Convolution as functions and as layers, one implementation for any number of axes."""

from sigconv.convolution.layers import Conv, Conv1d, Conv2d, Conv3d, ConvTranspose
from sigconv.convolution.masked import masked_conv
from sigconv.convolution.matrices import is_circulant, is_toeplitz, to_conv, to_dense, toeplitz
from sigconv.convolution.operations import conv, conv_max, plan
from sigconv.convolution.patches import fold, unfold
from sigconv.convolution.signals import convolve, correlate
from sigconv.convolution.transposed import conv_transpose
from sigconv.convolution.variants import ConvMax, DepthwiseConv, FactorizedConv, LocalConv, MaskedConv, SeparableConv
from sigconv.kernels.graphs import graphed
from sigconv.kernels.precise import allow_tf32
from sigconv.methods import Factors, factorize

__all__ = [
    "Conv",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvMax",
    "ConvTranspose",
    "DepthwiseConv",
    "FactorizedConv",
    "Factors",
    "LocalConv",
    "MaskedConv",
    "SeparableConv",
    "allow_tf32",
    "conv",
    "conv_max",
    "conv_transpose",
    "convolve",
    "correlate",
    "factorize",
    "fold",
    "graphed",
    "is_circulant",
    "is_toeplitz",
    "masked_conv",
    "plan",
    "to_conv",
    "to_dense",
    "toeplitz",
    "unfold",
]
