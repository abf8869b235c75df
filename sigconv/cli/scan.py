"""find motifs along a genome, both strands, by exact P values: sigconv scan MOTIFS FASTA -o FILE"""

from __future__ import annotations

import os
import time
from typing import Any

from sigconv import console, files
from sigconv.cli import _arguments, _outputs

USAGE = """usage: sigconv scan MOTIFS FASTA [--pvalue P | --threshold BITS] [-o FILE] [--format tsv|bed]
                    [--strand both|+|-] [--regions BED] [--background B] [--pseudocount C]
                    [--jobs N] [--device D] [--json] [--debug]

  MOTIFS           position frequency matrices: JASPAR, MEME or TRANSFAC text, plain or gzip, one or many
  FASTA            sequences or a genome, plain or gzip; read in pieces, whatever its size
  --pvalue P       a hit scores what chance reaches at a place with probability P at most, exactly computed for
                   each motif (1e-4)
  --threshold BITS a hit scores so many bits or more, the same for all motifs, in place of --pvalue
  -o FILE          write there, whole or not at all (else to stdout as they are found)
  --format         tsv: motif sequence start strand score, under a line of these names (default)
                   bed: sequence start end motif score strand
  --strand         which strand of the sequences to look at: both (default), + or -
  --regions BED    hits within these intervals only (overlapping ones count as one)
  --background B   how often A, C, G, T come elsewhere: uniform (default), four numbers 0.3,0.2,0.2,0.3, or a file
                   as MEME's fasta-get-markov writes it
  --pseudocount C  added to every cell of a matrix of counts (0.25)
  --jobs N         threads (as many as there are cores to use)
  --device D       cpu (default), cuda, or auto: cuda where there is one; the hits are the same
  --json           one JSON object on the last line of stdout

A score is a sum over the letters of a window, log2(probability in the motif / in the background): bits. A start counts
from 0 on the + strand, for hits on either. No hit covers an N, or any other letter than A, C, G, T, U. Hits come by
sequence, then start, then motif. Motifs too short to be as rare as P have no hits, and are named.

  sigconv scan JASPAR.txt hg38.fa.gz --pvalue 1e-5 --format bed -o hits.bed
  sigconv scan motifs.meme peaks.fa --threshold 8 --strand + > hits.tsv"""

KINDS: dict[str, Any] = {
    "pvalue": float,
    "threshold": float,
    "output": str,
    "format": str,
    "strand": str,
    "regions": str,
    "background": str,
    "pseudocount": float,
    "jobs": int,
    "device": str,
}
MOST_BYTES, MOST_JOBS = 1 << 40, 256
PACKED = 4  # letters to a byte of a packed file, about
HEADER = b"motif\tsequence\tstart\tstrand\tscore\n"


def main(arguments: list[str]) -> int:
    """sigconv scan MOTIFS FASTA [--pvalue P | --threshold BITS] [-o FILE] [--format tsv|bed] …"""
    if {"--help", "-h"} & set(arguments) or not arguments:
        console.show(USAGE)
        return 0 if arguments else 2
    options, paths = _read(arguments)
    begun = time.monotonic()
    files.size_of(paths[1], MOST_BYTES)  # that it is there is known before the motifs are made ready
    search = _search(paths[0], options)
    if search.idle:
        bits, shown = options["threshold"], ", ".join(search.idle[:3]) + (" …" if len(search.idle) > 3 else "")
        least = f"--pvalue {options['pvalue'] or 1e-4:g}" if bits is None else f"--threshold {bits:g}"
        console.say(f"{len(search.idle)} of {len(search.names)} motifs cannot reach {least}: no hits of {shown}")
    done = _scan(search, paths[1], options)
    record = {"motifs": len(search.names), "idle": len(search.idle), **done, "file": options["output"]}
    record["seconds"] = round(time.monotonic() - begun, 3)
    if options["json"]:
        console.answer(record)
    elif options["output"]:
        console.show("  ".join(f"{key} {value}" for key, value in record.items()))
    return 0


def _search(motifs: str, options: dict[str, Any]) -> Any:
    """The motifs with their thresholds; an option out of its range is a matter of usage, a bad file is not."""
    from sigconv import scan
    from sigconv.readers import motif

    found = motif.read(motifs)
    taken = ("threshold", "pvalue", "pseudocount", "device")
    given = {name: options[name] for name in taken if options[name] is not None}
    base = scan.background(options["background"] or "uniform")
    try:
        return scan.Search(found, background=base, strand=options["strand"] or "both", **given)
    except ValueError as error:
        raise console.UsageError(str(error)) from None


def _scan(search: Any, fasta: str, options: dict[str, Any]) -> dict[str, int]:
    """Find and write; how many sequences, letters and hits there were."""
    letters = hits = sequences = 0
    total = files.size_of(fasta, MOST_BYTES) * (PACKED if fasta.endswith("gz") else 1)
    with _outputs.lines(options["output"]) as write, console.progress("scan", total) as step:

        def told(more: int, name: str) -> None:
            nonlocal letters
            letters += more
            step(min(letters, total), name)

        jobs = options["jobs"] or min(_cores(), MOST_JOBS)
        parts = search.stream(fasta, regions=options["regions"], jobs=jobs, told=told)
        if options["format"] != "bed":
            write(HEADER)
        for found in parts:
            hits += len(found)
            write(found.lines(options["format"] or "tsv"))
            sequences = len(found.sequences)
    return {"sequences": sequences, "letters": letters, "hits": hits}


def _cores() -> int:
    """As many cores as this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _read(arguments: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Options and the two files, or one line that says what is wrong."""
    options, paths = _arguments.read(arguments, KINDS, {"-o": "--output"})
    if len(paths) != 2:
        raise console.UsageError(f"scan takes MOTIFS and FASTA, not {len(paths)} files: {' '.join(paths)}")
    if options["format"] not in (None, "tsv", "bed"):
        raise console.UsageError(f"--format {options['format']!r} is not one of tsv, bed")
    if options["jobs"] is not None and not 1 <= options["jobs"] <= MOST_JOBS:
        raise console.UsageError(f"--jobs {options['jobs']} must be 1 to {MOST_JOBS}")
    _outputs.place(options["output"], inputs=(*paths, options["regions"], options["background"]))
    return options, paths
