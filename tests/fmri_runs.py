"""Small studies of fMRI in the layouts of OpenfMRI and BIDS, made for tests."""

import numpy as np

from sigconv.readers import nifti

STEP, KINDS = 2.0, ("face", "house")


def made(root, runs=4, bids=False, step=STEP, shape=(5, 4, 2), volumes=40, table=None):
    """Runs in which voxel (1, 1, 0) is bright while faces are seen, amid a trend."""
    rng = np.random.default_rng(0)
    for number in range(runs):
        x = 500 + rng.normal(size=(*shape, volumes)) + 3 * np.arange(volumes) + 1e-3 * np.arange(volumes) ** 3
        events = [(8.0, 12.0, KINDS[number % 2]), (40.0, 12.0, KINDS[1 - number % 2])]
        for onset, duration, kind in events:
            if kind == "face":
                x[1, 1, 0, round(onset / STEP) : round((onset + duration) / STEP)] += 30
        text = table or "onset\tduration\ttrial_type\n" + "".join(f"{o}\t{d}\t{k}\n" for o, d, k in events)
        if bids:
            place = root / "sub-07" / "func"
            scan, events_at = (place / f"sub-07_task-see_run-{number}_{kind}" for kind in ("bold.nii", "events.tsv"))
        else:
            place = root / "fmri" / "haxby2001" / "sub007" / "BOLD" / f"task001_run{number:03}"
            scan, events_at = place / "bold_tiny.nii.gz", place / "bold_events.tsv"
        place.mkdir(parents=True, exist_ok=True)
        nifti.write(scan, x.astype(np.float32), np.diag([3.0, 3, 4, 1]), spacing=(step,))
        events_at.write_text(text)
    return root
