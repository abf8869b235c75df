"""The Triton kernels of DNA, interpreted: tokens looked up, and motifs along letters, against their twins."""

import numpy as np
import pytest
import torch
from interpreted import DOUBLE, case, derived, failures, interpreted, made, main, same
from test_scan import drawn as matrices
from test_scan import letters, together
from torch.nn import functional as F

import sigconv as sc
from sigconv.kernels import _motif_triton, _word_back_triton, _word_tables, _word_triton, motifs, words

_word_back_triton.PROGRAMS, _word_triton.SPELLED = 8, 1 << 13  # few programs: each is slow where it is interpreted
LOOKUPS = [  # places, filters, symbols, taps, stride, before, after, dilation
    ((3, 40), 3, 4, 7, (1, 0, 0, 1)),
    ((1, 80), 2, 4, 24, (1, 5, 2, 1)),
    ((2, 30), 2, 5, 9, (2, 3, 1, 2)),
    ((1, 20), 2, 20, 4, (3, 0, 5, 1)),
    ((2, 3), 2, 1, 14, (1, 9, 4, 1)),  # margins beyond its reach
    ((2, 12), 2, 70, 3, (1, 0, 1, 3)),  # two letters to a word, of which one is left over
]


def drawn(row, dtype=DOUBLE, whole=False):
    """Tokens, some of them none, a weight, a bias, options."""
    size, filters, symbols, taps, options = row
    generator = torch.Generator().manual_seed(sum(size))
    x = torch.randint(-1, symbols + 2, size, generator=generator)
    x = x.clamp(0).to(torch.uint8) if symbols == 4 else x
    weight, bias = made(filters, symbols, taps, seed=1), made(filters, seed=2)
    if whole:  # sums of whole numbers are the same in every order
        weight, bias = weight.mul(2).round(), bias.mul(2).round()
    return x, weight.to(dtype), bias.to(dtype), options


def dense(x, weight, bias, stride, before, after, dilation):
    """The definition: one-hot channels and torch's convolution."""
    symbols = weight.shape[1]
    known = torch.where((x.long() >= 0) & (x < symbols), x.long(), symbols - 1)
    hot = F.pad(F.one_hot(known, symbols).movedim(-1, 1).to(weight.dtype), (before, after))
    return F.conv1d(hot, weight, bias, stride, 0, dilation)


@case
def all_windows_and_their_first_and_second_derivatives_are_those_of_one_hot_channels():
    for row in LOOKUPS:
        x, weight, bias, options = drawn(row)
        assert words.usable(x, weight, bias)
        y = dense(x, weight, bias, *options)
        way = lambda which: lambda w, b: which(x, w, b, *options).sin()  # noqa: B023  what is linear has no second
        run = lambda which: derived(way(which), (weight, bias), made(*y.shape, seed=3), row is LOOKUPS[2])  # noqa: B023
        same(run(words.word_sums), run(dense))
        torch.testing.assert_close(words.word_sums(x, weight, None, *options), dense(x, weight, None, *options))


@case
def the_best_window_is_the_first_of_all_and_its_gradients_are_the_twins():
    for row in LOOKUPS:
        for dtype in (torch.float32, DOUBLE):
            x, weight, bias, options = drawn(row, dtype, whole=True)
            best = dense(x, weight, bias, *options).max(2)
            y, where = words._best(x, weight, bias, *options)
            assert torch.equal(y, best.values)
            assert torch.equal(where, best.indices)
            assert where.dtype == torch.int64
        g = made(*y.shape, seed=3)
        way = lambda which: lambda w, b: which(x, w, b, *options).sin()  # noqa: B023
        run = lambda which: derived(way(which), (weight, bias), g, row is LOOKUPS[2])  # noqa: B023
        same(run(words.best_match), run(words.twin))
        none = words.best_match(x, weight, None, *options)
        assert torch.equal(none, dense(x, weight, None, *options).amax(2))


