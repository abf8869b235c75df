"""Texture features: do the energies of a fixed Gabor bank tell materials apart better than the voxels themselves?

Question  from which phantom, or which tissue, was a small cube cut?
Data      IBSI digital phantoms (--source phantoms) or the MNI T1 template (--source tissue); training, choosing and
          testing cubes come from different slabs
Model     energies of 3-D Gabor filters (three wavelengths, thirteen directions) averaged over the cube, and the
          cube's mean; a ridge classifier, its penalty chosen by the validation cubes. The filters are fixed
Baseline  the same classifier on the voxels as they are, and on their mean and standard deviation
Source    Bovik et al. 1990 (Gabor energies as texture channels); the banks of sigconv.filters.gabor

  sigconv run texture_features --data-root DIR                      phantoms
  sigconv run texture_features --data-root DIR --source tissue      grey matter, white matter, their border
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from sigconv import console, plot
from sigconv.datasets import texture_patches as data
from sigconv.filters import _pictures, gabor
from sigconv.train import confusion, run
from sigconv.train.job import Job

PENALTIES = tuple(10.0**power for power in range(-1, 7))


def texture_features(
    job: Job,
    *,
    data_root: Path | None = None,
    source: str = "phantoms",
    size: int = 8,
    wavelengths: tuple[float, ...] = (3.0, 4.5, 7.0),
    directions: int = 13,
    epochs: int = 0,
    lr: float = 0.0,
    batch_size: int = 64,
) -> dict[str, Any]:
    """Classify cubes by what a Gabor bank finds in them.

    Args:
        data_root: folder that holds volumes/ibsi2/ and volumes/mni152/; else $SIGCONV_DATA
        source: phantoms or tissue
        size: voxels along a cube's edge
        wavelengths: of the Gabor bank, in voxels
        directions: of the Gabor bank, over half of the sphere
        epochs: of no use here, as the classifier is solved for
        lr: of no use here
        batch_size: cubes filtered at a time
    """
    if source not in data.SOURCES:
        raise console.UsageError(f"--source {source!r} is not one of {', '.join(data.SOURCES)}")
    for name, number, least in (("size", size, 2), ("directions", directions, 1), ("batch-size", batch_size, 1)):
        if number < least:
            raise console.UsageError(f"--{name} {number} must be at least {least}")
    if not wavelengths or min(wavelengths) < 2:
        raise console.UsageError(f"--wavelengths {list(wavelengths)} must be at least 2 voxels each, such as [4,8]")
    parts = data.load(data_root, source=source, size=size, seed=job.seed)
    bank = gabor.pyramid(3, wavelengths=wavelengths, directions=directions, dc_free=True, truncate=2.5)
    bank = bank.to("cuda" if job.device == "cuda" else "cpu")
    views = {
        "gabor": [features(bank, part.x, batch_size, job.device) for part in parts],
        "voxels": [part.x.flatten(1).numpy() for part in parts],
        "statistics": [statistics(part.x) for part in parts],
    }
    labels = [part.y.numpy() for part in parts]
    metrics: dict[str, Any] = {}
    for name, rows in views.items():
        predicted, penalty, chosen = classify(rows, labels)
        accuracy = float((predicted == labels[2]).mean())
        job.say(f"{name:<12} {accuracy:.4f}   (penalty {penalty:g}, {chosen:.4f} of the validation cubes)")
        metrics["accuracy" if name == "gabor" else f"accuracy_{name}"] = accuracy
        if name == "gabor":
            scores = torch.nn.functional.one_hot(torch.from_numpy(predicted), len(parts.test.classes)).float()
            counts = confusion(scores, parts.test.y, classes=len(parts.test.classes))
            job.picture("confusion", plot.confusion(counts, parts.test.classes, title="Gabor energies")[0])
    job.picture("one_cube_of_each_class", _cubes(parts.test))
    job.picture("bank", _pictures.kernels(bank.to("cpu"))[0])
    job.tested_on(parts.test)
    metrics["chance"] = float(np.bincount(labels[2]).max() / len(labels[2]))
    return metrics | {"train_size": len(parts.train), "features": views["gabor"][0].shape[1]}


def features(bank: Any, x: torch.Tensor, batch_size: int, device: str) -> np.ndarray:
    """Mean energies, on a logarithmic scale, and the mean: (n, filters + 1). A cube sees no neighbour, only itself."""
    found = []
    with torch.no_grad():
        for batch in x.split(batch_size):
            energy = bank(batch.to(device), output="energy", padding_mode="symmetric").mean((2, 3, 4)).cpu()
            found.append(torch.cat([torch.log(energy + 1e-3), batch.mean((2, 3, 4))], 1))
    return torch.cat(found).numpy()


def statistics(x: torch.Tensor) -> np.ndarray:
    """Mean and standard deviation of every cube."""
    return torch.stack([x.mean((1, 2, 3, 4)), x.std((1, 2, 3, 4))], 1).numpy()


def classify(rows: list[np.ndarray], labels: list[np.ndarray]) -> tuple[np.ndarray, float, float]:
    """Predictions for the test rows by a ridge classifier; its penalty and what that reached on the validation rows."""
    from sklearn.linear_model import RidgeClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    best: tuple[float, float, Any] = (-1.0, 0.0, None)
    for penalty in PENALTIES:
        model = make_pipeline(StandardScaler(), RidgeClassifier(penalty, solver="svd")).fit(rows[0], labels[0])
        score = float(model.score(rows[1], labels[1]))
        if score > best[0]:
            best = (score, penalty, model)
    return best[2].predict(rows[2]), best[1], best[0]


def _cubes(part: Any) -> Any:
    """The middle slice of the first cube of every class."""
    first = [int((part.y == label).nonzero()[0]) for label in part.y.unique()]
    middle = part.x.shape[-1] // 2
    names = [part.classes[int(part.y[index])] for index in first]
    return plot.images([part.x[index, 0, middle] for index in first], names, columns=4)[0]


if __name__ == "__main__":
    run(texture_features)
