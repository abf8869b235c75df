"""Tokens by tables of words: kernels, twins and layers against one-hot convolution, exactly where sums are integers."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples
from torch import nn
from torch.nn import functional as F

import sigconv as sc
from sigconv.kernels import _axis, _lanes, _word_layout, _word_loops, _word_tables, words

KINDS = (torch.float32, torch.float64)


@st.composite
def lookups(draw, dtype=None):
    """Tokens, a weight and a bias of small whole numbers, so that every order of summing gives the same; options."""
    symbols, taps = draw(st.integers(1, 22)), draw(st.integers(1, 14))
    stride, before, after, dilation = (draw(st.integers(low, 3)) for low in (1, 0, 0, 1))
    n = max(dilation * (taps - 1) + 1 - before - after, 1) + draw(st.sampled_from([0, 1, 5, 90]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    whole = lambda *size: torch.randint(-2, 3, size, generator=generator).to(dtype or draw(st.sampled_from(KINDS)))
    x = torch.randint(0, symbols, (draw(st.integers(1, 3)), n), generator=generator)
    filters = draw(st.sampled_from([1, 2, 16, 33, 70]))
    weight = whole(filters, symbols, taps)
    bias = whole(filters).to(weight.dtype) if draw(st.booleans()) else None
    return x.to(draw(st.sampled_from([torch.uint8, torch.int32, torch.int64]))), weight, bias, (
        stride, before, after, dilation,
    )  # fmt: skip


def dense(x, weight, bias, stride, before, after, dilation):
    """The definition: one-hot channels, torch's convolution in float64."""
    hot = F.pad(F.one_hot(x.long(), weight.shape[1]).movedim(-1, 1).double(), (before, after))
    y = F.conv1d(hot, weight.double(), None if bias is None else bias.double(), stride, 0, dilation)
    return y.to(weight.dtype)


def leaves(*tensors):
    return tuple(t.clone().requires_grad_() for t in tensors if t is not None)


@examples(200)
@given(lookups())
def test_sums_and_their_gradients_are_those_of_one_hot_channels(drawn):
    x, weight, bias, options = drawn
    assert words.usable(x, weight, bias)
    given_, true = leaves(weight, bias), leaves(weight, bias)
    y = words.word_sums(x, *(*given_, None)[:2], *options)
    y_true = dense(x, *(*true, None)[:2], *options)
    assert torch.equal(y, y_true)
    g = torch.randint(-2, 3, y.shape).to(y.dtype)
    for ours, theirs in zip(torch.autograd.grad(y, given_, g), torch.autograd.grad(y_true, true, g), strict=True):
        assert torch.equal(ours, theirs)


@examples(200)
@given(lookups())
def test_the_best_window_and_its_gradient_are_the_first_of_all_by_kernel_and_twin(drawn):
    x, weight, bias, options = drawn
    true = leaves(weight, bias)
    best = dense(x, *(*true, None)[:2], *options).max(2)
    g = torch.randint(-2, 3, best.values.shape).to(weight.dtype)
    slopes = torch.autograd.grad(best.values, true, g)
    for way in (words.best_match, words.twin):
        ours = leaves(weight, bias)
        y = way(x, *(*ours, None)[:2], *options)
        assert torch.equal(y, best.values)
        assert torch.equal(way(x, weight, bias, *options), best.values)
        assert all(map(torch.equal, torch.autograd.grad(y, ours, g), slopes))
    assert torch.equal(words._best(x, weight, bias, *options)[1], best.indices)


@examples(60)
@given(lookups(torch.float64), st.sampled_from(KINDS), st.integers(0, 999))
def test_n1_real_sums_keep_the_error_gate(drawn, dtype, seed):
    x, weight, _, options = drawn
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
    bias = torch.randn(len(weight), generator=generator, dtype=torch.float64)
    near, far = weight.to(dtype), bias.to(dtype)
    exact, scale = (dense(x, w.double(), b.double(), *options) for w, b in ((near, far), (near.abs(), far.abs())))
    gate = torch.finfo(dtype).eps * weight[0].numel() ** 0.5 * scale + torch.finfo(torch.float64).eps * scale * 24
    assert ((words.word_sums(x, near, far, *options).double() - exact).abs() <= gate).all()
    for way in (words.best_match, words.twin):
        assert ((way(x, near, far, *options).double() - exact.amax(2)).abs() <= gate.amax(2)).all()


