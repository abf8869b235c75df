"""The Triton kernels on a CUDA device: values against float64 on the CPU, the same bits every time, large batches.

Run with: python -m pytest -m gpu
"""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import sigconv as sc
from sigconv.filters import gabor
from sigconv.kernels import (
    _triton,
    _triton_pooling,
    blocks,
    depthwise,
    expectation,
    extremes,
    haar,
    motifs,
    norms,
    soft,
    sums,
    words,
)

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not (torch.cuda.is_available() and _triton.at_hand()), reason="no CUDA device here, or no Triton"
    ),
]
KINDS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
DEVICE = "cuda"


def made(*size, seed=0):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gradients(way, leaves, g):
    leaves = [leaf.detach().clone().requires_grad_() for leaf in leaves]
    y = way(*leaves)
    return [y.detach(), *torch.autograd.grad(y, leaves, g)]


def ways(ndim):
    """What is asked of the kernels, and what of torch, on leaves of float64: name, kernel, twin, leaves."""
    x, weight, bias = made(2, 3, *[15] * ndim), made(6, 1, *[3] * ndim, seed=1), made(6, seed=2)
    for stride in (1, 2):
        options = (stride,) * ndim, ((2, 1),) * ndim, (2,) * ndim
        plain = [stride] * ndim, [2] * ndim, [1] * ndim, [2] * ndim
        yield (
            f"depthwise {stride}",
            lambda x, w, b, o=options: depthwise.depthwise(x, w, b, *o),
            lambda x, w, b, p=plain: depthwise.twin(x, w, b, *p),
            (x, weight, bias),
        )
    window = [3] * ndim, [2] * ndim, [1] * ndim
    spot = window, [0] * ndim, [7] * ndim
    where = extremes.twin(x, *window)
    yield "sums", lambda x: sums.box_sums(x, *window), lambda x: sums.twin(x, *window), (x,)
    yield (
        "norms",
        lambda x: norms.norms(x, 2.5, 0.3, *window).to(x.dtype),
        lambda x: norms.twin(x, 2.5, 0.3, *window),
        (x,),
    )
    for way, exact in ((soft.means, soft.means_twin), (soft.logs, soft.logs_twin)):
        yield (
            way.__name__,
            lambda x, b, way=way: way(x, b, *spot).to(x.dtype),
            lambda x, b, exact=exact: exact(x, b, *window, *spot[1:]),
            (x, made(3, seed=3)),
        )
    yield (
        "expectations",
        lambda x: expectation.expectations(x, *spot).to(x.dtype),
        lambda x: expectation.twin(x, *window, *spot[1:]),
        (x,),
    )
    taken = lambda x: _triton_pooling.taken(x, where.to(x.device), *window)
    yield "taken", taken, taken, (x,)
    modes = ["symmetric"] * ndim
    yield "haar", lambda x: haar.analysis(x, modes)[1], lambda x: haar.twin(x, modes)[1], (x,)


@pytest.mark.parametrize("dtype", KINDS, ids=str)
@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_n6_n19_kernels_keep_their_gate_against_float64_and_their_bits(ndim, dtype):
    for name, kernel, twin, leaves in ways(ndim):
        near = [leaf.to(dtype) for leaf in leaves]
        wide = [leaf.double() for leaf in near]
        g = made(*twin(*wide).shape, seed=4).to(dtype)
        exact = gradients(twin, wide, g.double())
        there = [leaf.to(DEVICE) for leaf in near]
        found = gradients(kernel, there, g.to(DEVICE))
        for one, true in zip(found, exact, strict=True):
            assert one.dtype == dtype
            eps = torch.finfo(dtype).eps
            assert ((one.cpu().double() - true).abs() <= 32 * eps * (true.abs() + true.abs().max())).all(), name
        for _ in range(20):
            assert all(map(torch.equal, gradients(kernel, there, g.to(DEVICE)), found)), name


PUBLIC = {  # by the kernel that does the work
    "norms": lambda x: sc.lp_pool(x, 2.5, 3, 2, padding=1, mean=True, ceil_mode=True),
    "means": lambda x: sc.softmax_pool(x, 3, 2, padding=1, beta=0.7),
    "variances": lambda x: sc.lse_pool(x, 3, 2, padding=1, beta=x.new_tensor([0.5, -2.0, 1e-3]).requires_grad_()),
    "expectations": lambda x: sc.stochastic_pool(x, 3, 2, padding=1, training=False),
    "draw": lambda x: sc.stochastic_pool(torch.ones_like(x) + 0 * x, 3, 2),
    "sums": lambda x: sc.conv(x, x[:1, :, :2, :2, :2].detach().swapaxes(0, 1), groups=3, padding=((0, 1), (2, 0), 1)),
}


