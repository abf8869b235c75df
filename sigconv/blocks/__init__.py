"""Blocks: what the classical architectures are put together from, in any number of axes."""

from sigconv.blocks.activations import ACTIVATIONS, Maxout, ScaledTanh, Swish, activation
from sigconv.blocks.channelwise import DepthwiseSeparable, MLPConv, Squeeze
from sigconv.blocks.inception import Inception
from sigconv.blocks.initial import he
from sigconv.blocks.normalization import BatchNorm, LocalResponseNorm, local_response_norm
from sigconv.blocks.partial import PartialConv
from sigconv.blocks.residual import BasicBlock, Bottleneck, ZeroPadShortcut, skip
from sigconv.blocks.sections import SectionConv, SectionPool
from sigconv.blocks.stages import Stage

__all__ = [
    "ACTIVATIONS",
    "BasicBlock",
    "BatchNorm",
    "Bottleneck",
    "DepthwiseSeparable",
    "Inception",
    "LocalResponseNorm",
    "MLPConv",
    "Maxout",
    "PartialConv",
    "ScaledTanh",
    "SectionConv",
    "SectionPool",
    "Squeeze",
    "Stage",
    "Swish",
    "ZeroPadShortcut",
    "activation",
    "he",
    "local_response_norm",
    "skip",
]
