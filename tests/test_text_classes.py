"""Texts in folders, their made corpus, and the recipe that tells them apart (AP4, AR20)."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from sigconv import console
from sigconv.datasets import _stdlib_text
from sigconv.datasets import text_folder as data
from sigconv.recipes import text_classes as recipe
from sigconv.train import run

WORDS = {
    "birds": "wren robin heron finch eagle",
    "trees": "birch maple cedar beech aspen",
    "ores": "iron zinc 42 17 99",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three classes of twelve files, each of its own words in a random order."""
    root, random = tmp_path_factory.mktemp("texts"), np.random.default_rng(0)
    for name, words in WORDS.items():
        (root / name).mkdir()
        for i in range(12):
            text = " ".join(random.choice(words.split(), 200))
            (root / name / f"{name}{i}.txt").write_text(text, encoding="utf-8")
    (root / "empty").mkdir()
    (root / "licence.txt").write_text("beside the classes, not one of them")
    return root


def texts(folder, name):
    return {path.name: data.encode(path.read_text()).tobytes() for path in (folder / name).glob("*.txt")}


def test_ap4_a_file_is_of_one_part_and_no_piece_of_two(folder):
    parts = data.load(folder, length=96, seed=3)
    assert parts.train.classes == ("birds", "ores", "trees")
    rows = [[x.to(torch.uint8).numpy().tobytes() for x in part.x] for part in parts]
    assert len(set(rows[0]) | set(rows[1]) | set(rows[2])) == sum(map(len, rows)), "no piece stands twice"
    for label, name in enumerate(parts.train.classes):
        owners = []
        for part, pieces in zip(parts, rows, strict=True):
            mine = [piece for piece, y in zip(pieces, part.y, strict=True) if y == label]
            owners.append({file for file, text in texts(folder, name).items() for piece in mine if piece in text})
        assert owners[0].isdisjoint(owners[1] | owners[2])
        assert owners[1].isdisjoint(owners[2])
        assert min(map(len, owners)) >= 1
    again = data.load(folder, length=96, seed=3)
    assert all(torch.equal(a.x, b.x) and torch.equal(a.y, b.y) for a, b in zip(parts, again, strict=True))
    assert not torch.equal(data.load(folder, length=96, seed=4).test.x, parts.test.x)


def test_ap4_tokens_and_channels_say_the_same(folder):
    tokens, channels = data.load(folder, length=40), data.load(folder, length=40, one_hot=True)
    assert tokens.train.x.dtype == torch.int64
    assert tokens.train.x.shape[1:] == (40,)
    assert channels.train.x.shape[1:] == (len(data.ALPHABET), 40)
    assert torch.equal(channels.train.x.argmax(1), tokens.train.x)
    assert torch.equal(channels.train.x.sum(1), torch.ones(len(tokens.train), 40))
    x, y = tokens.train.item(0)
    assert set(data.decode(x).split(" ")[1:-1]) <= set(WORDS[tokens.train.classes[y]].split())
    few = data.load(folder, length=40, most=8)
    assert few.train.y.bincount().tolist() == [8, 8, 8]
    assert few.test.y.bincount().max() == 2


def test_ap4_what_is_not_utf8_is_unknown_and_what_is_no_text_refused(folder, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(3):
            (tmp_path / name / f"{name}{i}.txt").write_bytes(f"{name}{i} ".encode() * 20)
    (tmp_path / "a" / "a0.txt").write_bytes("naïve café ".encode("latin-1") * 20 + "日本\r\n".encode() + b"ok, so")
    parts = data.load(tmp_path, length=8)
    pieces = [data.decode(x) for part in parts for x in part.x]
    assert any("\ufffd" in piece for piece in pieces)
    assert not any("\r" in piece for piece in pieces)
    (tmp_path / "a" / "a1.txt").write_bytes(bytes(range(128, 256)) * 4)
    with pytest.raises(ValueError, match=r"a1\.txt' is not a text in UTF-8"):
        data.load(tmp_path)
    (tmp_path / "a" / "a1.txt").unlink()
    with pytest.raises(ValueError, match=r"class 'a' has 2 \.txt files: expected 3"):
        data.load(tmp_path)
    assert data.decode(data.encode("tab\t, line\n, \ud800 é")) == "tab\t, line\n, \ufffd \ufffd"


def test_n23_odd_folders_are_refused_in_one_line(folder, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="no folder .*nowhere"):
        data.load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="holds 0 folders with .txt files"):
        data.load(tmp_path)
    with pytest.raises(ValueError, match="length"):
        data.load(folder, length=0)
    monkeypatch.setattr(data, "MOST_BYTES", 100)
    with pytest.raises(ValueError, match="more than the 100 read at once"):
        data.load(folder)