@pytest.mark.parametrize("way", [words.word_sums, words.best_match, words.twin])
def test_n15_first_and_second_derivatives(way):
    generator = torch.Generator().manual_seed(3)
    x = torch.randint(0, 3, (2, 9), generator=generator)
    leaves = [torch.randn(s, generator=generator, dtype=torch.float64, requires_grad=True) for s in ((3, 3, 4), (3,))]
    run = lambda weight, bias: way(x, weight, bias, 2, 1, 2, 2)
    assert torch.autograd.gradcheck(run, leaves)
    assert torch.autograd.gradgradcheck(lambda *leaves: run(*leaves) ** 2, leaves)


@pytest.mark.parametrize("call", [sc.conv, sc.conv_max])
def test_n16_n17_compiled_transformed_and_meta_calls_say_the_same(call):
    generator = torch.Generator().manual_seed(1)
    x = torch.randint(0, 5, (2, 30), generator=generator)
    weight, bias, along = (torch.randn(s, generator=generator) for s in ((6, 4, 7), (6,), (6, 4, 7)))
    run = lambda weight: call(x, weight, bias, padding="same")
    y = run(weight)
    torch._dynamo.reset()
    compiled = torch.compile(lambda weight, x: call(x, weight, bias, padding="same"), backend="aot_eager")
    torch.testing.assert_close(compiled(weight, x), y)
    torch.testing.assert_close(torch.vmap(run)(torch.stack([weight, -weight])), torch.stack([y, run(-weight)]))
    rows = torch.vmap(lambda row: call(row[None], weight, bias, padding="same")[0])(x)
    torch.testing.assert_close(rows, y)
    value, slope = torch.func.jvp(run, (weight,), (along,))
    leaf = weight.clone().requires_grad_()
    (g,) = torch.autograd.grad(run(leaf).sum(), leaf)
    torch.testing.assert_close(value, y)
    torch.testing.assert_close(slope.sum(), (g * along).sum(), rtol=1e-4, atol=1e-4)
    on_meta = call(x.to("meta"), weight.to("meta"), bias.to("meta"), padding="same")
    assert (on_meta.shape, on_meta.dtype) == (y.shape, y.dtype)


def test_n2_what_is_not_finite_stays_in_the_windows_that_select_it():
    weight = torch.zeros(3, 4, 2)
    weight[0, 3, 0], weight[1, 3, 0], weight[2, 3, 0] = torch.inf, -torch.inf, torch.nan
    clean, met = torch.tensor([[0, 1, 2, 1, 3]]), torch.tensor([[0, 3, 2, 1, 0]])
    for way in (words.best_match, words.twin):
        assert way(clean, weight, None, 1, 0, 0, 1).tolist() == [[0.0, 0.0, 0.0]]
        best = way(met, weight, None, 1, 0, 0, 1)
        torch.testing.assert_close(best, torch.tensor([[torch.inf, 0.0, torch.nan]]), equal_nan=True)
    low = torch.full((1, 4, 2), -torch.inf)
    assert words.best_match(met, low, None, 1, 0, 0, 1).item() == -torch.inf


def test_any_number_of_threads_gives_the_same_bits():
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 4, (9, 700), generator=generator).to(torch.uint8)
    found, before = [], torch.get_num_threads()
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        weight = torch.randn(70, 4, 24, generator=torch.Generator().manual_seed(1)).requires_grad_()
        for y in (words.best_match(x, weight, None, 1, 0, 0, 1), words.word_sums(x, weight, None, 1, 0, 0, 1)):
            found.append((y.detach(), *torch.autograd.grad(y.square().sum(), weight)))
    torch.set_num_threads(before)
    for row, first in zip(found[2:], found[:2] * 2, strict=True):
        assert all(map(torch.equal, row, first))


@examples(60)
@given(lookups(torch.float64))
def test_the_kernels_adjoint_is_torchs(drawn):
    x, weight, _, options = drawn
    where = words._best(x, weight, None, *options)[1]
    g = torch.randint(-2, 3, where.shape).double()
    stride, before, after, dilation = options
    seen = _word_tables.spelled(x, weight.shape[1], before, after)
    ours = words._put(g, x, where, list(weight.shape), *options)
    assert torch.equal(ours, _word_tables.put_back(g, seen, weight.shape, where, stride, dilation))
    assert (ours * weight).sum() == (g * _word_tables.matched(seen, weight, where, stride, dilation)).sum()


# ---- conv_max


