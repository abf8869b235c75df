"""Videos in folders: parts, groups, lists, clips, and bad files that are told and left out (AP3)."""

import numpy as np
import pytest
import torch

from sigconv.datasets import _videos, video_folder
from sigconv.readers import video
from sigconv.train import seeds
from sigconv.transforms import augment

pytest.importorskip("av")

SMALL = {"length": 4, "stride": 2, "size": 16, "short_side": 20}


def film(path, label, number, frames=12, size=(24, 32)):
    """Frames whose red is their number, whose green is the class and blue the film's number; with noise for a path."""
    x = np.zeros((3, frames, *size), np.uint8)
    x[0] = 10 * np.arange(frames)[:, None, None]
    x[1], x[2] = 100 * label, number
    path.parent.mkdir(parents=True, exist_ok=True)
    video.write(path, x, 25)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes, five groups each, of two films."""
    home = tmp_path_factory.mktemp("films")
    for label, name in enumerate(("jump", "walk")):
        for group in range(5):
            for clip in range(2):
                film(home / name / f"v_{name}_g{group + 1:02d}_c{clip + 1:02d}.avi", label, 2 * group + clip)
    return home


def groups(part):
    return {name.rpartition("_")[0] for name in part.names}


def test_parts_have_whole_groups_and_every_class(folder):
    parts = video_folder.load(folder, **SMALL, seed=3)
    assert [len(part) for part in parts] == [12, 4, 4]
    assert parts.train.classes == ("jump", "walk")
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not groups(parts[one]) & groups(parts[other])
    for part in parts:
        assert set(part.y.tolist()) == {0, 1}
        assert part.bad == []
    again, another = (video_folder.load(folder, **SMALL, seed=seed) for seed in (3, 4))
    assert [part.names for part in again] == [part.names for part in parts]
    assert any(a.names != b.names for a, b in zip(another, parts, strict=True))
    alone = video_folder.load(folder, **SMALL, group="none of them")
    assert [len(part) for part in alone] == [16, 2, 2], "each film is a group by itself"


@pytest.mark.parametrize("held", [0, 1 << 30])
def test_an_item_is_a_function_of_its_generator_kept_in_memory_or_not(folder, held):
    train, valid, _ = video_folder.load(folder, **SMALL, held=held)
    for index in (0, 7):
        x, y = train.item(index, seeds.generator(0, 1, index))
        assert x.shape == (3, 4, 16, 16)
        assert x.dtype == torch.float32
        assert torch.equal(x, train.item(index, seeds.generator(0, 1, index))[0])
        red = (255 * x[0, :, 0, 0]).round()
        assert (red.diff() == 20).all(), "each second frame"
        assert (255 * x[1]).round().unique().tolist() == [100 * int(y)]
    assert bool(train.memory) == bool(held)
    starts = {round(float(255 * train.item(0, seeds.generator(0, epoch, 0))[0][0, 0, 0, 0])) for epoch in range(60)}
    assert starts == {0, 10, 20, 30, 40, 50}, "twelve frames leave room for six places"
    middle = valid.item(0, seeds.generator(0, 1, 0))[0]
    assert torch.equal(middle, valid.item(0)[0]), "nothing is drawn where it is chosen by"
    assert round(float(255 * middle[0, 0, 0, 0])) == 20
    batch = augment.collected(train, torch.tensor([3, 0]), seeds.Generators(0, 2, [3, 0]))
    assert torch.equal(batch[0][1], train.item(0, seeds.generator(0, 2, 0))[0])


def test_views_are_clips_from_the_first_frame_to_the_last(folder):
    test = video_folder.load(folder, **SMALL).test
    views = video_folder.Views(test, 3)
    assert len(views) == 3 * len(test)
    for place in range(len(test)):
        firsts = [round(float(255 * views.item(3 * place + n)[0][0, 0, 0, 0])) for n in range(3)]
        assert firsts == [0, 20, 50]
        assert views.item(3 * place)[1] == test.y[place]


def test_clips_of_so_many_frames_a_second(folder):
    train = video_folder.load(folder, **SMALL | {"stride": 1}, fs=8.0).train
    red = 255 * train.item(0, seeds.generator(0, 0, 0))[0][0, :, 0, 0]
    assert (red.round().diff() == 30).all(), "25 / 8 is three, as near as whole frames come"


def lists(home, **rows):
    for name, lines in rows.items():
        (home / f"{name}.txt").write_text("\n".join(lines) + "\n")


def ucf(tmp_path, folder):
    """UCF101's layout: classes in UCF-101/, lists beside it; five groups of jump and walk."""
    (tmp_path / "UCF-101").mkdir()
    for name in ("jump", "walk"):
        (tmp_path / "UCF-101" / name).symlink_to(folder / name)
    place = tmp_path / "ucfTrainTestlist"
    place.mkdir()
    name = lambda label, group, clip: f"{label}/v_{label}_g{group:02d}_c{clip:02d}.avi"
    every = lambda groups: [name(label, g, c) for label in ("jump", "walk") for g in groups for c in (1, 2)]
    numbered = [f"{row} {1 + row.startswith('jump')}" for row in every((2, 3, 4, 5))]
    lists(place, trainlist02=numbered, testlist02=every((1,)), classInd=["1 walk", "2 jump"])
    return tmp_path, place