def test_ap4_files_of_one_name_stay_together(tmp_path):
    random = np.random.default_rng(1)
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
        for i in range(20):
            letters = random.integers(97, 123, 400).astype(np.uint8)
            (tmp_path / name / f"{i}.txt").write_bytes(b"%02d" % i * 4 + letters.tobytes())
    parts = data.load(tmp_path, length=8)
    seen = [{data.decode(x) for x in part.x} for part in parts]
    names = [{f"{i:02d}" for i in range(20) if f"{i:02d}" * 4 in pieces} for pieces in seen]
    assert names[0].isdisjoint(names[1] | names[2])
    assert names[1].isdisjoint(names[2])
    assert [len(n) for n in names] == [16, 2, 2]
    for i in range(2):
        (tmp_path / "right" / f"{i}.txt").rename(tmp_path / "right" / f"r{i}.txt")
    data.load(tmp_path, length=8)
    (tmp_path / "third").mkdir()
    for i in range(3):
        (tmp_path / "third" / f"{i}.txt").write_text("the very same three names " * 9)
    with pytest.raises(ValueError, match="class 'third' shares so many file names|has no text of its own"):
        data.load(tmp_path, length=8, seed=0)


def test_ap4_the_corpus_is_made_of_the_standard_library(tmp_path):
    _stdlib_text.write(tmp_path, 40)
    found = {path.name: sorted(path.glob("*.txt")) for path in tmp_path.iterdir() if path.is_dir()}
    assert sorted(found) == list(_stdlib_text.CLASSES)
    assert {len(paths) for paths in found.values()} == {40}
    assert "Python Software Foundation" in (tmp_path / "LICENCE.txt").read_text()
    code = "".join(path.read_text() for path in found["code"])
    assert "def " in code
    assert '"""' not in "".join(line for line in code.splitlines() if line.startswith('    """'))
    assert not any(line.lstrip().startswith("#") for line in code.splitlines())
    source = '"""Top."""\nimport os  # why\n\n\nclass A:\n    """Of a\n    class."""\n\n    x = "# kept"  # gone\n'
    assert _stdlib_text.split(source) == (
        'import os\nclass A:\n    x = "# kept"\n',
        "why\ngone\n",
        "Top.\nOf a\nclass.\n",
    )
    assert _stdlib_text.split("not python (") == ("", "", "")


def test_ap4_ar20_the_recipe_reads_any_folder(folder, tmp_path):
    words = ["--data-root", str(folder), "--epochs", "3", "--width", "16", "--length", "32", "--out", str(tmp_path)]
    record = run(recipe.text_classes, words)
    metrics = record["metrics"]
    assert metrics["accuracy"] > 0.9
    assert metrics["accuracy_ngrams"] > 0.9
    assert metrics["chance"] < 0.5
    assert record["test_size"] > 30
    again = run(recipe.text_classes, words)
    assert again["metrics"] == metrics


@pytest.mark.parametrize("option", ["max", "avg", "stochastic"])
def test_ac1_text_networks_take_any_activation_and_length(option):
    for activation in ("relu", "leaky_relu", "prelu", "maxout", "selu", "swish", "silu"):
        model = recipe.network(4, 8, activation, option).eval()
        for length in (8, 33):
            assert model(torch.randint(0, 98, (2, length))).shape == (2, 4)


def test_grams_and_naive_bayes_are_what_counting_says():
    x = torch.tensor([[1, 2, 1, 2]])
    assert recipe.grams(x).shape == (1, 9)
    assert len(set(recipe.grams(x)[0].tolist())) == 2 + 2 + 2
    first, second = torch.tensor([[1, 1, 1]]), torch.tensor([[2, 2, 2]])
    train = data.Arrays(torch.cat([first, second]), torch.tensor([0, 1]), ("a", "b"))
    scores, smoothing = recipe.naive_bayes(train, train, train)
    assert scores.argmax(1).tolist() == [0, 1]
    assert smoothing in recipe.SMOOTHING
    total = 6 + smoothing * recipe.GRAMS
    by_hand = (
        3 * np.log((3 + smoothing) / total) + 2 * np.log((2 + smoothing) / total) + np.log((1 + smoothing) / total)
    )
    assert scores[0, 0].item() == pytest.approx(by_hand + np.log(0.5))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--activation", "rely"], "--activation 'rely' is not one of relu"),
        (["--pool", "min"], "--pool 'min' is not one of max"),
        (["--length", "3"], "--length 3 must be at least 8"),
    ],
)
def test_wrong_words_are_refused(tmp_path, words, message):
    with pytest.raises(console.UsageError, match=message):
        run(recipe.text_classes, [*words, "--out", str(tmp_path)])


def test_the_recipe_from_the_command_line_on_its_made_corpus(tmp_path):
    words = ["--epochs", "1", "--samples", "200", "--width", "8", "--json", "--out", str(tmp_path)]
    words = [sys.executable, "-m", "sigconv", "run", "text_classes", *words]
    done = subprocess.run(words, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout.splitlines()[-1])
    assert record["metrics"]["train_size"] == 600
    assert 0.3 < record["metrics"]["accuracy_ngrams"] <= 1
