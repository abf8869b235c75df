"""What a trained network looks at: as motifs, what those are like, and what letters do to its answers.

from sigconv import explain
explain.patterns(model, sequences)                           # what the whole network looks at, as motifs
found = explain.motifs(model, sequences)                     # filters as motifs, those that matter most first
explain.matches(found, readers.motif.read("JASPAR.txt"))     # what is known that is like them, with P values
explain.filter_of(motif), explain.motif_of(weight)           # a motif as a filter and back, exactly
explain.mutagenesis(model, sequences)                        # what every substitution would do
explain.effects(model, variants, genome, length=101)         # what variants do
explain.saliency(model, x)                                   # what an answer depends on, for any model
explain.saliency(model, x, rule="guided")                    # the same, cleaner: "deconvnet", "guided"
explain.integrated_gradients(model, x)                       # what each sample adds to an answer
explain.class_activation(model, x, 3, "features.8")          # where it comes from, as a layer sees it
explain.occlusion(model, x, size=5)                          # what it loses when a part is covered
explain.fantasy(model, (1, 28, 28), target=3)                # the input a class would like best
explain.top_patches(model, data, "features.8")               # what a layer's channels answer most strongly
explain.neighbours(features, queries)                        # what lies nearest, as explain.features sees it
explain.tuning_curve(bank, explain.gratings((33, 33), 0.1, 8))   # what filters answer to stimuli
explain.empirical_field(model, (1, 1, 64, 64))               # what a position sees, found by gradients
explain.effective_field(model, x)                            # and by which of it it is moved most
explain.equivariance(model, x, "rotation", 90)               # how nearly answers move with their input, or stay
explain.suitability(x)                                       # whether x is of the kind convolution is made for
"""

from sigconv.explain._activation import class_activation
from sigconv.explain._contributions import contributions
from sigconv.explain._detectors import Detector, detectors, motifs, trimmed
from sigconv.explain._effective import EffectiveField, effective_field
from sigconv.explain._effects import Effect, effects
from sigconv.explain._equivariance import Equivariance, equivariance
from sigconv.explain._fantasy import fantasy
from sigconv.explain._fields import EmpiricalField, empirical_field
from sigconv.explain._integrated import integrated_gradients
from sigconv.explain._matching import Match, matches
from sigconv.explain._mutagenesis import importance, mutagenesis
from sigconv.explain._neighbours import features, neighbours
from sigconv.explain._occlusion import occlusion
from sigconv.explain._patches import Patch, top_patches
from sigconv.explain._patterns import Pattern, patterns
from sigconv.explain._saliency import saliency, strongest
from sigconv.explain._stimuli import bars, best_stimulus, gratings, tuning_curve
from sigconv.explain._suitability import Suitability, suitability
from sigconv.explain._weights import filter_of, motif_of

__all__ = [
    "Detector",
    "Effect",
    "EffectiveField",
    "EmpiricalField",
    "Equivariance",
    "Match",
    "Patch",
    "Pattern",
    "Suitability",
    "bars",
    "best_stimulus",
    "class_activation",
    "contributions",
    "detectors",
    "effective_field",
    "effects",
    "empirical_field",
    "equivariance",
    "fantasy",
    "features",
    "filter_of",
    "gratings",
    "importance",
    "integrated_gradients",
    "matches",
    "motif_of",
    "motifs",
    "mutagenesis",
    "neighbours",
    "occlusion",
    "patterns",
    "saliency",
    "strongest",
    "suitability",
    "top_patches",
    "trimmed",
    "tuning_curve",
]
