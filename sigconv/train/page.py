"""The page and the card a run leaves behind: question, results, pictures, and all it takes to do it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from sigconv import console
from sigconv.report import LONG, Page
from sigconv.train import card, pictures, results
from sigconv.train.environment import environment
from sigconv.train.job import Job

TRAINING = ("curves",)  # pictures that tell of training, not of results
LOOKS = ("first_layer", "second_layer", "strongest_inputs", "fantasies")  # and of what came of it
MOST_SHOWN = 4  # of those, unfolded
CAPTIONS = {
    "confusion": "Confusion matrix: rows are what items are, columns what they were taken for.",
    "calibration": "Is it right as often as it is sure? Items in fifteen bins of confidence; below, how many each has.",
    "curves": "How training went. Dashed: training set; solid: validation set. A dot stands at the best epoch.",
    "first_layer": "What the first layer looks for: its filters. Red is above 0; what stands in a row is on one scale.",
    "second_layer": "What the second layer makes of the first's answers: a row or a picture for each of its channels.",
    "strongest_inputs": "What some channels answer most strongly of the test set, and what in it the answer rests on, "
    "by two ways back through the network. Red is above 0.",
    "fantasies": "The input that the network would score highest for each class, were it only small: no test item.",
}


def write(recipe: Callable[..., Any], job: Job, record: dict[str, Any]) -> None:
    """report.html and README.md, the model card, into the run folder, from what the job gathered and the run's record.

    Draws the curves of all that was trained, a resumed run's earlier epochs included. Nothing is written without a
    folder.
    """
    if job.folder is None:
        return
    drawn = pictures.curves(job.rows)
    if drawn is not None:
        job.picture("curves", drawn)
    asked, since = results.question(recipe), results.began(job.folder)
    page = Page(asked.title)
    took = f"{console.duration(record['seconds'])} on {record['device']}"
    page.paragraph(f"{record['recipe']}, finished {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {took}.")
    if asked.fields:
        page.facts(asked.fields)
    if asked.rest:
        with page.folded("Command lines", folded=bool(asked.fields)):
            page.text(asked.rest)
    _results(page, job, record)
    _training(page, job)
    _looks(page, job)
    _again(page, job, record, since)
    page.save(job.folder / "report.html")
    card.write(asked, job, record, since)


def _results(page: Page, job: Job, record: Mapping[str, Any]) -> None:
    """Figures with what they are compared with, notes, tables, pictures."""
    page.heading("Results on the test set")
    header, rows = results.beside(record["metrics"])
    page.table(rows, header if len(header) > 2 else ())
    if job.test_size is not None:
        page.paragraph(f"{job.test_size:,} test items.")
    if len(header) > 2:
        with page.folded("The same figures by their names in result.json"):
            page.facts(record["metrics"])
    for note in job.notes:
        page.text(note)
    for name, (columns, lines) in job.tables.items():
        with page.folded(f"{name}: {len(lines)} rows", folded=len(lines) > LONG):
            page.table(lines, columns, caption=name)
    for name, png in job.pictures.items():
        if not name.startswith((*TRAINING, *LOOKS)):
            page.heading(name.replace("_", " "), level=3).picture(png, caption(name), alt=name)


def _training(page: Page, job: Job) -> None:
    """Every model's epochs, and the curves."""
    summary = _trained(job.rows)
    drawn = [name for name in job.pictures if name.startswith(TRAINING)]
    if not summary and not drawn:
        return
    page.heading("Training")
    if summary:
        with page.folded(f"{len(summary)} models", folded=len(summary) > LONG):
            page.table(summary, ["model", "epochs", "best epoch", "by", "training"])
    for name in drawn:
        page.picture(job.pictures[name], caption(name), alt=name)


