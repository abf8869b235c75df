"""AP1: TIMIT's format, its phones and their folding, frames and states, Viterbi and errors, and the recipe."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_speech import FS, phones
from strategies import examples

from sigconv import console
from sigconv.datasets import _phones, timit
from sigconv.recipes import _decoding, _frames, _study
from sigconv.recipes import phone_states as recipe
from sigconv.train import Job, run

PEOPLE = {"TRAIN": [f"FTR{n}0" for n in range(12)], "TEST": ["MTE00", "FTE10"]}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    place = tmp_path_factory.mktemp("timit")
    phones(place / "timit", PEOPLE, utterances=4, sphere=True)
    return place


def test_there_are_61_phones_48_of_models_and_39_of_scores():
    assert [len(_phones.FOLDINGS[n]) for n in (61, 48, 39)] == [61, 48, 39]
    assert len(set(_phones.PHONES_61)) == 61
    closures = ["bcl", "dcl", "gcl", "pcl", "tcl", "kcl"]
    assert _phones.fold([*closures, "h#", "pau", "epi"]) == ["sil"] * 9
    assert _phones.fold(closures, to=48) == ["vcl"] * 3 + ["cl"] * 3
    assert _phones.fold(["q"]) == _phones.fold(["q"], to=48) == []
    merged = {"ao": "aa", "ax": "ah", "ax-h": "ah", "axr": "er", "hv": "hh", "ix": "ih", "el": "l", "em": "m"}
    merged |= {"en": "n", "nx": "n", "eng": "ng", "zh": "sh", "ux": "uw"}
    assert _phones.fold(merged) == list(merged.values())
    alone = set(_phones.PHONES_61) - set(merged) - {*closures, "h#", "pau", "epi", "q"}
    assert all(_phones.fold([phone]) == [phone] for phone in alone)
    with pytest.raises(ValueError, match="phone 'xx' is none of TIMIT's 61"):
        _phones.fold(["xx"])
    with pytest.raises(ValueError, match="to 40 must be 48"):
        _phones.fold(["aa"], to=40)


def test_parts_have_their_own_speakers_and_no_sa_sentence(root):
    train, valid, test = timit.load(root, seed=2)
    people = [set(part.speakers) for part in (train, valid, test)]
    assert people[2] == {"mte00", "fte10"}
    assert len(people[1]) == 1
    assert people[0] | people[1] == {name.lower() for name in PEOPLE["TRAIN"]}
    assert not people[0] & people[1]
    assert len(train) == 4 * 11
    assert not any(one.sound.name.lower().startswith("sa") for part in (train, valid, test) for one in part.utterances)
    assert {frozenset(timit.load(root, seed=n).valid.speakers) for n in range(8)} > {frozenset(people[1])}


def test_small_letters_riff_and_capitals_sphere_are_the_same(root, tmp_path):
    phones(tmp_path / "timit", PEOPLE, utterances=4)
    assert (tmp_path / "timit" / "train" / "dr1").is_dir()
    for small, large in zip(timit.load(tmp_path), timit.load(root), strict=True):
        assert small.speakers == large.speakers
        one, other = small.spoken(3), large.spoken(3)
        np.testing.assert_array_equal(one.sound, other.sound)
        assert one.phones == other.phones
        x, y = small.item(3)
        begin, end, phone = one.phones[5]
        assert x.shape == (1, len(y))
        assert (y[begin:end] == timit.PHONES_61.index(phone)).all()


def test_of_two_copies_of_a_sound_the_riff_one_is_read(root, tmp_path):
    phones(tmp_path / "TIMIT", {"TRAIN": ["FAA00", "FBB00"], "TEST": ["MCC00"]}, utterances=1, sphere=True)
    folder = tmp_path / "TIMIT" / "TEST" / "DR1" / "MCC00"
    soundfile.write(folder / "SX1.WAV.wav", np.zeros(20000), FS, subtype="PCM_16")
    test = timit.load(tmp_path).test
    assert len(test) == 1
    assert test.utterances[0].sound.name == "SX1.WAV.wav"


def layout(place, names):
    """TIMIT's folders with these speakers in TEST; the files have nothing in them."""
    for part, people in (("TRAIN", ["FAA00", "FBB00"]), ("TEST", names)):
        for name in people:
            folder = place / part / "DR1" / name.upper()
            folder.mkdir(parents=True)
            (folder / "SX1.WAV").touch()
            (folder / "SX1.PHN").touch()
    return timit.load(place)