@case
def n1_real_sums_of_every_dtype_keep_the_error_gate():
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        for row in LOOKUPS[1:3]:
            x, weight, bias, options = drawn(row, dtype)
            leaves, wide = ([t.to(kind).requires_grad_() for t in (weight, bias)] for kind in (dtype, DOUBLE))
            scale = dense(x, weight.double().abs(), bias.double().abs(), *options).detach()
            eps, least = torch.finfo(dtype).eps, torch.finfo(torch.float32).eps
            y, exact = words.word_sums(x, *leaves, *options), dense(x, *wide, *options)
            gate = eps * exact.abs() + least * 30**0.5 * scale
            assert y.dtype == dtype
            assert ((y.double() - exact).abs() <= gate).all(), dtype
            top = words.best_match(x, *leaves, *options)
            assert top.dtype == dtype
            assert ((top.double() - exact.amax(2)).abs() <= gate.amax(2)).all(), dtype
            for one, true in ((y, exact), (top, exact.amax(2))):
                g = made(*one.shape, dtype=dtype, seed=3)
                found = torch.autograd.grad(one, leaves, g, retain_graph=True)
                slopes = torch.autograd.grad(true, wide, g.double(), retain_graph=True)
                for ours, theirs in zip(found, slopes, strict=True):
                    assert ours.dtype == dtype
                    assert ((ours.double() - theirs).abs() <= 4 * (eps + 16 * least) * theirs.abs().max()).all(), dtype


@case
def n2_what_is_not_finite_stays_in_the_windows_that_select_it():
    x = torch.tensor([[0, 1, 2, 1, 3, 2, 3], [0, 1, 2, 1, 0, 2, 0]])
    weight = torch.zeros(4, 4, 2)
    weight[0, 3, 0], weight[1, 3, 0], weight[2, 3, 0] = torch.inf, -torch.inf, torch.nan
    weight[3, 2, 0], weight[3, 3, 0] = torch.inf, torch.nan  # NaN stands above all, also above what came before
    expected = torch.stack([weight[:, x[0, p], 0] + weight[:, x[0, p + 1], 1] for p in range(6)], 1)
    torch.testing.assert_close(words.word_sums(x, weight, None, 1, 0, 0, 1)[0], expected, equal_nan=True)
    y, where = words._best(x, weight, None, 1, 0, 0, 1)
    torch.testing.assert_close(y[0], torch.tensor([torch.inf, 0, torch.nan, torch.nan]), equal_nan=True)
    torch.testing.assert_close(y[1], torch.tensor([0, 0, 0, torch.inf]))
    assert where.tolist() == [[4, 0, 4, 4], [0, 0, 0, 2]]
    kept, alike = _word_triton.BEST, torch.zeros(1, 90, dtype=torch.uint8)
    for programs in (1, 64):  # ties in several steps, and in several parts
        _word_triton.BEST = ((16, 4, programs),)
        assert words._best(alike, weight, None, 1, 0, 0, 1)[1].tolist() == [[0, 0, 0, 0]]
    _word_triton.BEST = kept
    low = torch.full((1, 4, 2), -torch.inf)
    assert [t.item() for t in words._best(x[:1], low, None, 1, 0, 0, 1)] == [-torch.inf, 0]


@case
def n19_the_same_bits_whatever_the_blocks_and_the_parts():
    x, weight, bias, options = drawn(LOOKUPS[1], torch.float32)
    kept, found = (_word_triton.BEST, _word_triton.SUMS), []
    for candidate in (*kept[0], (16, 4, 64)):  # the last cuts a sequence into parts
        _word_triton.BEST, _word_triton.SUMS = (candidate,), (candidate[:2],)
        found.append((*words._best(x, weight, bias, *options), words.word_sums(x, weight, bias, *options)))
    _word_triton.BEST, _word_triton.SUMS = kept
    for row in found[1:]:
        assert all(map(torch.equal, row, found[0]))
    weight[1, 1, 4] = torch.nan
    one = words._best(x, weight, bias, *options)
    _word_triton.BEST = ((16, 4, 64),)
    torch.testing.assert_close(words._best(x, weight, bias, *options), one, equal_nan=True, rtol=0, atol=0)
    _word_triton.BEST = kept[0]


@case
def gradients_gathered_are_those_put_back_number_by_number():
    for row in LOOKUPS:
        x, weight, bias, (stride, before, after, dilation) = drawn(row, whole=True)
        where = words._best(x, weight, bias, *row[4])[1]
        g = made(*where.shape, seed=5).mul(3).round()
        seen = _word_tables.spelled(x, weight.shape[1], before, after)
        ours = words._put(g, x, where, list(weight.shape), *row[4])
        assert torch.equal(ours, _word_tables.put_back(g, seen, weight.shape, where, stride, dilation))