def test_ucf101_lists_say_which_is_which(tmp_path, folder):
    home, place = ucf(tmp_path, folder)
    parts = video_folder.load(home, **SMALL, split=2)
    assert parts.train.classes == ("walk", "jump")
    assert {name.split("_")[2] for name in parts.test.names} == {"g01"}
    assert [len(part) for part in parts] == [12, 4, 4]
    assert not groups(parts.train) & groups(parts.valid)
    assert all((name.startswith("jump")) == int(y) for name, y in zip(parts.test.names, parts.test.y, strict=True))
    lists(place, testlist02=["jump/v_jump_g01_c01.avi", "walk/gone away.avi 1", "walk/v_walk_g01_c02.avi"])
    test = video_folder.load(home, **SMALL, split=2).test
    assert len(test) == 2
    assert test.bad == [("walk/gone away.avi", "'walk/gone away.avi' is in a list, and not in the folder")]
    lists(place, testlist02=["jump/v_jump_g02_c01.avi", "walk/v_walk_g01_c01.avi"])
    with pytest.raises(ValueError, match="group 'jump/v_jump_g02' is in both lists"):
        video_folder.load(home, **SMALL, split=2)
    lists(place, testlist02=["jump v_jump_g02_c01.avi"])
    with pytest.raises(ValueError, match=r"testlist02\.txt' line 1: 'jump v_jump"):
        video_folder.load(home, **SMALL, split=2)
    lists(place, testlist02=["jump/a.avi", "jump/b.avi 2", "jump/a.avi 2"])
    with pytest.raises(ValueError, match=r"testlist02\.txt' line 3: 'jump/a\.avi' stands on line 1 too"):
        video_folder.load(home, **SMALL, split=2)
    (place / "testlist02.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"no testlist02\.txt"):
        video_folder.load(home, **SMALL, split=2)


@pytest.mark.parametrize("name", ["trainlist02", "testlist02"])
def test_a_list_that_names_nothing_is_refused_not_replaced(tmp_path, folder, name):
    home, place = ucf(tmp_path, folder)
    lists(place, **{name: ["", " "]})
    with pytest.raises(ValueError, match=rf"{name}\.txt' names no video: expected a line such as"):
        video_folder.load(home, **SMALL, split=2)


@pytest.fixture
def broken(tmp_path, folder):
    """The same films, one cut short, one no film at all."""
    for label in ("jump", "walk"):
        (tmp_path / label).mkdir()
        for path in (folder / label).iterdir():
            (tmp_path / label / path.name).write_bytes(path.read_bytes())
    cut = tmp_path / "jump" / "v_jump_g01_c01.avi"
    cut.write_bytes(cut.read_bytes()[:3000])
    (tmp_path / "walk" / "v_walk_g02_c02.avi").write_text("no film")
    return tmp_path


def test_bad_videos_are_told_and_left_out(broken, capfd):
    parts = video_folder.load(broken, **SMALL)
    assert sum(map(len, parts)) == 18
    bad = dict(one for part in parts for one in part.bad)
    assert set(bad) == {"jump/v_jump_g01_c01.avi", "walk/v_walk_g02_c02.avi"}
    assert all(name in why for name, why in bad.items())
    assert capfd.readouterr().err.count("left out: ") == 2


def test_what_breaks_later_is_stood_for_by_the_next_of_its_class(folder, tmp_path, capfd):
    for label, name in enumerate(("jump", "walk")):
        for n in range(6):
            film(tmp_path / name / f"{n}.avi", label, n)
    train = video_folder.load(tmp_path, **SMALL, check=False, held=0).train
    index, name = 1, train.names[1]
    (tmp_path / name).write_bytes(b"gone")
    x, y = train.item(index, seeds.generator(0, 0, 0))
    assert torch.equal(x, train.item(index + 1, seeds.generator(0, 0, 0))[0]), "with the same generator, as it was"
    assert train.bad[0][0] == name
    assert name in capfd.readouterr().err
    for other in train.names:
        (tmp_path / other).write_bytes(b"gone")
    with pytest.raises(ValueError, match=f"no video of class '{train.classes[y]}' can be read any more"):
        train.item(index, seeds.generator(0, 0, 0))


def test_short_films_begin_again(tmp_path):
    for label, name in enumerate(("a", "b")):
        for n in range(3):
            film(tmp_path / name / f"{n}.mkv", label, n, frames=3)
    for held in (0, 1 << 20):
        train = video_folder.load(tmp_path, **SMALL, held=held).train
        red = 255 * train.item(0, seeds.generator(0, 0, 0))[0][0, :, 0, 0]
        assert red.round().tolist() == [0, 20, 10, 0]


def test_long_thin_frames_are_left_out_and_large_ones_read_a_few_at_a_time(folder, tmp_path, monkeypatch):
    for name in ("jump", "walk"):
        (tmp_path / name).mkdir()
        for path in (folder / name).iterdir():
            (tmp_path / name / path.name).write_bytes(path.read_bytes())
    film(tmp_path / "jump" / "thin.avi", 0, 0, size=(2, 80))
    asked = []
    plainly = _videos.reader.blocks
    monkeypatch.setattr(
        _videos.reader, "blocks", lambda path, n, **wanted: asked.append(n) or plainly(path, n, **wanted)
    )
    wanted = video_folder.load(folder, **SMALL).train
    for room, held in ((5 * 3 * 24 * 32, 1 << 20), (1, 0), (1, 1 << 20)):
        monkeypatch.setattr(_videos, "AT_ONCE", room)
        train, valid, test = video_folder.load(tmp_path, **SMALL, held=held)
        assert [name for part in (train, valid, test) for name, _ in part.bad] == ["jump/thin.avi"]
        bad = next(why for part in (train, valid, test) for _, why in part.bad)
        assert bad.endswith(
            "thin.avi' has frames of 2 x 80 pixels: expected a longer side of 16 times the shorter at most"
        )
        asked.clear()
        for name in set(train.names) & set(wanted.names):
            (one, _), (other, _) = (
                part.item(part.names.index(name), seeds.generator(0, 1, 0)) for part in (train, wanted)
            )
            assert torch.equal(one, other)
        assert max(room // (3 * 24 * 32), 1) in asked


def test_what_is_not_there_or_cannot_be_is_one_line(folder, tmp_path, monkeypatch):
    monkeypatch.delenv("SIGCONV_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="give --data-root, or set SIGCONV_DATA"):
        video_folder.load()
    with pytest.raises(FileNotFoundError, match="has 0 folders of videos"):
        video_folder.load(tmp_path)
    with pytest.raises(ValueError, match="short_side 10 is less than size 16"):
        video_folder.load(folder, size=16, short_side=10)
    with pytest.raises(ValueError, match=r"group '\(' is no regular expression"):
        video_folder.load(folder, group="(")
    with pytest.raises(ValueError, match="fs nan must be"):
        video_folder.load(folder, fs=float("nan"))
    for label, name in enumerate(("a", "b")):
        for n in range(2):
            film(tmp_path / name / f"{n}.avi", label, n)
    with pytest.raises(ValueError, match="class 'a' has 2 groups of videos to part: expected 3"):
        video_folder.load(tmp_path, **SMALL)
    for n in range(2, 4):
        film(tmp_path / "b" / f"{n}.avi", 1, n)
    for n in range(3):
        (tmp_path / "a" / f"{n}.avi").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"class 'a' has no video that can be read for the train part; .*\.avi"):
        video_folder.load(tmp_path, **SMALL)


def test_frames_are_read_once_where_there_is_room(folder, monkeypatch):
    train = video_folder.load(folder, **SMALL, held=1 << 30).train
    first = train.item(2, seeds.generator(0, 0, 2))[0]
    monkeypatch.setattr(_videos.reader, "blocks", None)
    assert torch.equal(train.item(2, seeds.generator(0, 0, 2))[0], first)
    assert train.memory[2].shape == (3, 12, 20, 27)
