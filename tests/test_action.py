"""The action recipe, on films made here and on clips cut from real ones (AP3, AR20)."""

import numpy as np
import pytest
import torch
from test_video_folder import film

from sigconv import console
from sigconv.readers import video
from sigconv.recipes import _ridge, action
from sigconv.train import run

pytest.importorskip("av")
TINY = ["--size", "32", "--length", "9", "--stride", "1", "--batch-size", "8"]


def moving(path, step, seed):
    """Noise that goes right or left, of no colour: only motion tells."""
    x = np.random.default_rng(seed).integers(0, 256, (1, 1, 40, 40), np.uint8)
    x = np.repeat(np.repeat(x[..., ::4, ::4], 4, -1), 4, -2)
    path.parent.mkdir(parents=True, exist_ok=True)
    video.write(path, np.concatenate([np.roll(x, step * n, 3) for n in range(12)], 1), 25)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    home = tmp_path_factory.mktemp("films")
    for step, name in ((2, "right"), (-2, "left")):
        for number in range(12):
            moving(home / name / f"{number}.avi", step, number)
    return home


def test_ap3_it_learns_names_and_tells_what_was_lost(folder, tmp_path):
    for path in folder.glob("*/*.avi"):
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        (tmp_path / path.parent.name / path.name).write_bytes(path.read_bytes())
    (tmp_path / "left" / "torn.mp4").write_bytes(b"torn")
    words = ["--data-root", str(tmp_path), *TINY, "--clips", "2", "--epochs", "1", "--out", str(tmp_path / "runs")]
    record = run(action.action, words)
    metrics = record["metrics"]
    assert {"accuracy", "accuracy_one_clip", "accuracy_colour", "chance", "parameters"} <= set(metrics)
    assert metrics["bad_videos"] == 1
    assert record["test_size"] == 2
    again = run(action.action, words)["metrics"]
    assert again == metrics
    assert list((tmp_path / "runs").glob("action/*/plots/clip_1.png"))


def test_ap3_clips_cut_from_real_films_are_told_apart(data_root, tmp_path):
    films = sorted((data_root / "video" / "clips").glob("*.mp4")) + sorted(
        (data_root / "video" / "clips").glob("*.avi")
    )
    for path in films[:4]:
        for number in range(10):
            x, fs = video.read(path, start=4 * number, frames=12)
            (tmp_path / path.stem).mkdir(exist_ok=True)
            video.write(tmp_path / path.stem / f"{number}.avi", action.video.resize(x, 40), fs)
    words = ["--data-root", str(tmp_path), *TINY, "--epochs", "6", "--clips", "2", "--out", str(tmp_path / "runs")]
    metrics = run(action.action, words)["metrics"]
    assert metrics["accuracy"] >= 0.75, "chance is a quarter"


@pytest.mark.parametrize("model", action.MODELS)
def test_ar20_every_model_takes_clips_one_by_one_or_together(model, monkeypatch):
    monkeypatch.setitem(action.MODELS, model, (*action.MODELS[model][:2], 0.0625))
    net = action.Ready(model, 5).eval()
    x = torch.rand(3, 3, 16, 32, 32)
    with torch.no_grad():
        whole = net(x)
        torch.testing.assert_close(torch.cat([net(clip) for clip in x.split(1)]), whole)
    assert whole.shape == (3, 5)


def test_every_second_clip_is_mirrored_by_its_generator():
    x = torch.rand(40, 3, 2, 4, 5)
    generators = lambda: [torch.Generator().manual_seed(n) for n in range(40)]
    y = action.mirror(x, generators())
    turned = (y != x).flatten(1).any(1)
    assert torch.equal(y[turned], x[turned].flip(-1))
    assert 8 < turned.sum() < 32
    assert torch.equal(action.mirror(x[7:8], generators()[7:8]), y[7:8])


def test_the_baseline_sees_colours(tmp_path):
    for label, name in enumerate(("green", "black")):
        for number in range(5):
            film(tmp_path / name / f"{number}.avi", 1 - label, number)
    shape = {"length": 4, "stride": 2, "size": 16, "short_side": 20}
    assert action.colour(action.data.load(tmp_path, **shape)) == 1.0


def test_ridge_is_scikit_learns(monkeypatch):
    linear_model = pytest.importorskip("sklearn.linear_model")
    generator = torch.Generator().manual_seed(0)
    x = [3 + 2 * torch.randn(60, 4, generator=generator) for _ in range(3)]
    y = [(part[:, :2].sum(1) > 5).long() + (part[:, 2] > 4) for part in x]
    standard = [(part - x[0].mean(0)) / x[0].std(0) for part in x]
    right = {}
    for penalty in _ridge.PENALTIES:
        machine = linear_model.Ridge(60 * penalty).fit(standard[0], 2 * torch.nn.functional.one_hot(y[0], 3) - 1)
        monkeypatch.setattr(_ridge, "PENALTIES", (penalty,))
        np.testing.assert_allclose(_ridge.ridge(x, y, 3), machine.predict(standard[2]), atol=1e-5)
        right[penalty] = (machine.predict(standard[1]).argmax(1) == y[1].numpy()).mean()
    monkeypatch.setattr(_ridge, "PENALTIES", tuple(right))
    chosen = _ridge.ridge(x, y, 3)
    best = max(penalty for penalty in right if right[penalty] == max(right.values()))
    monkeypatch.setattr(_ridge, "PENALTIES", (best,))
    assert torch.equal(chosen, _ridge.ridge(x, y, 3)), "of those that choose as well the largest is taken"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "slowfast"], "--model 'slowfast' is not one of small"),
        (["--length", "8"], "--length 8 must be at least 9 for small"),
        (["--model", "c3d", "--size", "15"], "--size 15 must be at least 16 for c3d"),
        (["--clips", "0"], "--clips 0 must be at least 1"),
    ],
)
def test_wrong_words_are_refused_in_one_line(folder, tmp_path, words, message):
    with pytest.raises(console.UsageError, match=message):
        run(action.action, ["--data-root", str(folder), *words, "--out", str(tmp_path)])