@case
def what_other_layouts_and_other_tokens_say():
    x, weight, bias, options = drawn(LOOKUPS[2])
    y, best = words.word_sums(x, weight, bias, *options), words.best_match(x, weight, bias, *options)
    turned = weight.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    for seen in (x.int(), x.to(torch.int8), x.T.contiguous().T):
        assert torch.equal(words.word_sums(seen, turned, bias, *options), y)
        assert torch.equal(words.best_match(seen, turned, bias, *options), best)
    many = weight.repeat(13, 1, 1)  # two blocks of filters, the second not full
    assert torch.equal(
        words.word_sums(x, many, None, *options), words.word_sums(x, weight, None, *options).repeat(1, 13, 1)
    )
    assert torch.equal(
        words.best_match(x, many, None, *options), words.best_match(x, weight, None, *options).repeat(1, 13)
    )
    leaf = weight.clone().requires_grad_()  # the gradient of a sum is one number, expanded
    slope = torch.autograd.grad(dense(x, leaf, None, *options).sum(), leaf)[0]
    torch.testing.assert_close(torch.autograd.grad(words.word_sums(x, leaf, None, *options).sum(), leaf)[0], slope)
    assert not words.usable(x[:0], weight, None)
    assert not words.usable(x, weight[:0], None)
    large = torch.empty(1, dtype=torch.uint8).expand(1, 2**30)
    assert not words.usable(large, weight, None)


@case
def n16_n17_the_layers_take_the_kernels_compiled_and_transformed():
    x = torch.randint(0, 5, (2, 30), generator=torch.Generator().manual_seed(1))
    weight, bias = made(6, 4, 7, dtype=torch.float32), made(6, dtype=torch.float32, seed=2)
    for call, method, whole in ((sc.conv, "lookup", False), (sc.conv_max, "auto", True)):
        run = lambda w, x=x: call(x, w, bias, padding="same", method=method)  # noqa: B023
        y = run(weight)
        interpreted(False)
        torch.testing.assert_close(run(weight), y)
        interpreted()
        torch.testing.assert_close(torch.vmap(run)(torch.stack([weight, -weight])), torch.stack([y, run(-weight)]))
        value, slope = torch.func.jvp(run, (weight,), (weight,))
        torch.testing.assert_close(value, y)
        assert slope.abs().max() > 0
        if not whole:
            continue
        torch._dynamo.reset()
        torch.testing.assert_close(torch.compile(run, backend="aot_eager")(weight), y)


# ---- motifs


def hits(plan, text, count=None, room=motifs.ROOM):
    """By the kernels."""
    count = len(text) if count is None else count
    parts = [motifs.Found(*rows) for rows in _motif_triton.find(_motif_triton.placed(plan, "cpu", room), text, count)]
    return together(parts), max((len(part.start) for part in parts), default=0)


