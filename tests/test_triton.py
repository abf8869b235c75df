"""The Triton kernels without a GPU: Triton's interpreter finds them equal to their twins, derivatives too."""

import ast
import os
import warnings

import pytest
import torch
from interpreted import DOUBLE, case, derived, failures, interpreted, made, main, same

from sigconv.kernels import (
    _triton,
    _triton_pooling,
    blocks,
    depthwise,
    expectation,
    extremes,
    haar,
    norms,
    soft,
    sums,
    taps,
)

# ---- depthwise convolution

DEPTHWISE = [  # space, kernel, stride, before, after, dilation, multiplier
    ((40,), (5,), (1,), (2,), (2,), (1,), 1),
    ((23,), (14,), (2,), (0,), (3,), (1,), 2),
    ((3,), (4,), (3,), (4,), (5,), (2,), 1),  # smaller than the kernel, margins beyond its reach
    ((9, 7), (3, 2), (1, 2), (1, 0), (1, 1), (1, 1), 2),
    ((17, 3), (13, 1), (1, 1), (6, 0), (6, 0), (1, 1), 1),  # too many taps to be written out
    ((7, 6), (2, 3), (4, 3), (1, 2), (0, 2), (3, 2), 1),  # some remainders by the stride meet no tap
    ((5, 4, 6), (2, 3, 2), (1, 2, 1), (1, 1, 0), (0, 1, 1), (1, 1, 2), 1),
    ((3, 4, 3, 4), (2, 1, 2, 2), (1, 1, 2, 1), (0, 0, 1, 1), (1, 0, 0, 0), (1, 1, 1, 2), 1),
]


def drawn(row, dtype=DOUBLE, batch=2, channels=3):
    space, kernel, stride, before, after, dilation, multiplier = row
    if len(space) > 1:
        batch, channels = (2, 2) if len(space) == 2 else (1, 1 + len(space) % 2)
    x, weight = made(batch, channels, *space, dtype=dtype), made(channels * multiplier, 1, *kernel, dtype=dtype, seed=1)
    margins = tuple(zip(before, after, strict=True))
    return x, weight, made(channels * multiplier, dtype=dtype, seed=2), (stride, margins, dilation)


def by_twin(x, weight, bias, stride, margins, dilation):
    before, after = ([pair[side] for pair in margins] for side in (0, 1))
    return depthwise.twin(x, weight, bias, list(stride), before, after, list(dilation))


@case
def n15_depthwise_and_its_first_and_second_derivatives_are_the_twins():
    for row in DEPTHWISE:
        x, weight, bias, options = drawn(row)
        y = by_twin(x, weight, bias, *options)
        leaves, g = (x, weight, bias)[: 2 + (len(row[0]) == 1)], made(*y.shape, seed=3)
        run = lambda way: derived(lambda x, w, b=None: way(x, w, b, *options), leaves, g, len(row[0]) < 3)  # noqa: B023
        same(run(depthwise.depthwise), run(by_twin))


@case
def n1_depthwise_of_any_dtype_keeps_the_error_gate():
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        for row in (DEPTHWISE[0], DEPTHWISE[3])[: 1 + (dtype == torch.bfloat16)]:
            x, weight, bias, options = drawn(row, dtype)
            leaves = [t.clone().requires_grad_() for t in (x, weight, bias)]
            wide = [t.detach().double().requires_grad_() for t in leaves]
            y, exact = depthwise.depthwise(*leaves, *options), by_twin(*wide, *options)
            assert y.dtype == dtype
            g = made(*y.shape, dtype=dtype, seed=3)
            found = [y, *torch.autograd.grad(y, leaves, g)]
            true = [exact, *torch.autograd.grad(exact, wide, g.double())]
            eps, least = torch.finfo(dtype).eps, torch.finfo(torch.float32).eps
            for one, other, terms in zip(found, true, (10, 10, 200, 200), strict=True):
                gate = eps * other.abs() + (eps if one.ndim == 1 else least) * 4 * terms**0.5 * other.abs().max()
                assert ((one.double() - other).abs() <= gate + eps * 1e-2).all(), (dtype, terms)