@examples(100)
@given(
    lookups(torch.float64),
    st.sampled_from(["mean", "zero"]),
    st.booleans(),
    st.sampled_from(["zeros", "reflect", "symmetric", "circular", "replicate"]),
)
def test_conv_max_is_conv_relu_and_the_maximum(drawn, unknown, flip, border):
    x, weight, bias, (stride, before, after, dilation) = drawn
    x = torch.where(torch.arange(x.shape[1]) % 5 == 2, 200, x.long())  # no symbol
    span = dilation * (weight.shape[2] - 1) + 1
    before, after = before + span // 2, after + span // 2
    options = {"stride": stride, "padding": ((before, after),), "dilation": dilation, "padding_mode": border}
    options |= {"unknown": unknown, "flip": flip}
    slow = sc.conv(x, weight, bias, **options, method="windows").relu().amax(2)
    for method in ("auto", "lookup", "direct"):
        torch.testing.assert_close(sc.conv_max(x, weight, bias, **options, method=method), slow, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_conv_max_of_half_precision_sums_in_float32(dtype):
    x, weight = torch.randint(0, 4, (2, 40)), torch.randn(3, 4, 9).to(dtype)
    y = sc.conv_max(x, weight)
    assert y.dtype == dtype
    torch.testing.assert_close(y.float(), sc.conv_max(x, weight.float()), rtol=2**-7, atol=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert sc.conv_max(x, weight.float()).dtype == torch.bfloat16


def test_conv_max_of_other_kinds_and_axes():
    hot, weight = torch.randn(2, 3, 9, dtype=torch.float64), torch.randn(4, 3, 4, dtype=torch.float64)
    expected = F.conv1d(hot, weight).relu().amax(2)
    torch.testing.assert_close(sc.conv_max(hot, weight), expected)
    assert isinstance(sc.conv_max(hot.numpy(), weight.numpy()), np.ndarray)
    tokens = np.array([[0, 1, 2, 2, 7]], np.uint8)
    assert sc.conv_max(tokens, np.eye(3)[None]).tolist() == [[3.0]]
    sheet, kernel = torch.randint(0, 3, (2, 6, 5)), torch.randn(4, 3, 2, 3, dtype=torch.float64)
    channels = F.one_hot(sheet, 3).movedim(-1, 1).double()
    torch.testing.assert_close(sc.conv_max(sheet, kernel), F.conv2d(channels, kernel).relu().amax((2, 3)))
    assert sc.conv_max(tokens[:0], np.eye(3)[None]).shape == (0, 1)
    assert sc.conv_max(torch.zeros(2, 5, dtype=torch.long), torch.ones(0, 4, 3)).shape == (2, 0)


def test_conv_max_gives_equal_windows_gradient_to_the_first_and_none_below_zero():
    tokens, hot = torch.tensor([[0, 1, 0, 1]]), F.one_hot(torch.tensor([[0, 1, 0, 1]]), 2).movedim(-1, 1).double()
    weight = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[-1.0, -1.0], [-1.0, -1.0]]], dtype=torch.float64)
    leaf, seen = weight.clone().requires_grad_(), hot.clone().requires_grad_()
    sc.conv_max(tokens, leaf).sum().backward()
    assert leaf.grad.tolist() == [[[1.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]]
    sc.conv_max(seen, weight).sum().backward()
    assert seen.grad.tolist() == [[[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, w: sc.conv_max(x, w, padding=1, padding_mode="constant"), "'constant' has no meaning for tokens"),
        (lambda x, w: sc.conv_max(x, w, unknown="none"), "unknown 'none' is not one of"),
        (lambda x, w: sc.conv_max(x, w, method="lokup"), "method 'lokup' is not one of"),
        (lambda x, w: sc.conv_max(x[:, :3], w), "kernel 5 is larger than the padded input 3"),
        (lambda x, w: sc.conv_max(x, w, groups=2), "no meaning for tokens"),
        (lambda x, w: sc.conv_max(x, w, memory="much"), "memory 'much'"),
    ],
)
def test_conv_max_refuses_what_conv_refuses_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as refused:
        call(torch.zeros(1, 9, dtype=torch.long), torch.ones(2, 4, 5))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("ndim", [1, 2])
def test_the_layer_is_its_three_in_one(ndim):
    three = nn.Sequential(sc.Conv(4, 5, 3, padding="same", ndim=ndim), nn.ReLU(), sc.GlobalMaxPool())
    one = sc.ConvMax(4, 5, 3, padding="same", ndim=ndim)
    one.load_state_dict(three[0].state_dict())
    x = torch.randint(0, 5, (2, *[11] * ndim))
    torch.testing.assert_close(one(x), three(x))
    one(x).sum().backward(), three(x).sum().backward()
    torch.testing.assert_close(one.weight.grad, three[0].weight.grad)


# ---- without the kernels, and inside them


def test_without_numba_the_twin_answers(monkeypatch):
    x, weight = torch.randint(0, 4, (2, 30)), torch.randn(5, 4, 9)
    expected = sc.conv(x, weight), sc.conv_max(x, weight)
    monkeypatch.setattr(_axis, "numba_at_hand", lambda: False)
    assert not words.usable(x, weight, None)
    torch.testing.assert_close((sc.conv(x, weight, method="lookup"), sc.conv_max(x, weight)), expected)


def test_the_twin_in_many_chunks(monkeypatch):
    x, weight, bias = torch.randint(0, 4, (5, 30)), torch.randn(9, 4, 7), torch.randn(9)
    expected = words.best_match(x, weight, bias, 1, 0, 0, 1)
    monkeypatch.setattr(_word_tables, "CHUNK", 100)
    monkeypatch.setattr(_word_tables, "BLOCK", 4)
    torch.testing.assert_close(words.twin(x, weight, bias, 1, 0, 0, 1), expected)


@pytest.mark.parametrize("dtype", KINDS)
def test_loops_run_uncompiled_as_compiled(dtype, monkeypatch):
    x, weight, bias = torch.randint(0, 4, (2, 12)), torch.randn(3, 4, 5, dtype=dtype), torch.randn(3, dtype=dtype)
    g = torch.randn(2, 3, 8, dtype=dtype)

    def everything():
        leaf = weight.clone().requires_grad_()
        y, best = (way(x, leaf, bias, 1, 0, 0, 1) for way in (words.word_sums, words.best_match))
        return y, best, *torch.autograd.grad(y, leaf, g), *torch.autograd.grad(best.sum(), leaf)

    compiled = everything()
    for module in (words, _word_layout):
        monkeypatch.setattr(module, "compiled", lambda function: function)
    for plain, fast in zip(everything(), compiled, strict=True):
        torch.testing.assert_close(plain, fast)


def test_vectors_begin_where_lines_of_cache_do():
    for dtype in (np.float32, np.float64):
        array = _lanes.aligned((3, 5), dtype)
        assert array.ctypes.data % _lanes.LINE == 0
        assert (array.shape, array.dtype, array.flags.writeable) == ((3, 5), dtype, True)
        v = np.arange(_lanes.lanes(dtype), dtype=dtype)
        _lanes.store(room := np.zeros(99, dtype), 7, v)
        assert np.array_equal(_lanes.load(room, 7), v)
    assert _word_loops.TILE % 16 == 0


def test_words_hold_as_many_taps_as_a_table_has_room_for():
    for symbols in (1, 4, 5, 21, 70, 600):
        length = _word_tables.word(symbols, 24)
        assert length == 1 or (symbols + 1) ** length <= _word_tables.ROWS
        assert (symbols + 1) ** (length + 1) > _word_tables.ROWS or length == 24
        table = _word_tables.tables(torch.ones(2, symbols, 24), min(length, 3))
        assert table.shape == (-(-24 // min(length, 3)), (symbols + 1) ** min(length, 3), 2)
        assert not table[:, -1].any()  # nothing adds nothing


TRITON = """
import torch
from sigconv.kernels import _word_triton, words
generator = torch.Generator().manual_seed(0)
whole = lambda dtype, *size: torch.randint(-3, 4, size, generator=generator).to(dtype)
shapes = [(40, 5, 4, 7, (1, 0, 0, 1)), (50, 33, 5, 9, (2, 3, 1, 2)), (30, 40, 20, 4, (3, 0, 5, 1))]
for dtype in (torch.float32, torch.float64):
    for n, filters, symbols, taps, options in shapes:
        x = torch.randint(0, symbols + 1, (3, n), generator=generator)
        weight = whole(dtype, filters, symbols, taps)
        for bias in (None, whole(dtype, filters)):
            given = x, weight, bias, *options
            assert all(map(torch.equal, _word_triton.best(*given), words._best(*given)))
weight[:, :, 0] = float("nan")
assert _word_triton.best(torch.zeros(1, 9, dtype=torch.long), weight, None, 1, 0, 0, 1)[0].isnan().all()
"""


def test_the_triton_kernel_interpreted_is_the_cpus():
    if importlib.util.find_spec("triton") is None:
        pytest.skip("triton is not installed: it comes with torch's builds for CUDA")
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    run = [sys.executable, "-c", TRITON]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("tokens", [True, False])
def test_a_summary_counts_the_border_of_a_best_match_and_sees_all_of_space(tokens):
    model = sc.ConvMax(4, 8, 24, padding="same", ndim=1)
    told = sc.describe(model, (2, 12) if tokens else (2, 4, 12), dtype=torch.uint8 if tokens else None)
    assert told[0].shape == (2, 8)
    assert told[0].macs == 2 * 8 * 12 * 24 * 4
    assert told[0].receptive_field >= (12,)