def _looks(page: Page, job: Job) -> None:
    """What the networks look at: first layers, and what a recipe has drawn of later ones."""
    drawn = sorted((name for name in job.pictures if name.startswith(LOOKS)), key=_rank)
    if not drawn:
        return
    page.heading("What the network looks at")
    for name in drawn[:MOST_SHOWN]:
        page.picture(job.pictures[name], caption(name), alt=name)
    if len(drawn) > MOST_SHOWN:
        with page.folded(f"{len(drawn) - MOST_SHOWN} more"):
            for name in drawn[MOST_SHOWN:]:
                page.picture(job.pictures[name], caption(name), alt=name)


def _rank(name: str) -> int:
    return next(n for n, kind in enumerate(LOOKS) if name.startswith(kind))


def _trained(rows: list[dict[str, Any]]) -> list[list[Any]]:
    """A line for each model that fit measured: epochs, the best of them and by what, and the time of its training."""
    models: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if {"model", "epoch", "train_loss"} <= set(row):
            models.setdefault(row["model"], []).append(row)
    lines = []
    for name, found in models.items():
        best = pictures.best_epoch(found)
        by = best[1].replace("_", " ") if best else ""
        took = console.duration(found[-1].get("seconds") or 0)
        lines.append([name, found[-1]["epoch"], best[0] if best else None, by, took])
    return lines


def _again(page: Page, job: Job, record: Mapping[str, Any], since: dict[str, Any]) -> None:
    """Command lines, configuration, data, code, environment."""
    lines = results.commands(record)
    page.heading("To do it again").text(lines["again"], code=True)
    page.paragraph("A run that was stopped goes on, from its last checkpoint to the same bits, with")
    page.text(lines["resume"], code=True)
    git = since.get("git")
    if isinstance(git, dict):
        code = f"Code: commit {git.get('commit')} of {git.get('branch')}"
        if git.get("changed"):
            code += f", with changes that are not committed (SHA-256 of git diff HEAD: {git.get('diff_sha256')})"
        page.paragraph(f"{code}.")
    else:
        page.paragraph(f"Code: sigconv {since.get('sigconv')}, as installed.")
    exact = {name: repr(value) if isinstance(value, float) else value for name, value in record["config"].items()}
    page.heading("Configuration").facts(exact)
    page.paragraph("All randomness comes from the seed: an item's is a function of (seed, epoch, index).")
    page.heading("Data")
    if job.data:
        keys = list(dict.fromkeys(key for facts in job.data.values() for key in facts))
        page.table([[part, *(facts.get(key) for key in keys)] for part, facts in job.data.items()], ["part", *keys])
    else:
        page.paragraph("No data set was handed to training: see the recipe's description.")
    page.heading("Environment")
    with page.folded("Versions, machine, switches"):
        page.facts(results.flat({key: value for key, value in since.items() if key != "command"}))
    changed = _changed(since) if job.resuming else {}
    if changed:
        page.paragraph("When the run was gone on with, this had changed:").facts(changed)


def _changed(since: dict[str, Any]) -> dict[str, Any]:
    """What of the environment is otherwise now than when the run began."""
    before, now = results.flat(since), results.flat(environment())
    names = [name for name in dict.fromkeys([*before, *now]) if not name.startswith(("command", "slurm_job"))]
    return {
        name: f"{before.get(name, 'nothing')}, now {now.get(name, 'nothing')}"
        for name in names
        if before.get(name) != now.get(name)
    }


def caption(name: str) -> str:
    """What stands below a picture: of the general ones what they show, of a recipe's own its name.

    >>> caption("test_pictures"), caption("confusion_valid")[:23]
    ('Test pictures', 'valid: Confusion matrix')
    """
    known = next((kind for kind in CAPTIONS if name == kind or name.startswith(f"{kind}_")), None)
    if known is None:
        words = name.replace("_", " ")
        return words[:1].upper() + words[1:]
    rest = name[len(known) + 1 :].replace("_", " ")
    return f"{rest}: {CAPTIONS[known]}" if rest else CAPTIONS[known]
