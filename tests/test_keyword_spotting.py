"""Speech Commands' layout, made small from spoken digits: its parts, its silence, what is wrong with it; the recipe."""

import hashlib
import io
import shutil
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from made_speech import COMMANDS, DIGITS, keywords, recordings

from sigconv import console
from sigconv.datasets import _clips, _roots, _unpacked
from sigconv.datasets import speech_commands as data
from sigconv.models import export
from sigconv.recipes import keyword_spotting as recipe
from sigconv.train import run, seeds


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    return recordings(tmp_path_factory.mktemp("spare"))


@pytest.fixture(scope="module")
def digits(spoken, tmp_path_factory):
    root = tmp_path_factory.mktemp("digits")
    keywords(root / "speech_commands", spoken, takes=6)
    return root


@pytest.fixture(scope="module")
def commands(spoken, tmp_path_factory):
    root = tmp_path_factory.mktemp("commands")
    keywords(root / "speech_commands", spoken, takes=3, commands=True)
    return root


@pytest.fixture
def copied(digits, tmp_path):
    shutil.copytree(digits / "speech_commands", tmp_path / "speech_commands")
    return tmp_path


def speakers(part):
    return {name.partition("/")[2].partition("_nohash_")[0] for name in part.names}


def test_the_words_are_the_folders_and_the_parts_are_the_lists(digits, spoken):
    train, valid, test = data.load(digits)
    people = sorted({one.speaker for one in spoken})
    assert train.classes == valid.classes == test.classes == tuple(sorted(DIGITS))
    assert speakers(valid) == {people[0]}
    assert speakers(test) == {people[1]}
    assert speakers(train) == set(people[2:])
    assert (len(train), len(valid), len(test)) == (60 * len(people[2:]), 60, 60)
    for part in (train, valid, test):
        assert [part.classes[y] for y in part.y] == [name.partition("/")[0] for name in part.names]
        x, y = part.item(7, None)
        assert x.shape == (1, 8000)
        assert x.dtype == torch.float32
        assert y.dtype == torch.int64


def test_clips_held_in_memory_are_those_read_one_by_one(digits):
    for held, lazy in zip(data.load(digits), data.load(digits, held=0), strict=True):
        assert held.ready
        assert not lazy.ready
        assert held.nbytes == lazy.size + held.y.nbytes
        indices = torch.tensor([0, 5, 29, 5])
        x, y = held.batch(indices, seeds.Generators(0, 0, indices.tolist()))
        again = lazy.batch(indices, seeds.Generators(0, 0, indices.tolist()))
        assert torch.equal(x, again[0]), "16-bit files lose nothing"
        assert torch.equal(y, again[1])
        assert torch.equal(held.item(5)[0], lazy.item(5)[0])
        assert torch.equal(held.to("cpu").item(29)[0], x[2])


def test_a_clip_is_its_recording_amid_silence(digits):
    train = data.load(digits).train
    sounds = [soundfile.read(digits / "speech_commands" / name)[0] for name in train.names]
    place, sound = next((i, sound) for i, sound in enumerate(sounds) if len(sound) < 8000)
    clip = train.item(place)[0][0].numpy()
    first = (8000 - len(sound)) // 2
    np.testing.assert_array_equal(clip[first : first + len(sound)], sound.astype(np.float32))
    assert not clip[:first].any()
    assert data.load(digits, seconds=0.1).train.item(0)[0].shape == (1, 800)


