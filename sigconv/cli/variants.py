"""tell what variants of a genome do to a network's answer: sigconv variants VCF FASTA RUN -o FILE.tsv"""

from __future__ import annotations

import math
import time
from typing import Any

from sigconv import console
from sigconv.cli import _arguments, _networks, _outputs

USAGE = """usage: sigconv variants VCF FASTA RUN [-o FILE.tsv] [--length N] [--target CLASS] [--json] [--debug]

  VCF              variants, plain or packed; letters for letters: substitutions, insertions, deletions
  FASTA            the genome, plain or packed by bgzip; its index FILE.fai is made if there is none
  RUN              the folder of a run of dna_binding, whose networks answer in the mean, or one network that
                   models.save_pretrained wrote
  -o FILE          write there, whole or not at all (else to stdout)
  --length N       letters of a window (those the network was built for)
  --target CLASS   the output that is meant, from 0, of a network with more than two
  --json           one JSON object on the last line of stdout

Columns: chrom pos id ref alt ref_score alt_score difference note, pos from 1. Scores are the network's answers to a
window with the reference's letters and to one with the variant's, the variant in its middle: log-odds of binding.
Letters beyond a chromosome's ends are unknown. A variant has no scores (NA) and a note that says why if its REF is not
what the genome has there, if its place or chromosome is not in the genome, or if it is longer than the window; such are
listed on stderr too, and the exit code is 3. One whose ALT is no letters (<DEL>, *, a breakend) has a note alone.

  sigconv variants patient.vcf.gz hg38.fa runs/dna_binding/… -o effects.tsv"""

KINDS: dict[str, Any] = {"output": str, "length": int, "target": int}
HEADER = b"chrom\tpos\tid\tref\talt\tref_score\talt_score\tdifference\tnote\n"
LONGEST = 1 << 22  # letters of a window
LISTED = 20  # variants without scores that are told one by one


def main(arguments: list[str]) -> int:
    """sigconv variants VCF FASTA RUN [-o FILE.tsv] [--length N] [--target CLASS] [--json]"""
    if {"--help", "-h"} & set(arguments) or not arguments:
        console.show(USAGE)
        return 0 if arguments else 2
    options, (variants, fasta, folder) = _read(arguments)
    begun = time.monotonic()
    counts = _score(variants, fasta, folder, options)
    record = {"run": folder, **counts, "file": options["output"], "seconds": round(time.monotonic() - begun, 3)}
    if counts["failed"] > LISTED:
        console.say(f"{counts['failed'] - LISTED} more variants have no scores: see the column note")
    if options["json"]:
        console.answer(record)
    elif options["output"]:
        console.show("  ".join(f"{key} {value}" for key, value in record.items()))
    return 3 if counts["failed"] else 0


def _score(variants: str, fasta: str, folder: str, options: dict[str, Any]) -> dict[str, int]:
    """Write a line for each variant; how many there were, with scores, without them, and that none could have."""
    from sigconv import explain, models
    from sigconv.readers import vcf
    from sigconv.readers.fasta import Genome

    networks = _networks.load(folder)
    length = models.usual_shape(networks[0])[-1] if options["length"] is None else options["length"]
    total = sum(1 for _ in vcf.read(variants))  # a file that breaks off is known before anything is computed
    counts = {"variants": 0, "scored": 0, "symbolic": 0, "failed": 0}
    with (
        Genome(fasta) as genome,
        _outputs.lines(options["output"]) as write,
        console.progress("variants", total) as step,
    ):
        write(HEADER)
        found = explain.effects(networks, vcf.read(variants), genome, length=length, target=options["target"])
        for effect in found:
            write(_line(effect))
            counts["variants"] += 1
            counts["failed" if effect.failed else "symbolic" if effect.note else "scored"] += 1
            if effect.failed and counts["failed"] <= LISTED:
                console.say(f"{effect.variant.chrom}:{effect.variant.start + 1} {effect.note}")
            step(counts["variants"])
    return counts


def _line(effect: Any) -> bytes:
    chrom, start, name, ref, alt = effect.variant
    scores = (effect.reference, effect.alternate, effect.difference)
    numbers = ["NA" if math.isnan(score) else f"{score:.6g}" for score in scores]
    return ("\t".join([chrom, str(start + 1), name or ".", ref, alt, *numbers, effect.note]) + "\n").encode()


def _read(arguments: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Options and what is read, or one line that says what is wrong."""
    options, paths = _arguments.read(arguments, KINDS, {"-o": "--output"})
    if len(paths) != 3:
        raise console.UsageError(f"variants takes VCF, FASTA and RUN, not {len(paths)}: {' '.join(paths)}")
    for name, least, most in (("length", 1, LONGEST), ("target", 0, 1 << 30)):
        if options[name] is not None and not least <= options[name] <= most:
            raise console.UsageError(f"--{name} {options[name]} must be {least} to {most}")
    _outputs.place(options["output"], inputs=paths)
    return options, paths
