"""DNA: letters to tokens and channels, the other strand, words of k letters, shuffles and negatives, motif scores."""

from sigconv.transforms.dna._kmers import kmer_counts, kmer_names, kmers
from sigconv.transforms.dna._letters import LETTERS, UNKNOWN, decode, encode, one_hot, reverse_complement
from sigconv.transforms.dna._negatives import gc_content, jitter, matched, matched_windows
from sigconv.transforms.dna._scores import distribution, log_odds, match_scores, pvalue, threshold
from sigconv.transforms.dna._shuffles import between_flanks, dinucleotide_shuffle

__all__ = [
    "LETTERS",
    "UNKNOWN",
    "between_flanks",
    "decode",
    "dinucleotide_shuffle",
    "distribution",
    "encode",
    "gc_content",
    "jitter",
    "kmer_counts",
    "kmer_names",
    "kmers",
    "log_odds",
    "match_scores",
    "matched",
    "matched_windows",
    "one_hot",
    "pvalue",
    "reverse_complement",
    "threshold",
]
