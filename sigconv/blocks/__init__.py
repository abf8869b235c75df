"""Blocks: what the classical architectures are put together from, in any number of axes."""

from sigconv.blocks.activations import ACTIVATIONS, Maxout, ScaledTanh, Swish, activation
from sigconv.blocks.channelwise import DepthwiseSeparable, MLPConv, Squeeze
from sigconv.blocks.inception import Inception
from sigconv.blocks.initial import he
from sigconv.blocks.normalization import BatchNorm, LocalResponseNorm, local_response_norm
from sigconv.blocks.norms import ChannelNorm, InstanceNorm, normalizer
from sigconv.blocks.partial import PartialConv
from sigconv.blocks.residual import BasicBlock, Bottleneck, ZeroPadShortcut, skip
from sigconv.blocks.sections import SectionConv, SectionPool
from sigconv.blocks.stages import Stage
from sigconv.blocks.strands import (
    BothStrands,
    ReverseComplementBatchNorm,
    ReverseComplementConv,
    StrandPool,
    other_strand,
)

__all__ = [
    "ACTIVATIONS",
    "BasicBlock",
    "BatchNorm",
    "BothStrands",
    "Bottleneck",
    "ChannelNorm",
    "DepthwiseSeparable",
    "Inception",
    "InstanceNorm",
    "LocalResponseNorm",
    "MLPConv",
    "Maxout",
    "PartialConv",
    "ReverseComplementBatchNorm",
    "ReverseComplementConv",
    "ScaledTanh",
    "SectionConv",
    "SectionPool",
    "Squeeze",
    "Stage",
    "StrandPool",
    "Swish",
    "ZeroPadShortcut",
    "activation",
    "he",
    "local_response_norm",
    "normalizer",
    "other_strand",
    "skip",
]
