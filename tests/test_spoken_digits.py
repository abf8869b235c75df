"""The spoken digits recipe: splits, front ends, sharing, listening, whatever the speakers are called."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from made import speak
from torch import nn

from sigconv.datasets import spoken_digits as data
from sigconv.recipes import _listening, _speech
from sigconv.recipes import front_end_study as study
from sigconv.recipes import spoken_digits as digits
from sigconv.train import run, seeds
from sigconv.transforms.speech import FRONT_ENDS, front_end

FS = 8000
SPEAKERS = ("ann_b", "Łukasz")


@pytest.fixture(scope="module")
def made_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    speak(root / "fsdd" / "recordings", SPEAKERS, range(4, 7))
    return root


def ran(made_root, tmp_path, *words):
    return run(digits.spoken_digits, ["--data-root", str(made_root), "--epochs", "1", "--out", str(tmp_path), *words])


@pytest.mark.parametrize("speaker", [None, "Łukasz"])
def test_ap1_spoken_digits_of_any_speakers(tmp_path, made_root, speaker):
    record = ran(made_root, tmp_path, *(["--test-speaker", speaker] if speaker else []))
    assert record["test_size"] == (30 if speaker else 20)
    assert {"accuracy", "accuracy_one_view", "accuracy_kernel_ridge", "parameters"} == set(record["metrics"])
    assert record["metrics"]["parameters"] == 246_706
    drawn = {"confusion.png", "calibration.png", "first_layer.png", "test_pictures.png"}
    assert drawn <= set(os.listdir(f"{record['run_folder']}/plots"))


def test_ap1_every_speaker_in_turn_is_left_out(tmp_path, made_root):
    record = ran(made_root, tmp_path, "--split", "speaker", "--averaged", "false")
    metrics = record["metrics"]
    each = [metrics[f"accuracy_of_{speaker}"] for speaker in SPEAKERS]
    assert record["test_size"] == 60
    assert metrics["accuracy"] == pytest.approx(sum(each) / 2)
    assert metrics["accuracy_worst"] == min(each)
    assert len(list(Path(record["run_folder"]).glob("*.safetensors"))) == 2


@pytest.mark.parametrize("sharing", ["full", "limited", "none"])
def test_ap1_weights_are_shared_along_frequency_as_asked(tmp_path, made_root, sharing):
    record = ran(made_root, tmp_path, "--sharing", sharing, "--averaged=false", "--augmented=false")
    maps, sections = _speech.MAPS[sharing], {"full": 1, "limited": 14, "none": 33}[sharing]
    convolution = sections * (maps * 3 * 8 * 9 + maps)
    dense = maps * 14 * 128 + 128
    norms = 2 * maps + 2 * 128
    assert record["metrics"]["parameters"] == convolution + norms + dense + 128 * 10 + 10


def test_b2_learned_filters_are_told_beside_the_frozen_control(tmp_path, made_root):
    record = ran(made_root, tmp_path, "--front-end", "sinc", "--learned", "--averaged=false", "--sharing", "none")
    metrics = record["metrics"]
    assert {"accuracy", "accuracy_frozen", "accuracy_learned", "drift_moved", "drift_furthest", "drift_widened"} <= set(
        metrics
    )
    assert metrics["drift_moved"] > 0
    assert Path(record["run_folder"], "plots", "filters.png").exists()


@pytest.mark.parametrize("kind", FRONT_ENDS)
def test_b2_every_front_end_stands_before_every_network(kind):
    front = front_end(kind, FS)
    for sharing in (None, *_speech.SHARING):
        model = _speech.Classifier(front, _speech.network(front, 10, sharing)).eval()
        assert model(torch.randn(2, 1, 4000)).shape == (2, 10)


@pytest.mark.parametrize("kind", ["log_mel", "gabor", "sinc", "raw"])
def test_loudness_and_silence_around_a_word_do_not_change_its_picture(kind):
    eye = _speech.Classifier(front_end(kind, FS), nn.Identity())
    sound = torch.zeros(1, 1, 8000)
    sound[..., 3000:5000] = torch.randn(2000, generator=torch.Generator().manual_seed(0))
    picture = eye.picture(sound)
    torch.testing.assert_close(eye.picture(1000 * sound), picture, atol=1e-3, rtol=1e-3)
    # a frame of the loudness may fall otherwise: a few hundredths of a deviation
    torch.testing.assert_close(eye.picture(sound.roll(1000, -1)), picture.roll(10, -1), atol=0.05, rtol=0.05)
    assert torch.isfinite(eye.picture(torch.zeros(1, 1, 8000))).all(), "silence is a picture too (N23)"


def test_no_clip_changes_anothers_answer():
    """What is tested is normalised by itself alone: no other clip, and so no other speaker, has a part in it."""
    front = front_end("log_mel", FS)
    model = _speech.Classifier(front, _speech.network(front, 10)).eval()
    x = torch.randn(3, 1, 4000)
    torch.testing.assert_close(model(x)[1:2], model(x[1:2]), atol=1e-5, rtol=1e-4)


def test_recordings_of_another_rate_and_length_are_brought_to_one(tmp_path):
    folder = tmp_path / "fsdd" / "recordings"
    speak(folder, ("ann",), range(4, 6))
    speak(tmp_path / "other", ("bob",), range(4, 6), fs=16_000)
    for path in (tmp_path / "other").iterdir():
        sound, fs = soundfile.read(path)
        long = np.concatenate(
            [np.zeros(2 * fs), sound, np.zeros(fs // 2)]
        )  # a word late in two silent seconds and more
        soundfile.write(folder / path.name, np.stack([long, long], 1), fs)
    whole = data.everything(tmp_path)
    assert whole.x.shape == (40, 1, FS)
    bobs = whole.subset(torch.tensor([who == "bob" for who in whole.speakers]).nonzero().flatten())
    loud = bobs.x.square().mean((1, 2)).sqrt()
    assert (loud > 0.05).all(), "the word is in what was kept"


def test_a_trained_run_listens_to_a_file_without_its_data(tmp_path, monkeypatch):
    monkeypatch.setattr(_listening, "SURE", 0.0)  # after one epoch it is sure of nothing
    made_root = tmp_path / "root"
    speak(made_root / "fsdd" / "recordings", SPEAKERS, range(4, 7))
    trained = ran(made_root, tmp_path, "--members", "2", "--averaged=false")
    words = [np.pad(soundfile.read(path)[0], 3000) for path in sorted((made_root / "fsdd/recordings").iterdir())[:4]]
    soundfile.write(tmp_path / "long.wav", np.concatenate(words), FS)
    again = ["--resume", trained["run_folder"], "--listen", str(tmp_path / "long.wav")]
    before = {path: path.read_bytes() for path in Path(trained["run_folder"]).rglob("*.*") if path.name != "log.txt"}
    made_root.rename(made_root.with_name("away"))  # a trained run needs no data to listen
    record = run(digits.spoken_digits, again)
    assert record["metrics"] == trained["metrics"]
    assert all(path.read_bytes() == content for path, content in before.items()), "the run is as it was"
    rows = Path(record["run_folder"], "heard-long.tsv").read_text(encoding="utf-8").splitlines()
    assert rows[0].split("\t") == ["begin", "end", "word", "probability"]
    assert len(rows) == 5
    begins = [float(row.split("\t")[0]) for row in rows[1:]]
    at = np.cumsum([0] + [len(word) for word in words[:-1]]) / FS + 3000 / FS
    np.testing.assert_allclose(begins, at, atol=0.1)


def test_a_file_to_listen_to_that_is_not_there_is_said_before_training(tmp_path, made_root):
    with pytest.raises((ValueError, OSError), match=r"nowhere\.wav"):
        ran(made_root, tmp_path, "--listen", "nowhere.wav")
    assert not list(tmp_path.glob("spoken_digits/*"))


def studied(made_root, tmp_path, *words):
    few = ["--front-ends", "log_mel", "--sharings", "full", "--ways", "1", "--epochs", "1"]
    return run(study.front_end_study, ["--data-root", str(made_root), "--out", str(tmp_path), *few, *words])


def test_b2_the_study_fills_its_table_and_goes_on_where_it_was(tmp_path, made_root):
    record = studied(made_root, tmp_path)
    metrics = record["metrics"]
    assert {"log_mel_frozen_full", "log_mel_learned_full", "log_mel_learned_full_worst"} <= set(metrics)
    assert metrics["log_mel_learned_moved"] > 0
    lines = Path(record["run_folder"], "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 2 * len(SPEAKERS)
    assert all(row["moved"] == 0 for row in rows if row["mode"] == "frozen")
    Path(record["run_folder"], "metrics.jsonl").write_text("\n".join(lines[:-1]) + '\n{"cut')
    Path(record["run_folder"], "result.json").unlink()
    again = studied(made_root, tmp_path, "--resume", record["run_folder"])
    assert again["metrics"] == metrics


def test_the_studys_fixed_and_learned_cells_start_alike():
    waves = torch.randn(2, 3, 1, 4000)
    fixed, learned = (front_end("raw", FS, learnable=on) for on in (False, True) if seeds.everything(0) is None)
    torch.testing.assert_close(fixed(waves[0]), learned(waves[0]))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--split", "random"], "split 'random' is not one of"),
        (["--front-end", "mfcc"], "front end 'mfcc' is not one of"),
        (["--sharing", "some"], "sharing 'some' is not one of"),
        (["--test-speaker", "nobody"], "test speaker 'nobody' is not one of"),
    ],
)
def test_mistakes_are_said_before_any_training(tmp_path, made_root, words, message):
    with pytest.raises(ValueError, match=message):
        ran(made_root, tmp_path, *words)


def test_members_hear_other_variants_and_answer_together(tmp_path, made_root):
    record = ran(made_root, tmp_path, "--members", "2", "--averaged=false")
    assert {"accuracy", "accuracy_one_member"} <= set(record["metrics"])
    assert sorted(path.stem for path in Path(record["run_folder"]).glob("*.safetensors")) == ["model", "model_1"]
    one, other = (_speech.others([seeds.generator(0, 1, 2)], member)[0] for member in (0, 1))
    assert torch.rand((), generator=one) != torch.rand((), generator=other)


def test_f17_the_study_does_not_go_on_with_other_recordings(tmp_path, made_root):
    record = studied(made_root, tmp_path, "--modes", "frozen")
    other = tmp_path / "other"
    speak(other / "fsdd" / "recordings", SPEAKERS, range(4, 8))
    words = ["--modes", "frozen", "--resume", record["run_folder"], "--data-root", str(other)]
    with pytest.raises(ValueError, match="has trainings on other data"):
        run(study.front_end_study, words)