def test_the_core_set_is_tested_on_and_halberstadts_speakers_choose(tmp_path):
    assert (len(timit.CORE), len(timit.DEVELOPMENT), len(timit.CORE & timit.DEVELOPMENT)) == (24, 50, 0)
    parts = layout(tmp_path / "all", [*timit.CORE, *timit.DEVELOPMENT, "mxx00"])
    assert set(parts.test.speakers) == timit.CORE
    assert set(parts.valid.speakers) == timit.DEVELOPMENT
    parts = layout(tmp_path / "some", [*timit.CORE, "mxx00", "mdac1"])
    assert set(parts.valid.speakers) == {"mxx00", "mdac1"}
    parts = layout(tmp_path / "core", timit.CORE)
    assert set(parts.test.speakers) == timit.CORE
    assert len(set(parts.valid.speakers) & {"faa00", "fbb00"}) == 1


def test_most_of_the_core_set_is_no_test_set(tmp_path):
    core = sorted(timit.CORE)
    with pytest.raises(ValueError, match=f"lacks {core[0]} of the core set's 24 speakers"):
        layout(tmp_path / "one", [*core[1:], "mxx00"])
    with pytest.raises(ValueError, match=f"lacks {', '.join(core[:12])} of the core"):
        layout(tmp_path / "half", core[12:])
    assert set(layout(tmp_path / "few", core[13:]).test.speakers) == set(core[13:])


def test_marks_without_their_sound_are_named(tmp_path):
    phones(tmp_path, {"TRAIN": ["FAA00", "FBB00"], "TEST": ["MCC00"]}, utterances=2)
    folder = tmp_path / "test" / "dr1" / "mcc00"
    (folder / "sa1.wav").unlink()
    assert len(timit.load(tmp_path).test) == 2, "sa sentences are left out anyway"
    (folder / "sx2.wav").rename(folder / "sx2.flac")
    with pytest.raises(FileNotFoundError, match=r"sx2\.phn' has no sx2\.wav beside it"):
        timit.load(tmp_path)


def test_timit_is_looked_for_in_its_own_folder_first_and_whole(tmp_path):
    phones(tmp_path / "timit" / "TIMIT", {"TRAIN": ["FAA00", "FBB00"], "TEST": ["MCC00"]}, utterances=1)
    (tmp_path / "train").mkdir()
    assert timit.load(tmp_path).test.speakers == ["mcc00"], "train/ alone is another set's"
    phones(tmp_path, {"TEST": ["MDD00"]}, utterances=1)
    assert timit.load(tmp_path).test.speakers == ["mcc00"]
    assert timit.load(tmp_path / "timit").test.speakers == ["mcc00"]


@pytest.mark.parametrize("samples", [1, 319])
def test_a_sound_shorter_than_a_phone_is_refused_by_name(tmp_path, samples):
    phones(tmp_path, {"TRAIN": ["FAA00", "FBB00"], "TEST": ["MCC00"]}, utterances=1)
    train, _, test = timit.load(tmp_path)
    front = _frames.framed(train)[1]
    path = test.utterances[0].sound
    soundfile.write(path, np.zeros(samples), FS, subtype="PCM_16")
    path.with_suffix(".phn").write_text(f"0 {samples} h#\n")
    with pytest.raises(ValueError, match=rf"sx1\.wav' has {1 + samples // 160} frames, and a phone has 3 states"):
        _frames.framed(test, front)
    soundfile.write(path, np.zeros(320), FS, subtype="PCM_16")
    frames, _ = _frames.framed(test, front)
    states = _decoding.chain(_decoding.bigram([[0]], 61), np.ones((61, 3)), 1.0)
    assert len(_decoding.viterbi(np.zeros((len(frames), 183)), states)[0]) == 3


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("0 100 xx\n", r"SX1\.PHN': phone 'xx' is none of TIMIT's 61"),
        ("0 999999 aa\n", r"SX1\.PHN' says 'aa' lasts from sample 0 to 999999, of the \d+ there are"),
        ("", r"SX1\.PHN"),
    ],
)
def test_marks_that_cannot_be_are_named(tmp_path, lines, message):
    phones(tmp_path, {"TRAIN": ["FAA00", "FBB00"], "TEST": ["MCC00"]}, utterances=1, sphere=True)
    (tmp_path / "TEST" / "DR1" / "MCC00" / "SX1.PHN").write_text(lines)
    with pytest.raises(ValueError, match=message):
        timit.load(tmp_path).test.spoken(0)