@case
def n2_depthwise_what_is_not_finite_reaches_what_it_reaches_in_the_twin():
    x, weight, bias, options = drawn(DEPTHWISE[3])
    x[0, 0, 2, 2], x[1, 1, 0, 0], weight[3, 0, 1, 0] = torch.nan, torch.inf, torch.inf
    leaves, wide = ([t.clone().requires_grad_() for t in (x, weight)] for _ in range(2))
    y, true = depthwise.depthwise(*leaves, bias, *options), by_twin(*wide, bias, *options)
    torch.testing.assert_close(y, true, equal_nan=True)
    (ours,), (theirs,) = (
        torch.autograd.grad(v.nan_to_num(0, 0, 0).sum(), w[1:]) for v, w in ((y, leaves), (true, wide))
    )
    torch.testing.assert_close(ours, theirs, equal_nan=True)


@case
def n13_empty_batches_and_other_layouts():
    x, weight, bias, options = drawn(DEPTHWISE[3])
    y = by_twin(x, weight, bias, *options)
    for seen in (x.permute(3, 0, 2, 1).contiguous().permute(1, 3, 2, 0), x.repeat(1, 2, 1, 1)[:, :2]):
        torch.testing.assert_close(depthwise.depthwise(seen, weight, bias, *options), y)
    leaves = [x.requires_grad_(), weight.requires_grad_()]
    ours = depthwise.depthwise(*leaves, None, *options)
    found, true = (torch.autograd.grad(v.sum(), leaves) for v in (ours, by_twin(*leaves, None, *options)))
    same(found, true)  # the gradient of a sum is one number, expanded
    none = x.detach()[:0].requires_grad_()
    empty = depthwise.depthwise(none, weight, bias, *options)
    assert empty.shape == (0, *y.shape[1:])
    to_x, to_weight = torch.autograd.grad(empty.sum(), (none, weight))
    assert to_x.shape == none.shape
    assert not to_weight.any()


@case
def n19_the_same_bits_again_and_whatever_the_blocks():
    from sigconv.kernels import _taps_triton as loops

    x, weight, bias, (stride, margins, dilation) = drawn(DEPTHWISE[3], torch.float32)
    before = [pair[0] for pair in margins]
    y = by_twin(x, weight, bias, stride, margins, dilation)
    kept, found = loops.COLUMNS, []
    for candidate in kept:
        loops.COLUMNS = (candidate,)
        found.append(loops.sums(x, weight, bias, stride, before, dilation, torch.empty_like(y)))
    loops.COLUMNS = kept
    again = [loops.tied_sums(x, y, weight.shape, stride, before, dilation) for _ in range(2)]
    assert all(torch.equal(one, found[0]) for one in found)
    assert torch.equal(*again)


