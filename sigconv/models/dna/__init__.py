"""DNA and the proteins that bind it: motif detectors and their best match, deep stacks, the profile of reads (AP2).

zeng              one layer of 16 kernels and more, global or local pooling, a hidden layer
deepbind          16 motif detectors with learned thresholds, on both strands
deepsea basset    three layers of convolution and pooling, fully connected layers, hundreds of outputs
residual          motif detectors, dilated layers around them, maxima and means, on both strands: ours
bpnet             dilated convolutions, each added to the last; reads at every position, and how many
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from sigconv.models import _common
from sigconv.models.dna import _deep, _motifs, _profile, _residual
from sigconv.models.dna._profile import profile_loss

__all__ = ["build", "profile_loss"]

BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "zeng": _motifs.zeng,
    "deepbind": _motifs.deepbind,
    "deepsea": _deep.stacked,
    "basset": _deep.stacked,
    "bpnet": _profile.bpnet,
    "residual": _residual.residual,
}
VARIANTS = tuple(BUILDERS)
LETTERS = {"zeng": 101, "deepbind": 101, "deepsea": 1000, "basset": 600, "bpnet": 1000, "residual": 101}


def _spread(variant: str) -> Callable[[int], int]:
    """The published letters of one axis; over several about as many in all, as long as they suffice."""
    least = SMALLEST[variant]
    return lambda ndim: LETTERS[variant] if ndim == 1 else max(round(LETTERS[variant] ** (1 / ndim)), least(ndim))


SMALLEST: dict[str, Callable[[int], int]] = {
    "zeng": lambda ndim: 12,
    "deepbind": lambda ndim: 4,
    "deepsea": lambda ndim: _deep.fewest("deepsea", ndim),
    "basset": lambda ndim: _deep.fewest("basset", ndim),
    "bpnet": lambda ndim: 8,
    "residual": lambda ndim: 4,
}
SIZE = {variant: _spread(variant) for variant in VARIANTS}
USUAL = {
    "ndim": 1,
    "in_channels": 4,
    "classes": {"zeng": 2, "deepbind": 1, "deepsea": 919, "basset": 164, "bpnet": 8, "residual": 1},
}


@_common.recorded
def build(
    variant: str = VARIANTS[0],
    *,
    ndim: int | None = None,
    in_channels: int | None = None,
    classes: int | None = None,
    width: float = 1.0,
    activation: Any = None,
    dropout: float | None = None,
    size: Any = None,
    kernels: int | None = None,
    kernel_size: int | None = None,
    layers: int | None = None,
    window: int | None = None,
    mean: bool | None = None,
    strands: bool | None = None,
    maps: Any = None,
    hidden: Any = None,
    output: str | None = None,
) -> nn.Module:
    """A DNA model, one-hot (batch, 4, letters) or tokens (batch, letters) -> (batch, classes); None is as published.

    zeng             any number of letters; with a window exactly `size`, 101
    deepbind bpnet residual   any number of letters
    deepsea basset   exactly `size` letters, 1000 and 600

    kernels          motif detectors, before width: 16, 64                          (zeng deepbind, residual)
    kernel_size      their taps: 24, 11; of bpnet's first and last layer 25         (zeng deepbind, residual, bpnet)
    layers           of convolution: 1; further ones, dilated: 3, 9                 (zeng, residual, bpnet)
    window           positions pooled at a time; None pools all of them             (zeng)
    mean             the mean of every detector beside its best match               (deepbind residual)
    strands          the larger, or the mean, answer to both strands: True          (deepbind, residual)
    hidden           units, 32 or 0 for none; of deepsea and basset one number each layer
    maps             kernels of every layer                                         (deepsea basset; one number: bpnet)
    output           "both" (profile logits (batch, classes, letters), log counts (batch, classes)), "profile" or
                     "counts"                                                       (bpnet)

    Outputs are logits. In other numbers of axes than one kernels have about as many taps in all, and the input is
    (batch, in_channels, *space). ValueError for an option that is not the variant's. Zeng's deeper variants are
    published by name; their further layers here are ours. Sources: Zeng et al. 2016, doi:10.1093/bioinformatics/btw255;
    Alipanahi et al. 2015, doi:10.1038/nbt.3300 (DeepBind); Zhou and Troyanskaya 2015, doi:10.1038/nmeth.3547 (DeepSEA);
    Kelley et al. 2016, doi:10.1101/gr.200535.115 (Basset); Avsec et al. 2021, doi:10.1038/s41588-021-00782-6 (BPNet).

    >>> [sum(p.numel() for p in build("zeng", kernels=n).parameters()) for n in (1, 16, 32, 64, 128, 256)]
    [227, 2162, 4226, 8354, 16610, 33122]
    >>> import torch
    >>> build("deepbind")(torch.randint(0, 4, (2, 101), dtype=torch.uint8)).shape
    torch.Size([2, 1])
    """
    return _common.variant_of("dna", BUILDERS, USUAL | {"size": SIZE}, dict(locals()))
