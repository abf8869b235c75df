"""What a network's first filters have learned to find, as motifs: counts of letters in the windows they answer to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.explain._answers import answer, asked, at_once, at_rest, inputs, letters, models_of
from sigconv.explain._sites import sites, uses
from sigconv.readers.motif import Motif
from sigconv.transforms import dna
from sigconv.transforms.dna._scores import Background, frequencies

MOST_WEIGHED = 2000  # sequences on which the filters' uses are measured


class Detector(NamedTuple):
    """A filter by its network and number, the motif of its sites, and what it adds to the answer (NaN: not known)."""

    network: int
    number: int
    motif: Motif
    use: float


def motifs(layer: nn.Module | Sequence[nn.Module], sequences: Any, **options: Any) -> list[Motif]:
    """The motifs of the filters of a first convolution, those that matter most first; arguments as for detectors.

    >>> layer = nn.Conv1d(4, 1, 3, bias=False)
    >>> _ = layer.weight.data.copy_(torch.eye(4)[:, :3])  # how many letters are those of ACG
    >>> found = motifs(layer, dna.one_hot(dna.encode(["TTACGTT", "ACGTTTT", "TTTTTTT"])), trim=0)
    >>> [(motif.name, motif.consensus, motif.sites) for motif in found]
    [('filter_0', 'ACG', 2.0)]
    """
    return [found.motif for found in detectors(layer, sequences, **options)]


def detectors(
    layer: nn.Module | Sequence[nn.Module],
    sequences: Any,
    *,
    top: int | None = None,
    threshold: float = 0.5,
    background: Background | None = None,
    trim: float = 0.1,
    target: Any = None,
    batch_size: int = 128,
) -> list[Detector]:
    """The filters of a first convolution with their motifs, those that matter most first.

    layer is a convolution, or any model whose first one sees letters, within BothStrands or of channels in pairs too;
    or several such models. sequences, those that are bound, are text, tokens (batch, length) or one-hot channels
    (batch, 4, length). Of each sequence a filter's best window is a site where it is answered above 0 and with at least
    threshold times the filter's best answer of all, after what follows channel by channel (a normalization, a
    rectification); on whichever strand, if the model looks at both. Sites are aligned by the filter; letters are
    counted, unknown ones as a quarter of each, and so is what a border of any kind holds. Filters that never answer are
    left out. A motif is named filter_3; of several models network_1_filter_3.

    top         only so many filters
    background  probabilities of A C G T; those of the sequences unless given
    trim        columns at the ends with less information are cut off, in bits against the background
    target      the class whose answer is meant, where the model has more than two

    A filter's use is what it adds to the model's answer to these sequences, in the mean, less what it adds to them when
    shuffled so that pairs of neighbours stay. Where a model has no one answer (a bare layer, many outputs and no
    target), filters come by their number of sites. The model answers as it is used, and is left as it was.
    Sources: Alipanahi et al. 2015, doi:10.1038/nbt.3300; Kelley et al. 2016, doi:10.1101/gr.200535.115.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold {threshold} must be from 0 to 1, a share of a filter's best answer")
    most = None if top is None else nd.count(top, "top")
    x = inputs(sequences)
    batch_size = at_once(batch_size, x.shape[-1])
    if not len(x):
        raise ValueError("there are no sequences to find sites in")
    base = background_of(letters(x)) if background is None else frequencies(background)
    a, c, g, t = base.tolist()
    known = []
    models = models_of(layer)
    for network, model in enumerate(models):
        found, worth = sites(model, x, batch_size), _worth(model, x, target, batch_size)
        for number in range(found.best.shape[1]):
            windows = found.windows(number, threshold)
            if len(windows):
                name = f"filter_{number}" if len(models) == 1 else f"network_{network}_filter_{number}"
                counts = trimmed(_counts(windows), base, trim)
                motif = Motif(name, "", counts, True, float(len(windows)), (a, c, g, t))
                known.append(Detector(network, number, motif, math.nan if worth is None else float(worth[number])))
    known.sort(key=lambda one: (math.isnan(one.use), -one.motif.sites if math.isnan(one.use) else -one.use))
    return known[:most]


def trimmed(
    counts: np.ndarray, background: Background | None = None, least: float = 0.1, *, bare: bool = False
) -> np.ndarray:
    """A matrix (4, width) without the columns at its ends that have less information, in bits.

    Where all have less, it is as it was; bare=True, without any column.

    >>> trimmed(np.array([[5, 8, 5, 8, 5], [5, 0, 5, 0, 5], [5, 0, 5, 0, 5], [5, 0, 5, 0, 5]])).shape
    (4, 3)
    """
    p, base = counts / counts.sum(0), frequencies(background)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = np.where(p > 0, p * np.log2(p / base), 0).sum(0)
    kept = np.flatnonzero(bits >= least)
    if not len(kept):
        return counts[:, :0] if bare else counts
    return counts[:, kept[0] : kept[-1] + 1]


def _counts(windows: Tensor) -> np.ndarray:
    """Letters counted, (4, span), of windows (sites, span) of tokens."""
    counts = np.stack([(windows == letter).sum(0).numpy() for letter in range(dna.UNKNOWN + 1)]).astype(float)
    return np.asarray(counts[: dna.UNKNOWN] + counts[dna.UNKNOWN] / dna.UNKNOWN)


def background_of(tokens: Tensor) -> np.ndarray:
    """How often each letter comes, each once more than that, so that none never does."""
    counts = np.array([int((tokens == letter).sum()) + 1 for letter in range(dna.UNKNOWN)])
    return np.asarray(counts / counts.sum())


def _worth(layer: nn.Module, x: Tensor, target: Any, batch_size: int) -> Tensor | None:
    """The filters' uses; None where there is no one answer."""
    with at_rest(layer), torch.no_grad():
        out = asked(layer, x[:1])
    if target is None and not (isinstance(out, Tensor) and (out.ndim == 1 or (out.ndim == 2 and out.shape[1] <= 2))):
        return None
    answer(out, target)
    x = x[:: -(-len(x) // MOST_WEIGHED)]
    shuffled = dna.between_flanks(letters(x), torch.Generator().manual_seed(0))
    others = dna.one_hot(shuffled, dtype=x.dtype) if x.is_floating_point() else shuffled
    return uses(layer, x, target, batch_size) - uses(layer, others.to(x), target, batch_size)
