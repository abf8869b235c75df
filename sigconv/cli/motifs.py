"""write what networks of a run look at as motifs, and what is known like them: sigconv motifs RUN -o FILE"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal

from sigconv import console
from sigconv.cli import _arguments, _networks, _outputs, _runs

USAGE = """usage: sigconv motifs RUN -o FILE.meme|.jaspar [--of patterns|filters] [--sequences FILE] [--match MOTIFS]
                      [--logo FILE.png] [--top N] [--data-root DIR] [--json] [--debug]

  RUN              the folder of a run of dna_binding, or one network that models.save_pretrained wrote
  -o FILE          MEME's minimal format, with probabilities, or JASPAR's, with counts; whole or not at all
  --of KIND        patterns (default): the runs of letters that the answers rest on, gathered by likeness;
                   filters: the windows that each filter of the first layer answers to
  --sequences FILE where to look for sites: FASTA (.fa .fasta .fna, plain or packed), or windows as DeepBind (.seq.gz)
                   and Zeng (train.data) have them, of which those that are bound (default: the run's own windows)
  --match MOTIFS   known motifs, MEME, JASPAR or TRANSFAC text: the likest of each is told, with its P and Q value
  --logo FILE.png  draw the motifs as sequence logos
  --top N          only the N that matter most
  --data-root DIR  where the run's windows are, if not where they were ($SIGCONV_DATA)
  --json           one JSON object on the last line of stdout

A pattern's use is its share of what all runs add to the answers, against shuffles of their sequences. Of a filter the
best window of each sequence counts, if it is answered half as strongly as any at least; its use is what it adds to the
answer to these sequences, less what it adds when those are shuffled, in units of the answer (log-odds).

  sigconv motifs runs/dna_binding/… -o motifs.meme --match JASPAR.txt --logo motifs.png
  sigconv motifs network/ -o motifs.jaspar --sequences peaks.fa"""

KINDS: dict[str, Any] = {
    "output": str,
    "of": str,
    "sequences": str,
    "match": str,
    "logo": str,
    "top": int,
    "data_root": str,
}
FORMATS: dict[str, Literal["meme", "jaspar"]] = {".meme": "meme", ".jaspar": "jaspar"}
FASTA = (".fa", ".fasta", ".fna", ".ffn", ".mfa")
PACKED = (".gz", ".bgz")
MOST_LETTERS = 1 << 28  # of all sequences, each as long as the longest
LONGEST = 1 << 20
DRAWN = 24  # logos in a picture


def main(arguments: list[str]) -> int:
    """sigconv motifs RUN -o FILE.meme|.jaspar [--sequences FILE] [--match MOTIFS] [--logo FILE.png] …"""
    if {"--help", "-h"} & set(arguments) or not arguments:
        console.show(USAGE)
        return 0 if arguments else 2
    options, folder = _read(arguments)
    begun = time.monotonic()
    from sigconv import explain
    from sigconv.readers import motif

    known = motif.read(options["match"]) if options["match"] else []
    networks = _networks.load(folder)
    tokens = _sequences(options["sequences"]) if options["sequences"] else _windows(folder, options["data_root"])
    if options["of"] == "filters":
        found = [(one.motif, one.use) for one in explain.detectors(networks, tokens, top=options["top"])]
    else:
        found = [(one.motif, one.share) for one in explain.patterns(networks, tokens, top=options["top"])]
    if not found:
        raise ValueError(f"the networks of {folder!r} answer to nothing that {len(tokens)} sequences have in common")
    motifs = [one for one, _ in found]
    motif.write(options["output"], motifs, format=FORMATS[Path(options["output"]).suffix])
    rows = _rows(found, known)
    if options["logo"]:
        _draw(options["logo"], motifs, rows)
    record = {"run": folder, "networks": len(networks), "sequences": len(tokens), "motifs": len(found), "table": rows}
    record |= {"file": options["output"], "logo": options["logo"], "seconds": round(time.monotonic() - begun, 3)}
    if options["json"]:
        console.answer(record)
    else:
        console.show(_table(rows, bool(known)) + f"\n{options['output']}")
    return 0


def _windows(folder: str, root: str | None) -> Any:
    """The windows a run of dna_binding was trained with, those that are bound."""
    from sigconv.datasets import chip_seq
    from sigconv.recipes import _binding

    config = _runs.read(Path(folder)).config
    if "factor" not in config:
        raise console.UsageError(f"{folder!r} does not say which windows it was trained with: give --sequences FILE")
    known = {name: config[name] for name in ("factor", "task", "strongest", "seed") if config.get(name) is not None}
    train = chip_seq.load(root or config.get("data_root"), **known).train
    return train.x[train.y == 1][: _binding.SHOWN]  # as the run itself does


def _sequences(path: str) -> Any:
    """The sequences of a file as tokens, shorter ones amid unknown letters; of windows those that are bound."""
    from sigconv.readers import fasta, seq
    from sigconv.transforms import dna

    stem = Path(path.lower())
    name = stem.stem if stem.suffix in PACKED else stem.name
    if name.endswith(FASTA):
        texts = [text for _, text in fasta.read(path)]
    else:
        rows = seq.read(path)
        texts = [row.sequence for row in rows if row.bound] or [row.sequence for row in rows]
    longest = max(map(len, texts))
    if longest > LONGEST or longest * len(texts) > MOST_LETTERS:
        raise ValueError(
            f"{path!r} has {len(texts)} sequences of up to {longest} letters: expected windows, not genomes"
        )
    return dna.encode(texts, length=longest)


def _rows(found: list[tuple[Any, float]], known: list[Any]) -> list[dict[str, Any]]:
    """What is told of each motif and its use: itself, and the known one that is most like it."""
    from sigconv import explain

    rows: list[dict[str, Any]] = [
        {"motif": one.name, "consensus": one.consensus, "sites": round(one.sites), "use": use} for one, use in found
    ]
    best = explain.matches([one for one, _ in found], known, most=1) if known else []
    names = {motif.name: motif.alternate for motif in known}
    for row, match in zip(rows, best, strict=False):
        row |= {"match": match.target, "match_name": names[match.target], "pvalue": match.pvalue}
        row |= {"qvalue": match.qvalue, "strand": match.strand, "offset": match.offset, "overlap": match.overlap}
    return rows


def _draw(path: str, found: list[Any], rows: list[dict[str, Any]]) -> None:
    from sigconv import files, plot

    if len(found) > DRAWN:
        console.say(f"{path!r} has the first {DRAWN} of {len(found)} motifs")
    titles = [
        f"{row['motif']}, {row['sites']} sites"
        + (f", like {_name(row)}, q {row['qvalue']:.1g}" if "match" in row else "")
        for row in rows[:DRAWN]
    ]
    figure, _ = plot.logo([one.matrix for one in found[:DRAWN]], titles, background=found[0].background)
    with files.writing(path) as file:
        file.write(plot.png(figure))


def _name(row: dict[str, Any]) -> str:
    return f"{row['match']} {row['match_name']}".strip()


def _table(rows: list[dict[str, Any]], matched: bool) -> str:
    """The motifs in columns."""
    cells = [["motif", "sites", "use", "consensus", *(["like", "p", "q"] if matched else [])]]
    for row in rows:
        cells.append([row["motif"], str(row["sites"]), f"{row['use']:.3g}", row["consensus"]])
        if matched:
            cells[-1] += [_name(row), f"{row['pvalue']:.1e}", f"{row['qvalue']:.1e}"]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(f"{c:<{w}}" for c, w in zip(line, widths, strict=True)).rstrip() for line in cells)


def _read(arguments: list[str]) -> tuple[dict[str, Any], str]:
    """Options and the run's folder, or one line that says what is wrong."""
    options, folders = _arguments.read(arguments, KINDS, {"-o": "--output"})
    if len(folders) != 1:
        raise console.UsageError(f"motifs takes one RUN, not {len(folders)}: {' '.join(folders)}")
    if options["output"] is None:
        raise console.UsageError("where to? -o FILE.meme or -o FILE.jaspar")
    for key, suffixes in (("output", tuple(FORMATS)), ("logo", (".png",))):
        read = (options["match"], options["sequences"])
        _outputs.place(options[key], "-o" if key == "output" else "--logo", suffixes, read)
    if options["of"] not in (None, "patterns", "filters"):
        raise console.UsageError(f"--of {options['of']!r} is not one of patterns, filters")
    if options["top"] is not None and options["top"] < 1:
        raise console.UsageError(f"--top {options['top']} must be at least 1")
    return options, folders[0]