def test_what_is_missing_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.delenv("SIGCONV_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="no --data-root given, SIGCONV_DATA is not set.*LDC93S1"):
        timit.load()
    with pytest.raises(FileNotFoundError, match="no data set 'timit' under"):
        timit.load(tmp_path)
    phones(tmp_path, {"TRAIN": ["FAA00"]}, utterances=1)
    with pytest.raises(FileNotFoundError, match="has no folder TEST"):
        timit.load(tmp_path)
    phones(tmp_path, {"TEST": ["FAA00"]}, utterances=1)
    with pytest.raises(ValueError, match="speaker 'faa00' is both in TRAIN and in TEST"):
        timit.load(tmp_path)
    (tmp_path / "test" / "dr1" / "faa00").rename(tmp_path / "test" / "dr1" / "mbb00")
    with pytest.raises(ValueError, match="has one speaker"):
        timit.load(tmp_path)
    (tmp_path / "test" / "dr1" / "mbb00" / "sx1.phn").unlink()
    with pytest.raises(FileNotFoundError, match=r"sx1\.wav' has no sx1\.phn beside it"):
        timit.load(tmp_path)


def test_ap1_a_frame_sees_fifteen_frames_of_its_own_sentence(root):
    sentences = timit.load(root).test
    frames, front = _frames.framed(sentences)
    assert len(frames) == sum(frames.lengths)
    assert frames.x.shape == (len(frames), 3, 40), "what is around a frame is not kept fifteen times"
    assert frames.lengths[0] == 1 + len(sentences.spoken(0).sound) // front.hop
    end = frames.lengths[0]
    for index in (0, 40, end - 1, end, len(frames) - 1):
        x, y = frames.item(index)
        number = 0 if index < end else int(np.searchsorted(np.cumsum(frames.lengths), index, side="right"))
        first = sum(frames.lengths[:number])
        rows = [min(max(index + k, first), first + frames.lengths[number] - 1) for k in range(-7, 8)]
        wanted = torch.stack([frames.x[row, plane] for plane in range(3) for row in rows])
        assert torch.equal(x, wanted), "45 channels: static, then Δ, then ΔΔ, of 15 frames each"
        assert y == frames.y[index]
    moments = frames.x.double().mean(0).abs().max(), (frames.x.double().std(0, correction=0) - 1).abs().max()
    assert max(moments) < 1e-3


def test_ap1_test_frames_are_normalised_by_the_training_sentences(root):
    train, _, test = timit.load(root)
    _, front = _frames.framed(train)
    with_train, _ = _frames.framed(test, front)
    own, _ = _frames.framed(test)
    plain = front(torch.from_numpy(test.spoken(0).sound))
    torch.testing.assert_close(with_train.x[: len(plain)], (plain - front.mean) / front.deviation)
    assert not torch.allclose(own.x, with_train.x, atol=1e-3)


def test_n23_digital_silence_has_finite_frames(tmp_path):
    phones(tmp_path, {"TRAIN": ["FAA00", "FBB00"], "TEST": ["MCC00"]}, utterances=1)
    path = tmp_path / "test" / "dr1" / "mcc00" / "sx1.wav"
    soundfile.write(path, np.zeros(20000), FS, subtype="PCM_16")
    path.with_suffix(".phn").write_text("0 20000 h#\n")
    frames, _ = _frames.framed(timit.load(tmp_path).test)
    assert frames.x.isfinite().all()


def test_a_rate_of_its_own_is_refused_by_name(tmp_path):
    phones(tmp_path, {"TRAIN": ["FAA00", "FBB00"], "TEST": ["MCC00"]}, utterances=1)
    train, _, test = timit.load(tmp_path)
    sound = test.spoken(0).sound
    soundfile.write(test.utterances[0].sound, sound, 8000, subtype="PCM_16")
    with pytest.raises(ValueError, match=r"sx1\.wav' is sampled at 8000 Hz, others at 16000"):
        _frames.framed(test, _frames.framed(train)[1])


def test_states_are_thirds_and_what_lies_outside_is_of_the_nearest():
    marks = [(20, 50, "aa"), (50, 110, "zh")]
    zh = 60 * 3
    assert _frames.states_of(marks, 14, 10).tolist() == [0, 0, 0, 1, 2, zh, zh, zh + 1, zh + 1, zh + 2] + [zh + 2] * 4


@st.composite
def problems(draw):
    frames, states, seed = draw(st.integers(1, 5)), draw(st.integers(1, 4)), draw(st.integers(0, 10**6))
    random = np.random.default_rng(seed)
    step = random.normal(size=(states, states))
    step[random.random(step.shape) < 0.3] = -np.inf
    chain = _decoding.Chain(random.normal(size=states), step, random.normal(size=states))
    return random.normal(size=(frames, states)), chain


@given(problems())
@examples(60)
def test_viterbi_finds_the_best_of_all_paths(problem):
    scores, chain = problem
    frames, states = scores.shape

    def score(path):
        total = chain.first[path[0]] + chain.last[path[-1]] + sum(scores[t, s] for t, s in enumerate(path))
        return total + sum(chain.step[i, j] for i, j in itertools.pairwise(path))

    best = max(map(score, itertools.product(range(states), repeat=frames)))
    if best == -np.inf:
        with pytest.raises(ValueError, match="no path of whole phones leads through"):
            _decoding.viterbi(scores, chain)
        return
    path, found = _decoding.viterbi(scores, chain)
    assert found == pytest.approx(best, abs=1e-12)
    assert score(path.tolist()) == pytest.approx(best, abs=1e-12)


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.7, 2.0]))
@examples(30)
def test_a_chain_of_phones_gives_whole_phones_weighed_by_the_bigram(seed, weight):
    random = np.random.default_rng(seed)
    language = _decoding.bigram(random.integers(0, 2, (5, 6)).tolist(), 2)
    durations = random.uniform(1, 4, (2, 3))
    chain = _decoding.chain(language, durations, weight)
    scores = random.normal(size=(8, 6))
    path, found = _decoding.viterbi(scores, chain)

    def spoken(sequence, lengths):
        """The score of phones whose states last so long each, by the definition."""
        total, frame = weight * (language.first[sequence[0]] + language.last[sequence[-1]]), 0
        total += weight * sum(language.after[a, b] for a, b in itertools.pairwise(sequence))
        for (phone, state), length in zip(itertools.product(sequence, range(3)), lengths, strict=True):
            leave = 1 / max(durations[phone, state], 1.001)
            total += scores[frame : frame + length, 3 * phone + state].sum()
            total += (length - 1) * math.log(1 - leave) + math.log(leave)
            frame += length
        return total

    best = -np.inf
    for count in (1, 2):
        cuts = itertools.combinations(range(1, 8), 3 * count - 1)
        for cut, sequence in itertools.product(list(cuts), itertools.product(range(2), repeat=count)):
            best = max(best, spoken(sequence, np.diff([0, *cut, 8]).tolist()))
    assert found == pytest.approx(best, abs=1e-9)
    assert len(_decoding.phones_of(path, 3)) in (1, 2)


