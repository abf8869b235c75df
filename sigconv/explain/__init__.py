"""What a trained network looks at: as motifs, what those are like, and what letters do to its answers.

from sigconv import explain
explain.patterns(model, sequences)                           # what the whole network looks at, as motifs
found = explain.motifs(model, sequences)                     # filters as motifs, those that matter most first
explain.matches(found, readers.motif.read("JASPAR.txt"))     # what is known that is like them, with P values
explain.filter_of(motif), explain.motif_of(weight)           # a motif as a filter and back, exactly
explain.mutagenesis(model, sequences)                        # what every substitution would do
explain.effects(model, variants, genome, length=101)         # what variants do
explain.saliency(model, x)                                   # what an answer depends on, for any model
"""

from sigconv.explain._contributions import contributions
from sigconv.explain._detectors import Detector, detectors, motifs, trimmed
from sigconv.explain._effects import Effect, effects
from sigconv.explain._matching import Match, matches
from sigconv.explain._mutagenesis import importance, mutagenesis
from sigconv.explain._patterns import Pattern, patterns
from sigconv.explain._saliency import saliency
from sigconv.explain._weights import filter_of, motif_of

__all__ = [
    "Detector",
    "Effect",
    "Match",
    "Pattern",
    "contributions",
    "detectors",
    "effects",
    "filter_of",
    "importance",
    "matches",
    "motif_of",
    "motifs",
    "mutagenesis",
    "patterns",
    "saliency",
    "trimmed",
]