def test_twelve_classes_have_a_tenth_of_silence_and_of_unknown_words(commands):
    parts = data.load(commands, classes=12, seed=1)
    for part in parts:
        assert part.classes == (*COMMANDS, "_silence_", "_unknown_")
        counts = part.y.bincount(minlength=12).tolist()
        known = sum(counts[:10])
        assert counts[10:] == [-(-known // 10)] * 2
        unknown = {part.names[i].partition("/")[0] for i in (part.y == 11).nonzero().flatten()}
        assert unknown <= {"zero", "one", "two"}
        assert all(part.names[i] == "_silence_" for i in (part.y == 10).nonzero().flatten())
    again, other = data.load(commands, classes=12, seed=1), data.load(commands, classes=12, seed=2)
    assert [part.names for part in again] == [part.names for part in parts]
    assert other.train.names != parts.train.names
    assert [part.names for part in other[1:]] == [part.names for part in parts[1:]], "one test set, whatever the seed"


@pytest.mark.parametrize("held", [0, data.HELD])
def test_silence_is_another_in_training_and_fixed_elsewhere(commands, held):
    train, valid, _ = data.load(commands, classes=12, held=held)
    place = int((train.y == 10).nonzero()[0])
    gens = [seeds.generator(0, epoch, place) for epoch in (0, 1)]
    one, other = (train.item(place, g)[0] for g in gens)
    assert not torch.equal(one, other)
    assert torch.equal(train.item(place, seeds.generator(0, 0, place))[0], one), "its generator decides alone"
    batch, _ = train.batch(torch.tensor([0, place]), seeds.Generators(0, 0, [0, place]))
    assert torch.equal(batch[1], one)
    place = int((valid.y == 10).nonzero()[0])
    fixed = [valid.item(place, seeds.generator(0, epoch, place))[0] for epoch in (0, 1)]
    assert torch.equal(*fixed)
    assert torch.equal(data.load(commands, classes=12, held=held).valid.item(place)[0], fixed[0])
    assert torch.equal(data.load(commands, classes=12, seed=5).valid.item(place)[0], fixed[0]), "one test, many seeds"


def test_no_noise_is_heard_in_two_parts(commands):
    folder = commands / "speech_commands" / "_background_noise_"
    parts = data.load(commands, classes=12)
    for number, name in enumerate(("hiss", "hum")):
        sound = torch.from_numpy(soundfile.read(folder / f"{name}.wav", dtype="float32")[0])
        assert torch.equal(torch.cat([part.noise[number] for part in parts]), sound)
    assert len(parts.train.noise[0]) == 8 * len(parts.test.noise[0])


def test_a_short_noise_is_repeated():
    assert _clips.cut([torch.tensor([1.0, 2.0])], 0.0, 0.999, 3).tolist() == [2.0, 1.0, 2.0]
    assert _clips.cut([torch.arange(4.0)], 0.999999, 0.999999, 3).tolist() == [1.0, 2.0, 3.0]


def rate(path):
    sound, fs = soundfile.read(path)
    soundfile.write(path, sound, 2 * fs, subtype="PCM_16")


def shared_speaker(folder):
    """The last file of the test list is listed for choosing instead."""
    *kept, last = (folder / "testing_list.txt").read_text().split()
    (folder / "testing_list.txt").write_text("\n".join(kept))
    with open(folder / "validation_list.txt", "a") as file:
        file.write(f"{last}\n")


def test_lists_may_begin_with_a_byte_order_mark(copied, digits):
    for path in (copied / "speech_commands").glob("*.txt"):
        path.write_text(path.read_text(), encoding="utf-8-sig")
    assert data.load(copied).test.names == data.load(digits).test.names


def test_a_noise_too_short_for_every_part_is_left_out_of_all(copied):
    folder = copied / "speech_commands" / "_background_noise_"
    soundfile.write(folder / "click.wav", np.ones(4), 8000, subtype="PCM_16")
    assert [len(part.noise) for part in data.load(copied)] == [2, 2, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: (d / "testing_list.txt").unlink(), r"no testing_list\.txt in"),
        (
            lambda d: [path.unlink() for path in d.glob("*.txt")],
            r"has no validation_list\.txt and no testing_list\.txt",
        ),
        (
            lambda d: (d / "testing_list.txt").write_text("one/x.wav\n"),
            r"testing_list\.txt names 'one/x\.wav', which is",
        ),
        (lambda d: (d / "testing_list.txt").write_text("../x.wav\n"), r"names '\.\./x\.wav', which is not in"),
        (lambda d: (d / "testing_list.txt").write_text(""), "leave no recordings for the test part"),
        (lambda d: shutil.copy(d / "testing_list.txt", d / "validation_list.txt"), "is in both lists"),
        (shared_speaker, r"speaker '.+' \('.+'\) is in both lists of"),
        (lambda d: (d / "empty").mkdir(), "word 'empty' has no .wav files"),
        (lambda d: [shutil.rmtree(path) for path in d.iterdir() if path.is_dir()], "has 0 folders of words"),
        (lambda d: min((d / "one").iterdir()).write_bytes(b""), r"one/.*\.wav' is not a usable WAV file: it is empty"),
        (lambda d: rate(min((d / "one").iterdir())), r"one/.*\.wav' is sampled at 16000 Hz, others at 8000"),
        (lambda d: rate(d / "_background_noise_" / "hum.wav"), r"hum\.wav' is sampled at 16000 Hz, the words at 8000"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said_in_one_line(copied, change, message):
    change(copied / "speech_commands")
    with pytest.raises((OSError, ValueError), match=message) as caught:
        data.load(copied)
    assert "\n" not in str(caught.value)


def test_options_and_places_that_cannot_be(digits, commands, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="classes 10 must be 35"):
        data.load(digits, classes=10)
    with pytest.raises(ValueError, match="seconds nan must be a finite number above 0"):
        data.load(digits, seconds=float("nan"))
    with pytest.raises(ValueError, match="lacks yes, no, up"):
        data.load(digits, classes=12)
    with pytest.raises(FileNotFoundError, match="no data set 'speech_commands' under"):
        data.load(tmp_path)
    shutil.copytree(commands / "speech_commands", tmp_path / "speech_commands")
    shutil.rmtree(tmp_path / "speech_commands" / "_background_noise_")
    assert data.load(tmp_path).train.noise == []
    with pytest.raises(FileNotFoundError, match="the task of 12 classes needs silence"):
        data.load(tmp_path, classes=12)
    monkeypatch.delenv("SIGCONV_DATA", raising=False)
    monkeypatch.setenv("SIGCONV_CACHE", str(tmp_path))
    monkeypatch.setattr("pooch.retrieve", lambda *a, **k: (_ for _ in ()).throw(OSError("no network")))
    with pytest.raises(FileNotFoundError, match=r"speech_commands_v0\.02\.tar\.gz could not be fetched"):
        data.load()


@pytest.fixture
def packed(digits, tmp_path, monkeypatch):
    place = tmp_path / "official" / "speech_commands_v0.02.tar.gz"
    place.parent.mkdir()
    with tarfile.open(place, "w:gz") as archive:
        archive.add(digits / "speech_commands", ".")
    monkeypatch.delenv("SIGCONV_DATA", raising=False)
    monkeypatch.setenv("SIGCONV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("os.sync", lambda: None)  # of the whole machine, and slow where others write
    return place


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def official(packed, monkeypatch):
    """The archive passes for the official one; what was fetched."""
    fetched, manifest = [], _roots.facts(data.MANIFEST) | {"sha256": sha256(packed)}
    monkeypatch.setattr(_roots, "facts", lambda name: manifest)
    monkeypatch.setattr("pooch.retrieve", lambda *a, **k: fetched.append(k) or str(packed))
    return fetched


def test_the_archive_is_fetched_and_unpacked_once_and_goes_on_where_it_was_cut(packed, official, digits, tmp_path):
    first = data.load().train
    assert torch.equal(first.held, data.load(digits).train.held)
    assert official[0]["known_hash"] == f"sha256:{sha256(packed)}"
    data.load()
    assert len(official) == 1, "what is unpacked is not asked for again"
    home = tmp_path / "cache" / "speech_commands" / sha256(packed)[:16]
    assert first.home == home
    part = home.rename(f"{home}.part")
    (part / ".whole").unlink()
    kept, lost, blank = sorted((part / "one").iterdir())[:3]
    before = kept.stat().st_mtime_ns
    lost.unlink()
    blank.write_bytes(bytes(blank.stat().st_size))  # as a power cut leaves it
    (part / "one" / ".a.wav.1.tmp").write_bytes(b"killed")
    assert torch.equal(data.load().train.held, first.held)
    assert (home / "one" / kept.name).stat().st_mtime_ns == before, "it was there whole"
    assert not part.exists()
    assert not list(home.rglob("*.tmp"))
    (home / ".whole").unlink()
    assert torch.equal(data.load().train.held, first.held), "what no mark vouches for is looked at again"


def test_the_manifest_names_the_archive_that_others_know():
    assert _roots.facts(data.MANIFEST)["sha256"].startswith("af14739ee7dc3114")


def test_the_name_and_the_mark_come_after_the_disc_has_all(packed, tmp_path, monkeypatch):
    cache, seen = tmp_path / "cache", []
    monkeypatch.setattr("os.sync", lambda: seen.append([p.name for p in cache.iterdir() if p.is_dir()]), raising=False)
    home = _unpacked.unpacked(packed, cache, (".wav", ".txt"))
    assert seen == [[f"{home.name}.part"]]
    assert (home / ".whole").read_text() == sha256(packed)


def test_two_archives_of_one_name_do_not_mix(packed, official, digits, tmp_path):
    other = tmp_path / "other" / "speech_commands"
    shutil.copytree(digits / "speech_commands", other)
    for path in (other / "one").iterdir():
        sound, fs = soundfile.read(path)
        soundfile.write(path, sound[::-1], fs, subtype="PCM_16")  # as many bytes
    for path in sorted(other.iterdir()):
        content = path.read_bytes() if path.is_file() else None
        assert content is None or (digits / "speech_commands" / path.name).read_bytes() == content
    own = tmp_path / "own" / "speech_commands" / packed.name
    own.parent.mkdir(parents=True)
    with tarfile.open(own, "w:gz") as archive:
        archive.add(other, ".")
    one = data.load(own.parent.parent).train
    assert torch.equal(one.held, data.load(tmp_path / "other").train.held)
    assert torch.equal(data.load().train.held, data.load(digits).train.held), "the official one is the official one"
    assert len(official) == 1
    assert torch.equal(data.load(own.parent.parent).train.held, one.held)


def test_a_download_is_said_before_it_begins(tmp_path, monkeypatch, capsys):
    begun = []

    class Downloader:
        def __init__(self, progressbar):
            assert progressbar is False, "no terminal, no bar"

        def __call__(self, url, output, pooch):
            begun.append((url, capsys.readouterr().err))
            Path(output).write_bytes(b"the set")

    manifest = {"url": "https://example.org/set.bin", "file": "set.bin", "size": "7 bytes"}
    manifest |= {"sha256": hashlib.sha256(b"the set").hexdigest()}
    monkeypatch.setenv("SIGCONV_CACHE", str(tmp_path))
    monkeypatch.setattr(_roots, "facts", lambda name: manifest)
    monkeypatch.setattr("pooch.downloaders.HTTPDownloader", Downloader)
    assert _roots.fetch("set", "set.toml").read_bytes() == b"the set"
    _roots.fetch("set", "set.toml")
    line = f"downloading https://example.org/set.bin (7 bytes) into {str(tmp_path / 'set')!r}, once\n"
    assert begun == [(manifest["url"], line)]
    assert not capsys.readouterr().err, "what is there is not fetched again"


def test_two_archives_beside_each_other_are_refused(packed, digits, tmp_path):
    root = tmp_path / "root" / "speech_commands"
    root.mkdir(parents=True)
    for name in ("a.tar.gz", "b.tar.gz"):
        shutil.copy(packed, root / name)
    with pytest.raises(ValueError, match=r"holds two archives, 'a\.tar\.gz' and 'b\.tar\.gz'"):
        data.load(root.parent)


def test_whoever_wants_the_archive_meanwhile_waits(packed, tmp_path, monkeypatch):
    cache, plainly = tmp_path / "cache", _unpacked._filled

    def both(*words):
        second = threading.Thread(target=lambda: found.append(_unpacked.unpacked(packed, cache, (".wav",))))
        second.start()
        second.join(0.3)
        assert not found, "it waits"
        found.append(plainly(*words))
        threads.append(second)
        monkeypatch.setattr(_unpacked, "_filled", lambda *words: pytest.fail("unpacked twice"))
        return found[0]

    found, threads = [], []
    monkeypatch.setattr(_unpacked, "_filled", both)
    _unpacked.unpacked(packed, cache, (".wav",))
    threads[0].join(20)
    assert len(found) == 2
    assert found[0] == found[1] == cache / sha256(packed)[:16]


def test_an_archive_under_the_root_does_too(packed, digits, tmp_path):
    root = tmp_path / "root" / "speech_commands"
    root.mkdir(parents=True)
    shutil.copy(packed, root)
    assert torch.equal(data.load(root.parent).test.held, data.load(digits).test.held)
    assert len(list(root.iterdir())) == 1, "the root is left as it was"


@pytest.mark.parametrize("name", ["../out.wav", "/etc/out.wav", "a/../../out.wav", "C:out.wav", "a\\..\\out.wav"])
def test_no_member_of_an_archive_leaves_its_folder(tmp_path, name):
    packed = tmp_path / "bad.tar"
    with tarfile.open(packed, "w") as archive:
        member = tarfile.TarInfo(name)
        member.size = 3
        archive.addfile(member, io.BytesIO(b"bad"))
    with pytest.raises(ValueError, match="would lie outside its folder"):
        _unpacked.unpacked(packed, tmp_path / "in" / "here", (".wav",))
    assert not list(tmp_path.rglob("*out.wav"))


def test_a_cut_archive_is_no_whole_set(packed, tmp_path, monkeypatch):
    packed.write_bytes(packed.read_bytes()[:-2000])
    monkeypatch.setattr("pooch.retrieve", lambda *a, **k: str(packed))
    with pytest.raises(ValueError, match="is not a whole zip or tar archive"):
        data.load()
    assert not list(_roots.cached("speech_commands").rglob(".whole"))


def test_variants_are_shifted_and_noisy_and_a_function_of_their_generators():
    vary = recipe.varied([torch.ones(20000)], 8000)
    x = torch.zeros(64, 1, 8000)
    x[..., 4000] = 5.0
    gens = [seeds.generator(0, 0, i) for i in range(64)]
    y = vary(x, gens)
    assert torch.equal(vary(x[9:10], [seeds.generator(0, 0, 9)]), y[9:10])
    moved = y.argmax(-1).flatten() - 4000
    assert moved.min() < -400
    assert moved.max() > 400
    assert moved.abs().max() <= 800
    level = y[..., 100].flatten()
    assert ((level >= 0) & (level <= 0.1)).all()
    assert 4 <= int((level == 0).sum()) <= 24, "about a fifth is clean: 12.8 of 64, 3 deviations about 3.2"
    assert recipe.varied([], 8000)(x, gens).sum() == x.sum()


@pytest.mark.parametrize("model", [*recipe.PICTURES, *recipe.WAVES])
def test_every_model_takes_waves_and_learns_from_them(model):
    net = recipe.classifier(8000, 8000, 12, model=model)
    x = torch.randn(2, 1, 8000, generator=torch.Generator().manual_seed(0))
    net(x).logsumexp(1).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters() if p.requires_grad)
    net.eval()
    with torch.no_grad():
        assert net(x).shape == (2, 12)
        torch.testing.assert_close(net(100 * x), net(x), atol=1e-3, rtol=1e-3)
        assert net(torch.zeros(1, 1, 8000)).isfinite().all(), "silence has an answer too (N23)"


def test_n28_pieces_go_through_the_net_some_hundreds_at_a_time():
    sizes = []
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(20, 3)).double()
    network.register_forward_hook(lambda module, words, scores: sizes.append(len(scores)))
    net = recipe.Chunks(network, 20, 10)
    x = torch.randn(150, 1, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    whole = net.train()(x)
    assert sizes == [9 * 150], "its batch statistics are those of all pieces"
    sizes.clear()
    torch.testing.assert_close(net.eval()(x), whole, atol=1e-12, rtol=1e-12)
    assert sum(sizes) == 9 * 150
    assert max(sizes) <= recipe.AT_ONCE < 1000


def test_pieces_can_be_exported_for_any_number_of_clips(tmp_path):
    net = recipe.Chunks(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(20, 3)), 20, 10).eval()
    done = export(net, tmp_path / "net.pt2", (2, 1, 100))
    x = torch.randn(100, 1, 100, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.export.load(done.path).module()(x), net(x), atol=1e-5, rtol=1e-5)


def test_the_recipe_hears_the_words_and_reports(digits, tmp_path):
    words = ["--data-root", str(digits), "--epochs", "8", "--batch-size", "20", "--out", str(tmp_path)]
    record = run(recipe.keyword_spotting, words)
    found = record["metrics"]
    assert record["test_size"] == 60
    assert {"accuracy", "accuracy_logistic", "chance", "parameters"} == set(found)
    assert found["parameters"] == 246_706
    assert found["accuracy"] > 0.25, "by chance, more than 15 of 60 once in 5,000 times"
    assert found["chance"] == pytest.approx(0.1)
    page = (tmp_path / "keyword_spotting").glob("*/report.html")
    assert "confusion" in next(page).read_text()


def test_twelve_classes_and_a_learned_front_end_beside_its_control(commands, tmp_path):
    words = ["--classes", "12", "--front-end", "gabor", "--learned", "--model", "tdnn"]
    words += ["--data-root", str(commands), "--epochs", "1", "--out", str(tmp_path)]
    found = run(recipe.keyword_spotting, words)["metrics"]
    assert {"accuracy", "accuracy_frozen", "accuracy_logistic"} < set(found)
    assert any(name.startswith("drift_") for name in found)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--classes", "20"], "--classes 20 is not one of 12, 35"),
        (["--model", "lstm"], "--model 'lstm' is not one of cnn"),
        (["--front-end", "wav2vec"], "--front-end 'wav2vec' is not one of log_mel"),
        (["--model", "m5", "--front-end", "leaf"], "--model m5 takes the wave itself"),
        (["--model", "sincnet", "--learned"], "--model sincnet takes the wave itself"),
    ],
)
def test_words_that_cannot_be_meant(tmp_path, words, message):
    with pytest.raises(console.UsageError, match=message):
        run(recipe.keyword_spotting, [*words, "--out", str(tmp_path)])