@case
def shifted_sums_of_groups_are_the_cpus():
    for groups, outs, ndim in ((1, 3, 1), (2, 4, 1)):
        x, weight = made(2, 4, *[7] * ndim), made(outs, 4 // groups, *[3] * ndim, seed=1)
        given = x, weight, made(outs, seed=2)
        options = [1] * ndim, [2] * ndim, [2] * ndim
        true = taps._op.function(*given, *options)
        run = lambda way: derived(lambda *leaves: way(*leaves, *options), given, made(*true.shape, seed=3))  # noqa: B023
        found = run(taps._op)
        same(found, run(taps.twin))
        torch.testing.assert_close(found[0], true)


# ---- pooling

WINDOWS = [  # space, kernel, stride, dilation
    ((11,), (3,), (1,), (1,)),
    ((12,), (2,), (3,), (4,)),
    ((7, 6), (2, 3), (2, 1), (1, 1)),
    ((5, 4, 6), (2, 2, 3), (2, 1, 3), (1, 2, 1)),
    ((4, 3, 4, 3), (2, 1, 2, 2), (2, 1, 1, 1), (1, 1, 1, 2)),
]


def each_window():
    """Windows all at once, and an axis at a time."""
    from sigconv.kernels import _windows_triton

    for most in (_windows_triton.TOGETHER, 1):
        _windows_triton.TOGETHER = most
        for space, *options in WINDOWS:
            yield space, [list(each) for each in options]
    _windows_triton.TOGETHER = 64


@case
def pl1_largest_and_drawn_samples_are_those_of_the_cpus_loops_to_the_bit():
    for row, (space, options) in enumerate(each_window()):
        for dtype in (torch.float32, DOUBLE)[row >= len(WINDOWS) :]:
            x = made(2, 1, *space).mul(2).round().to(dtype)
            x.flatten()[::9], x.flatten()[4::11] = torch.nan, torch.inf
            true = extremes._largest.function(x, *options)
            torch.testing.assert_close(extremes.largest(x, *options), true, equal_nan=True, rtol=0, atol=0)
            torch.testing.assert_close(blocks.block_largest(x, *options), true, equal_nan=True, rtol=0, atol=0)
            assert torch.equal(extremes.places(x, *options), extremes._places.function(x, *options))
            level = torch.randint(8, true.shape, generator=torch.Generator().manual_seed(1)).to(dtype) / 8  # ties
            assert torch.equal(blocks.draw(x, level, *options), blocks._draw.function(x, level, *options))
            low = -x.nan_to_num(0, 0, 0).abs()  # nothing to draw: the first
            assert torch.equal(blocks.draw(low, level, *options), blocks._draw.function(low, level, *options))


@case
def pl3_box_sums_and_norms_are_those_of_the_cpus_loops():
    for space, options in each_window():
        x = made(2, 1, *space, dtype=torch.float32)
        torch.testing.assert_close(sums.box_sums(x, *options), sums._sums.function(x, *options), rtol=1e-6, atol=1e-7)
        for power in (1, 2, 3, 6):
            true = sums._norms.function(x, power, *options)
            torch.testing.assert_close(norms.norms(x, power, 1.0, *options), true, rtol=2.4e-7, atol=0)
    x = torch.tensor([[[1.0, 2.0, torch.nan, 3.0, torch.inf, 1.0, 0.0, 0.0]]])
    options = [2], [1], [1]
    torch.testing.assert_close(sums.box_sums(x, *options), sums._sums.function(x, *options), equal_nan=True)
    true = sums._norms.function(x, 3, *options)
    torch.testing.assert_close(norms.norms(x, 3, 1.0, *options), true, equal_nan=True)


@case
def n15_derivatives_of_windows_are_those_of_their_twins():
    def both(way, leaves, y):
        g, found = made(*y.shape, seed=3), []
        for on in (True, False):
            interpreted(on)
            found.append(derived(way, leaves, g))
        interpreted()
        same(*found)

    hand, sums.at_hand, extremes.at_hand = sums.at_hand, lambda *x: False, lambda *x: False
    for row, (space, options) in enumerate(each_window()):
        x, beta = made(2, 1, *space), made(1, seed=4)
        y = extremes.twin(x, *options)
        where = y.clone()
        bent = lambda way: lambda x: way(x).sin()  # noqa: B023  what is linear has no second derivative of its own
        both(bent(lambda x: sums.box_sums(x, *options)), [x], y)  # noqa: B023
        if row >= len(WINDOWS):
            continue
        both(bent(lambda x: extremes.largest(x, *options)), [x], y)  # noqa: B023
        both(bent(lambda x: _triton_pooling.taken(x, where, *options)), [x], y)  # noqa: B023
        for power in (3.0, 2.7) if row < 3 else (2.0,):
            for share in (1.0, 0.3, where[0, 0] % 3 + 0.5)[: 1 if row or power == 3 else 3]:
                both(lambda x: norms.norms(x, power, share, *options), [x], y)  # noqa: B023
        rows = zip(space, *options, strict=True)
        before = [int(k > 1) for k in options[0]]
        positions = [(n + 2 * b - d * (k - 1) - 1) // s + 1 for (n, k, s, d), b in zip(rows, before, strict=True)]
        for sign in (1, -1) if row < 3 else (-1,):
            for way in (soft.means, soft.logs)[: 1 if row else 2]:
                run = lambda x, b: way(x, b, options, before, positions)  # noqa: B023
                both(run, [x, sign * beta.abs()], torch.empty(2, 1, *positions))
        if row < 3:
            run = lambda x: expectation.expectations(x, options, before, positions)  # noqa: B023
            both(run, [x], torch.empty(2, 1, *positions))
    sums.at_hand = extremes.at_hand = hand


@case
def n5_norms_are_in_reach_whatever_the_power():
    options = [2], [2], [1]
    torch.testing.assert_close(norms.norms(torch.zeros(1, 1, 4), 2.5, 1.0, *options), torch.zeros(1, 1, 2))
    large = torch.tensor([[[3e38, -4e38, 1e-42, 0.0]]], dtype=DOUBLE).float()
    for power in (2.0, 2.5):
        true = norms.twin(large.double(), power, 1.0, *options)
        torch.testing.assert_close(norms.norms(large, power, 1.0, *options).double(), true, rtol=1e-6, atol=1e-44)
    for space in (4, 9):  # in one pass, and an axis at a time
        flat = torch.full((1, 1, space, space), 3e38)
        for power in (0.5, 1.0, 2.0, 2.5):
            found = norms.norms(flat, power, space**-2.0, [space] * 2, [1] * 2, [1] * 2)
            torch.testing.assert_close(found, flat[..., :1, :1], rtol=1e-6, atol=0)


@case
def n1_halves_are_pooled_in_float32():
    for dtype in (torch.float16, torch.bfloat16):
        x = made(1, 2, 9, dtype=dtype)
        options, eps = ([3], [2], [1]), torch.finfo(dtype).eps
        ones = torch.ones(2, dtype=dtype)
        ways = {
            "sums": lambda x, o=options: sums.box_sums(x, *o),
            "largest": lambda x, o=options: extremes.largest(x, *o),
            "norms": lambda x, o=options: norms.norms(x, 2.5, 1.0, *o),
            "means": lambda x, o=options, b=ones: soft.means(x, b, o, [0], [4]),
            "logs": lambda x, o=options: soft.logs(x, 0.3, o, [0], [4]),
            "expectations": lambda x, o=options: expectation.expectations(x, o, [0], [4]),
        }
        for name, way in ways.items():
            leaf, wide = x.clone().requires_grad_(), x.double().requires_grad_()
            y, true = way(leaf), way(wide)
            assert y.dtype == (dtype if name in ("sums", "largest") else torch.float32), name
            torch.testing.assert_close(y.double(), true, rtol=eps, atol=eps)
            (slope,), (exact,) = torch.autograd.grad(y.sum(), leaf), torch.autograd.grad(true.sum(), wide)
            torch.testing.assert_close(slope.double(), exact, rtol=2 * eps, atol=4 * eps)


# ---- the Haar butterfly


@case
def fb4_the_butterfly_is_the_cpus_to_the_bit_and_its_way_back():
    borders = ["symmetric", "zeros", "circular", "reflect"]
    for ndim in (1, 2, 3, 4):
        size, modes = [7, 6, 5, 4][4 - ndim :], borders[:ndim]
        for gap in (0, 2):
            for dtype in (torch.float32, DOUBLE):
                x = made(2, *size, dtype=dtype)
                x.flatten()[0] = torch.nan
                found, true = haar.analysis(x, modes, gap), haar._analysis.function(x, " ".join(modes), gap)
                same(found, true, rtol=0, atol=0, equal_nan=True)
                if not gap:
                    again = haar.synthesis(found[0], found[1].unbind(0), size)
                    gate = {"rtol": 1e-14, "atol": 1e-15} if dtype == DOUBLE else {"rtol": 1e-6, "atol": 3e-7}
                    same([again], [haar._synthesis.function(*true, size)], equal_nan=True, **gate)
                    torch.testing.assert_close(again[1], x[1])
        half = made(2, *size, dtype=torch.bfloat16)
        exact = haar.twin(half.float(), modes)
        same([t.float() for t in haar.analysis(half, modes)], exact, rtol=2**-7, atol=1e-6)
        leaf = made(2, *size)
        for gap in (0, 1) if ndim < 3 else ():
            run = lambda way: derived(lambda x: way(x, modes, gap)[1].sin(), [leaf], 1 + 0 * way(leaf, modes, gap)[1])  # noqa: B023
            same(run(haar.analysis), run(haar.twin))
    assert haar.analysis(torch.zeros(0, 4, 4), ["zeros"] * 2)[1].shape == (3, 0, 2, 2)


# ---- ops as torch knows them


def calls():
    """A call of every op."""
    x, weight, g, one = made(1, 2, 6), made(2, 1, 3, seed=1), made(1, 2, 4, seed=2), [1]
    level, where = g.sigmoid(), torch.arange(4).expand(1, 2, 4).contiguous()
    window = [3], one, one
    spot = [*window, [0], [4]]
    beta = made(2, seed=3)
    pieces = haar._analysis(x, "zeros", 0)
    found, drawn = soft._soft(x, beta, True, *spot), expectation._expected(x, *spot)
    return {
        taps._op: (x, weight, None, [0], [0], one),
        depthwise._sums: (x, weight, None, one, [0], [0], one),
        depthwise._input: (g, weight, 2, [6], one, [0], one),
        depthwise._weight: (x, g, [2, 1, 3], one, [0], one),
        sums._sums: (x, *window),
        extremes._largest: (x, *window),
        extremes._places: (x, *window),
        blocks._block_largest: (x, *window),
        blocks._draw: (x, level, *window),
        _triton_pooling._take: (x, where, *window),
        _triton_pooling.put: (g, where, [6], *window),
        _triton_pooling.spread: (g, [6], *window),
        norms._norms: (x, None, 0.5, 2.5, *window),
        norms._norms_back: (g, x, g.abs() + 3, None, 0.5, 2.5, *window),
        soft._soft: (x, beta, True, *spot),
        soft._soft_back: (g, x, beta, *found, True, *spot[:4], True),
        expectation._expected: (x, *spot),
        expectation._expected_back: (g, x, *drawn, *spot[:4]),
        haar._analysis: (x, "zeros", 0),
        haar._synthesis: (*pieces, [6]),
    }


@case
def n17_every_op_passes_torchs_own_check():
    without = (extremes._places, blocks._block_largest, blocks._draw)
    every = calls()
    assert set(every) == {op for op, _ in _triton.OPS}
    for op, given in every.items():
        leaf = lambda t: t.clone().requires_grad_() if isinstance(t, torch.Tensor) and t.is_floating_point() else t
        torch.library.opcheck(op.overload, given if op in without else tuple(map(leaf, given)))
        assert torch._C._dispatch_has_kernel_for_dispatch_key(op.name, "CUDA")


@case
def n16_compiled_calls_keep_the_ops_whole_and_say_the_same():
    x, weight, bias, options = drawn(DEPTHWISE[0], torch.float32)
    seen = []

    def backend(graph, inputs):
        seen.extend(str(node.target) for node in graph.graph.nodes)
        return graph

    def layers(x, weight):
        y = depthwise.depthwise(x, weight, bias, *options)
        low, high = haar.analysis(y, ["zeros"])
        y = low + high[0] + sums.box_sums(y, [2], [2], [1])
        return extremes.largest(y, [3], [1], [1]) + norms.norms(y, 2.5, 1.0, [3], [1], [1])

    compiled = torch.compile(layers, backend=backend, fullgraph=True)
    once, again = compiled(x, weight), compiled(x, weight)
    assert torch.equal(once, again)
    assert torch.equal(once, layers(x, weight))
    assert {"sigconv.depthwise.default", "sigconv.haar_analysis.default", "sigconv.largest.default"} <= set(seen)
    torch._dynamo.reset()
    whole = torch.compile(lambda x, w: layers(x, w).sum(), backend="aot_eager", fullgraph=True)
    leaves = [x.clone().requires_grad_(), weight.clone().requires_grad_()]
    same(torch.autograd.grad(whole(*leaves), leaves), torch.autograd.grad(layers(*leaves).sum(), leaves), rtol=1e-6)


@case
def n17_transforms_and_forward_mode_take_the_twins():
    x, weight, bias, options = drawn(DEPTHWISE[0])
    run = lambda x: depthwise.depthwise(x, weight, bias, *options)
    value, slope = torch.func.jvp(run, (x,), (made(*x.shape, seed=5),))
    torch.testing.assert_close(value, by_twin(x, weight, bias, *options))
    assert slope.abs().min() > 0
    rows = torch.stack([x, 2 * x])
    torch.testing.assert_close(torch.func.vmap(run)(rows), torch.stack([run(x), run(2 * x)]))
    mean = lambda x: soft.means(x, torch.ones(3), ([2], [1], [1]), [0], [39])
    torch.testing.assert_close(torch.func.vmap(mean)(rows), torch.stack([mean(x), mean(2 * x)]))


@case
def autocast_leaves_an_op_in_the_dtype_it_is_given():
    x, weight, bias, options = drawn(DEPTHWISE[0], torch.float32)
    y = depthwise.depthwise(x, weight, bias, *options)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(depthwise.depthwise(x, weight, bias, *options), y)
        leaf = x.clone().requires_grad_()
        norms.norms(leaf, 2.0, 1.0, [3], [1], [1]).sum().backward()
    assert leaf.grad.dtype == torch.float32
    assert not depthwise.usable(x, weight.half(), None)


@case
def a_machine_where_no_kernel_can_be_built_is_told_once_and_left_to_the_twins():
    _triton._tried.clear()
    cpu = torch.device("cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _triton._works(cpu)
    _triton._tried.clear()
    built, _triton._doubling = _triton._doubling, lambda: 1 // 0
    try:
        with pytest.warns(UserWarning, match="^Triton is of no use on cpu .integer division or modulo by zero.: torch"):
            assert not _triton._works(cpu)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert not _triton._works(cpu)
    finally:
        _triton._doubling = built
        _triton._tried.clear()


@case
def n14_a_space_too_large_for_32_bits_or_a_fifth_axis_is_left_to_the_twin():
    large = torch.empty(1, dtype=torch.float16).expand(1, 1, 2**16, 2**15)
    assert not _triton.usable(large)
    assert _triton.usable(large.expand(2**20, 1, 2**16, 2**15)[..., :-1])
    assert not _triton.usable(torch.empty(1, 1, 2, 2, 2, 2, 2))
    assert not _triton.usable(torch.zeros(1, 1, 3, dtype=torch.long))
    with pytest.raises(ValueError, match="2147483648 blocks of a kernel"):
        _triton.launch(None, 2**31, large)


def test_the_kernels_interpreted_are_their_twins():
    assert not failures(__file__)


def test_triton_is_imported_inside_functions_alone():
    folder = os.path.dirname(_triton.__file__)
    for name in sorted(os.listdir(folder)):
        if name.endswith(".py"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                top = ast.parse(file.read()).body
            imports = [node for node in top if isinstance(node, ast.Import | ast.ImportFrom)]
            names = [getattr(node, "module", None) or node.names[0].name for node in imports]
            assert not [found for found in names if found.split(".")[0] == "triton"], name


def test_the_fastest_configuration_is_timed_once_and_kept(tmp_path, monkeypatch):
    class Large(torch.Tensor):
        """Memory on no device."""

        is_cuda = True

    monkeypatch.setenv("SIGCONV_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a card/1")
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    timed = []
    monkeypatch.setattr(_triton, "_seconds", lambda run, candidate, device: timed.append(candidate) or -candidate[0])
    x, candidates = torch.empty(_triton.WORTH).as_subclass(Large), ((1, 2), (3, 4), (2, 2))
    choose = lambda name, x=x, few=candidates: _triton.chosen(name, ("float32", 3), x, few, print)
    _triton._table.cache_clear()
    assert [choose("sums"), choose("sums")] == [(3, 4)] * 2
    assert timed == list(candidates)
    _triton._table.cache_clear()  # another process
    assert choose("sums") == (3, 4)
    assert choose("sums", few=candidates[::2]) == (2, 2)  # what was kept is no candidate any more
    assert len(timed) == 5
    assert choose("sums", x=x[1:]) == (1, 2)  # too small to be worth it
    (file,) = tmp_path.iterdir()
    file.write_text("[broken")
    _triton._table.cache_clear()
    assert choose("sums") == (3, 4)
    assert len(timed) == 8
    _triton._table.cache_clear()


def test_while_a_graph_is_recorded_what_is_known_of_a_card_holds(monkeypatch):
    card = torch.device("cuda", 7)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    monkeypatch.setattr(_triton, "_tried", {})
    assert _triton._works(card)
    assert not _triton._tried, "nothing was tried"
    _triton._tried[card] = False
    assert not _triton._works(card)


if __name__ == "__main__":
    main()