def test_bigrams_are_probabilities_of_what_follows():
    found = _decoding.bigram([[0, 1, 2], [0, 1, 1]], 3)
    rows = np.concatenate([np.exp(found.after), np.exp(found.last)[:, None]], 1)
    np.testing.assert_allclose(rows.sum(1), 1)
    assert found.first.argmax() == 0
    assert found.after[0].argmax() == 1
    assert np.isfinite(found.after).all(), "what was never seen may be said all the same"
    many = _decoding.bigram([[0, 1]] * 10_000, 2)
    assert math.exp(many.after[0, 1]) == pytest.approx(1, abs=1e-3)


@given(*[st.lists(st.sampled_from("abc"), max_size=6)] * 3)
@examples(100)
def test_edit_distance_is_the_least_of_all_ways_and_a_metric(one, other, third):
    def least(a, b):
        if not a or not b:
            return len(a) + len(b)
        return min(least(a[1:], b) + 1, least(a, b[1:]) + 1, least(a[1:], b[1:]) + (a[0] != b[0]))

    distance = _decoding.edit_distance
    assert distance(one[:5], other[:5]) == least(one[:5], other[:5])
    assert distance(one, other) == distance(other, one)
    assert distance(one, third) <= distance(one, other) + distance(other, third)
    assert (distance(one, other) == 0) == (one == other)