def identical(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def planned(seed, number, share, widest=12):
    """A plan whose thresholds are such a share of the best score; negative ones are always reached."""
    scores = matrices(np.random.default_rng(seed), number, widest)
    best = np.array([one.max(0).sum() for one in scores])
    return motifs.plan(scores, np.where(best > 0, best * share, best / np.maximum(share, 0.1)))


@case
def hits_are_those_of_the_definition_to_the_bit():
    rng = np.random.default_rng(1)
    for seed, (share, length) in enumerate(((0.6, 1100), (1, 600), (-1e6, 520), (np.linspace(-1, 1.2, 7), 700))):
        plan, text = planned(seed, 7 if seed == 3 else 11, share, 20 if seed % 2 else 12), letters(rng, length)
        expected = motifs.twin(plan, text)
        identical(hits(plan, text)[0], expected)
        assert len(expected.start) > (0 if seed != 1 else -1)
        count = length // 3  # others begin there, but are another text's own
        identical(hits(plan, text, count)[0], motifs.twin(plan, text, count))


@case
def hits_that_lack_as_much_as_may_be_lacked_are_sieved_out_no_more_than_others():
    plan = motifs.plan([np.eye(4)] * 9, [1.0] * 4 + [1.0 + 1e-15] * 5)  # two groups of matrices
    text = np.full(30, 3, np.uint8)
    expected = motifs.twin(plan, text)
    assert len(expected.start) == 27 * 4
    assert (expected.score == 1).all()
    identical(hits(plan, text)[0], expected)


@case
def hits_at_the_edges_of_texts_spans_and_blocks():
    plan = motifs.plan([np.eye(4), np.ones((4, 1)), np.eye(4)[::-1]], [4.0, 1.0, 4.0])
    for length in (0, 1, 3, 4, 5, 512, 513, 1030):
        text = (np.arange(length) % 4).astype(np.uint8)
        text[5::97] = 4
        identical(hits(plan, text)[0], motifs.twin(plan, text))
    kept, _motif_triton.SPAN = _motif_triton.SPAN, 512
    identical(hits(plan, text)[0], motifs.twin(plan, text))
    _motif_triton.SPAN = kept
    identical(hits(plan, np.full(600, 4, np.uint8))[0], motifs.twin(plan, np.full(600, 4, np.uint8)))


@case
def two_letters_to_a_lookup_find_what_three_do():
    kept = motifs.numba_at_hand, motifs._lookups.way
    found = []
    for letters_ in (2, 3):
        motifs.numba_at_hand, motifs._lookups.way = lambda: True, lambda n=letters_: kept[1]()._replace(letters=n)
        plan = planned(3, 5, 0.4)
        assert plan.tables.shape[1] == 4**letters_
        found.append(hits(plan, letters(np.random.default_rng(0), 700))[0])
    motifs.numba_at_hand, motifs._lookups.way = kept
    assert len(found[0][0])
    identical(*found)


@case
def where_there_are_too_many_hits_to_hold_blocks_are_halved():
    rng = np.random.default_rng(0)
    plan = motifs.plan([one.clip(-20) for one in matrices(rng, 3)], [-1e9] * 3)
    text = rng.integers(0, 4, 70).astype(np.uint8)
    found, most = hits(plan, text, room=40)
    assert most <= 40 < len(found[0])
    identical(found, motifs.twin(plan, text))
    found, most = hits(plan, text[:9], room=1)  # never less than a start's own
    assert most <= 3
    identical(found, motifs.twin(plan, text[:9]))


@case
def what_no_window_reaches_is_not_looked_for():
    nowhere = np.full((4, 2), [-np.inf, 1])
    plan = motifs.plan([nowhere, np.eye(4), np.eye(4)], [0.0, np.inf, 4.1])
    identical(hits(plan, np.arange(4, dtype=np.uint8))[0], motifs.twin(plan, np.arange(4, dtype=np.uint8)))
    some = motifs.plan([nowhere, np.eye(4), np.ones((4, 1))], [0.0, 3.9, 0.5])  # the widest stands last
    identical(hits(some, np.arange(4, dtype=np.uint8))[0], motifs.twin(some, np.arange(4, dtype=np.uint8)))


@case
def scans_of_several_sequences_are_the_cpus():
    from sigconv import scan
    from sigconv.readers.motif import Motif
    from sigconv.scan import _search

    rng = np.random.default_rng(2)
    known = [Motif(f"m{n}", "", rng.dirichlet([0.3] * 4, rng.integers(1, 6)).T * 20) for n in range(4)]
    texts = {f"s{n}": "".join("ACGTN"[t] for t in np.minimum(letters(rng, n * 9), 4)) for n in range(5)}
    expected = list(scan.hits(known, texts, threshold=2.0))
    kept = motifs.finder, _search._device
    motifs.finder = lambda plan, device: (
        lambda text, count: (
            motifs.Found(*rows) for rows in _motif_triton.find(_motif_triton.placed(plan, "cpu", 50), text, count)
        )
    )
    _search._device = lambda device: device
    for jobs in (1, 3):
        assert list(scan.hits(known, texts, threshold=2.0, device="cuda", jobs=jobs)) == expected
    motifs.finder, _search._device = kept
    assert expected


def test_a_device_that_is_not_there_is_told_in_one_line(monkeypatch):
    from sigconv import scan
    from sigconv.kernels import _triton
    from sigconv.readers.motif import Motif

    known = [Motif("m", "", np.diag([9.0] * 4))]
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="device 'cuda' is not to be had here"):
            scan.Search(known, device="cuda")
        assert scan.Search(known, device="auto").device == "cpu"
    with pytest.raises(ValueError, match="device 'gpu' is not one of"):
        scan.Search(known, device="gpu")
    monkeypatch.setattr(_triton, "_FOUND", False)
    with pytest.raises(ValueError, match="device 'cuda' needs Triton"):
        motifs.finder(motifs.plan([np.eye(4)], [4.0]), "cuda")
    assert scan.Search(known, device="auto").device == "cpu"


def test_the_command_takes_a_device(tmp_path, capsys):
    from sigconv import console
    from sigconv.cli import scan as verb

    (tmp_path / "g.fa").write_text(">one\nTTACGTAACC\n")
    (tmp_path / "m.txt").write_text(">M\nA [ 9 0 ]\nC [ 0 9 ]\nG [ 0 0 ]\nT [ 0 0 ]\n")
    given = [str(tmp_path / "m.txt"), str(tmp_path / "g.fa"), "--threshold", "3"]
    for device in ("cpu", "auto"):
        assert verb.main([*given, "--device", device]) == 0
        assert "M\tone\t2\t+" in capsys.readouterr().out
    with pytest.raises(console.UsageError, match="device 'gpu' is not one of"):
        verb.main([*given, "--device", "gpu"])


def test_the_kernels_interpreted_are_their_twins():
    assert not failures(__file__)


if __name__ == "__main__":
    main()