@pytest.mark.parametrize("dtype", KINDS, ids=str)
@pytest.mark.parametrize("name", PUBLIC)
def test_public_poolings_and_depthwise_layers_take_the_kernels(name, dtype, monkeypatch):
    launched, launch = set(), _triton.launch
    monkeypatch.setattr(
        _triton, "launch", lambda kernel, *g, **o: (launched.add(kernel.fn.__name__), launch(kernel, *g, **o))
    )
    x = made(2, 3, 9, 8, 7).to(dtype)
    leaf, wide = x.to(DEVICE).requires_grad_(), x.double().requires_grad_()
    y, true = PUBLIC[name](leaf), PUBLIC[name](wide)
    (slope,), (exact,) = (torch.autograd.grad(v.sum(), t) for v, t in ((y, leaf), (true, wide)))
    assert name in launched
    for one, other in ((y, true), (slope, exact)):
        assert one.dtype == dtype
        gate = 64 * torch.finfo(dtype).eps * (other.abs() + other.abs().max())
        assert ((one.cpu().double() - other).abs() <= gate).all()


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_largest_and_drawn_samples_are_the_cpus(ndim):
    x, options = made(2, 3, *[13] * ndim).float().mul(3).round(), ([3] * ndim, [2] * ndim, [1] * ndim)
    x.flatten()[::17] = torch.nan
    there = x.to(DEVICE)
    assert torch.equal(extremes.places(there, *options).cpu(), extremes.places(x, *options))
    value = extremes.largest(x, *options)
    torch.testing.assert_close(extremes.largest(there, *options).cpu(), value, rtol=0, atol=0, equal_nan=True)
    level = torch.rand(value.shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(blocks.draw(there, level.to(DEVICE), *options).cpu(), blocks.draw(x, level, *options))


def test_n14_a_batch_of_more_than_two_to_the_31st_samples():
    rows, n = 2**11 + 1, 2**20  # 2^31 + 2^20 halves, 4.3 GB
    x = torch.zeros(rows, 1, n, dtype=torch.float16, device=DEVICE)
    for row in (0, rows // 2, rows - 1):
        x[row, 0, -4:] = torch.arange(1, 5)
    weight = torch.tensor([[[1.0, 10.0]]], dtype=torch.float16, device=DEVICE)
    y = depthwise.depthwise(x, weight, None, (2,), ((0, 0),), (1,))
    total = sums.box_sums(x, [2], [2], [1])
    for row in (0, rows // 2, rows - 1):
        assert y[row, 0, -3:].tolist() == [0.0, 21.0, 43.0]
        assert total[row, 0, -3:].tolist() == [0.0, 3.0, 7.0]
    assert not y[1].any()
    back = torch.ops.sigconv.depthwise_input(y, weight, 1, [n], [2], [0], [1])
    assert back[rows - 1, 0, -4:].tolist() == [21.0, 210.0, 43.0, 430.0]


def test_a_graph_of_calls_says_what_the_calls_say():
    x, weight = made(2, 4, 40, 40).float().to(DEVICE), made(4, 1, 3, 3, seed=1).float().to(DEVICE)
    run = lambda: haar.analysis(depthwise.depthwise(x, weight, None, (1, 1), ((1, 1),) * 2, (1, 1)), ["zeros"])
    expected = run()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = run()
    graph.replay()
    torch.cuda.synchronize()
    assert all(map(torch.equal, found, expected))


def test_torchs_own_depthwise_layer_agrees():
    x, weight = made(2, 4, 9, 9, 9).float().to(DEVICE), made(4, 1, 3, 3, 3, seed=1).float().to(DEVICE)
    y = depthwise.depthwise(x, weight, None, (1,) * 3, ((1, 1),) * 3, (1,) * 3)
    exact = F.conv3d(x.cpu().double(), weight.cpu().double(), padding=1, groups=4)
    assert (y.cpu().double() - exact).abs().max() < 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_banks_by_passes_and_by_folded_spectra_are_those_of_the_cpu(ndim, dtype, monkeypatch):
    vectors, names, launch = gabor.directions(3, ndim) * 0.2, [], _triton.launch
    bank, there = gabor.bank(vectors, 2.0, dc_free=ndim == 2), gabor.bank(vectors, 2.0, dc_free=ndim == 2).to(DEVICE)
    monkeypatch.setattr(
        _triton, "launch", lambda k, *given, **more: names.append(k.__name__) or launch(k, *given, **more)
    )
    x = made(2, 2, *[48 - 8 * ndim] * ndim).to(dtype)
    for method, kernel in (("separable", "filtered"), ("spectral", "folded")):
        for stride, output in ((1, "magnitude"), (2, "complex"), (4, "energy"), (1, "real")):
            options = {"stride": stride, "output": output, "padding_mode": "reflect", "method": method}
            with torch.no_grad():
                y, true = there(x.to(DEVICE), **options), bank(x.double(), **options)
                assert torch.equal(there(x.to(DEVICE), **options), y)
            assert (y.cpu() - true).abs().max() <= 100 * torch.finfo(dtype).eps * true.abs().max(), (method, stride)
            assert set(names) == {kernel}
            names.clear()


@pytest.mark.parametrize("dtype", KINDS, ids=str)
def test_n6_n19_tokens_looked_up_keep_their_gate_and_their_bits(dtype):
    generator = torch.Generator().manual_seed(0)
    rows = (4, 24, 1000, (1, 0, 0, 1)), (20, 7, 300, (2, 3, 9, 2)), (600, 2, 90, (1, 0, 1, 1))
    for symbols, taps, n, options in rows:
        x = torch.randint(0, symbols, (5, n), generator=generator)
        near = [made(40, symbols, taps, seed=1).to(dtype), made(40, seed=2).to(dtype)]
        stride, before, after, dilation = options
        hot = F.pad(F.one_hot(x, symbols).mT.double(), (before, after))
        dense = lambda w, b: F.conv1d(hot, w, b, stride, 0, dilation)  # noqa: B023
        for way, exact in ((words.word_sums, dense), (words.best_match, lambda w, b: dense(w, b).max(2).values)):  # noqa: B023
            assert words.usable(x.to(DEVICE), near[0].to(DEVICE), None)
            wide, there = [leaf.double() for leaf in near], [leaf.to(DEVICE) for leaf in near]
            g = made(*exact(*wide).shape, seed=4).to(dtype)
            true = gradients(exact, wide, g.double())
            run = lambda: gradients(lambda w, b: way(x.to(DEVICE), w, b, *options), there, g.to(DEVICE))  # noqa: B023
            found = run()
            for one, other in zip(found, true, strict=True):
                eps = torch.finfo(dtype).eps
                assert one.dtype == dtype
                assert ((one.cpu().double() - other).abs() <= 32 * eps * other.abs().max()).all(), (symbols, way)
            for _ in range(20):
                assert all(map(torch.equal, run(), found)), (symbols, way)


def test_first_of_equal_windows_and_nan_above_all_as_on_the_cpu():
    x = torch.randint(0, 4, (3, 70_000), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    weight = made(33, 4, 9).round()  # many ties, and parts of a sequence
    weight[7, 2, 3] = torch.nan
    both = (x.to(DEVICE), weight.to(DEVICE)), (x, weight)
    ours, theirs = (torch.ops.sigconv.best_match(*pair, None, 1, 4, 4, 1) for pair in both)
    torch.testing.assert_close(ours[0].cpu(), theirs[0], rtol=0, atol=0, equal_nan=True)
    rest = torch.arange(33) != 7
    assert torch.equal(ours[1].cpu()[:, rest], theirs[1][:, rest])


def test_n14_more_than_two_to_the_31st_windows_of_tokens():
    n, filters = 2**25 + 2**12, 64  # 4.3 GB of halves
    x = torch.zeros(1, n, dtype=torch.uint8, device=DEVICE)
    x[0, n // 2], x[0, -1] = 1, 1
    weight = torch.zeros(filters, 2, 2, dtype=torch.float16, device=DEVICE)
    weight[:, 1, 1], weight[:, 1, 0] = torch.arange(filters), 0.5
    y = words.word_sums(x, weight, None, 1, 0, 0, 1)
    for f in (0, filters // 2, filters - 1):
        assert y[0, f, n // 2 - 2 : n // 2 + 2].tolist() == [0.0, f, 0.5, 0.0]
        assert y[0, f, -2:].tolist() == [0.0, f]
    assert words.best_match(x, weight, None, 1, 0, 0, 1)[0].tolist() == [max(f, 0.5) for f in range(filters)]


@pytest.mark.parametrize("bound", [9.0, 2.0, -1e9], ids=["rare", "many", "all"])
def test_motifs_are_found_as_on_the_cpu_to_the_bit(bound, monkeypatch):
    rng = np.random.default_rng(0)
    scores = [np.log2(rng.dirichlet([0.3] * 4, width).T * 4 + 1e-3) for width in rng.integers(1, 25, 40)]
    text = rng.integers(0, 4, 200_000 if bound > 0 else 9000).astype(np.uint8)
    text[rng.random(len(text)) < 0.01] = 4
    plan = motifs.plan(scores, [bound] * len(scores))
    expected = motifs.twin(plan, text, len(text) - 50)
    monkeypatch.setattr(motifs, "ROOM", 1 << 16)  # blocks are halved where there are more
    for _ in range(3):
        parts = list(motifs.finder(plan, DEVICE)(text, len(text) - 50))
        assert max(len(part.start) for part in parts) <= 1 << 16
        for column, true in zip(zip(*parts, strict=True), expected, strict=True):
            assert np.array_equal(np.concatenate(column), true)
    assert len(expected.start) > 100