def test_known_distances_and_rates():
    assert _decoding.edit_distance("kitten", "sitting") == 3
    assert _decoding.edit_distance("", "abc") == _decoding.edit_distance("abc", "") == 3
    assert _decoding.error_rate(["a", "bcd"], ["a", "b"]) == 1.0
    with pytest.raises(ValueError, match="an error rate of no phones at all"):
        _decoding.error_rate(["a"], [""])
    with pytest.raises(ValueError, match=r"scores of shape \(3, 2\)"):
        _decoding.viterbi(np.zeros((3, 2)), _decoding.Chain(np.zeros(3), np.zeros((3, 3)), np.zeros(3)))
    with pytest.raises(ValueError, match="expected two states a phone"):
        _decoding.chain(_decoding.bigram([[0]], 1), np.ones((1, 1)), 1.0)


def test_right_scores_decode_to_the_phones_that_were_said(root):
    train, _, test = timit.load(root)
    known, front = _frames.framed(train)
    frames, _ = _frames.framed(test, front)
    sure = torch.nn.functional.one_hot(frames.y, 183).double().mul(50).log_softmax(1)
    language = _decoding.bigram([[timit.PHONES_61.index(p) for p in said] for said in known.phones], 61)
    assert recipe.error_rate(frames, sure, _decoding.chain(language, known.durations, 1.0)) == 0


@pytest.mark.parametrize("sharing", recipe.SHARING)
def test_ap1_every_sharing_takes_frames(sharing):
    net = recipe.network(sharing, width=1 / 16, activation="sigmoid", dropout=0.0)
    assert net(torch.zeros(2, 45, 40)).shape == (2, 183)


def test_ap1_the_recipe_finds_made_phones_of_unheard_speakers(root, tmp_path):
    words = ["--data-root", str(root), "--sharing", "limited", "--width", "0.1", "--activation", "relu"]
    words += ["--epochs", "4", "--batch-size", "64", "--out", str(tmp_path)]
    record = run(recipe.phone_states, words)
    found = record["metrics"]
    figures = {"frame_accuracy", "phone_error_rate", "phone_error_rate_dev", "language_weight", "parameters"}
    assert set(found) == figures | {f"{name}_dense" for name in figures} | {"frame_accuracy_most_frequent"}
    assert found["frame_accuracy"] > 0.5 > found["frame_accuracy_most_frequent"]
    assert found["phone_error_rate"] < 0.3, "seven sounds far apart"
    assert record["test_size"] == len(_frames.framed(timit.load(root).test)[0])
    assert ": not the official core set." in (Path(record["run_folder"]) / "log.txt").read_text()


def test_a_studys_rows_reach_the_processes_without_a_folder(tmp_path, monkeypatch):
    job = Job("study", {}, 0, "cpu")
    job.at(tmp_path)
    job.resuming = True
    (tmp_path / "metrics.jsonl").write_text('{"model": "a-1", "name": "a", "size": 1, "data": "ab"}\n{"cut')
    first = _study.finished(job, "name", "size", data="ab")
    assert list(first) == [("a", 1)]
    with monkeypatch.context() as patch:  # as the second process sees it: what is told comes from the first
        patch.setattr("sigconv.train.processes.number", lambda: 1)
        patch.setattr("sigconv.train.processes.told", lambda value: list(first.values()) if value is None else value)
        second = Job("study", {}, 0, "cpu")
        second.at(tmp_path)
        second.resuming = True
        assert second.folder is None
        assert _study.finished(second, "name", "size", data="ab") == first
    with pytest.raises(ValueError, match="has trainings on other data"):
        _study.finished(job, "name", "size", data="cd")


def test_words_that_cannot_be_meant(tmp_path):
    with pytest.raises(console.UsageError, match="--sharing 'some' is not one of full"):
        run(recipe.phone_states, ["--sharing", "some", "--out", str(tmp_path)])
    with pytest.raises(console.UsageError, match="--sharing dense pools nothing: leave --pooling softmax out"):
        run(recipe.phone_states, ["--sharing", "dense", "--pooling", "softmax", "--out", str(tmp_path)])
