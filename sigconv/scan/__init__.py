"""Motifs along genomes: where known motifs match, on both strands, by exact log-odds and exact P values.

    from sigconv import scan
    found = scan.hits("JASPAR.txt", "genome.fa", pvalue=1e-4, jobs=2)    # arrays, in memory
    for found in scan.stream("JASPAR.txt", "genome.fa"): …              # the same in parts, in constant memory

A score is the sum over a window's letters of log2(probability in the motif / in the background), with a pseudocount per
cell; on the other strand that of the reverse complement, told by where the window starts on this one, from 0. No hit
covers an unknown letter, and none reaches from one record into the next.
"""

from sigconv.scan._background import background
from sigconv.scan._hits import Hits
from sigconv.scan._search import Search, hits, stream

__all__ = ["Hits", "Search", "background", "hits", "stream"]
