"""The Triton kernels on a CUDA device: values against float64 on the CPU, the same bits every time, large batches.

Run with: python -m pytest -m gpu
"""

import pytest
import torch
from torch.nn import functional as F

from sigconv.kernels import _triton, _triton_depthwise, _triton_norms, _triton_pooling, blocks, extremes, haar, sums

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
            lambda x, w, b, o=options: _triton_depthwise.depthwise(x, w, b, *o),
            lambda x, w, b, p=plain: _triton_depthwise.twin(x, w, b, *p),
            (x, weight, bias),
        )
    window = [3] * ndim, [2] * ndim, [1] * ndim
    soft = *window, [0] * ndim, [7] * ndim
    where = extremes.twin(x, *window)
    yield "sums", lambda x: sums.box_sums(x, *window), lambda x: sums.twin(x, *window), (x,)
    yield (
        "norms",
        lambda x: _triton_norms.norms(x, 2.5, *window),
        lambda x: _triton_norms.norms_twin(x, 2.5, *window),
        (x,),
    )
    yield (
        "means",
        lambda x, b: _triton_norms.soft_means(x, b, *soft),
        lambda x, b: _triton_norms.soft_twin(x, b, *soft),
        (x, made(3, seed=3)),
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
    y = _triton_depthwise.depthwise(x, weight, None, (2,), ((0, 0),), (1,))
    total = sums.box_sums(x, [2], [2], [1])
    for row in (0, rows // 2, rows - 1):
        assert y[row, 0, -3:].tolist() == [0.0, 21.0, 43.0]
        assert total[row, 0, -3:].tolist() == [0.0, 3.0, 7.0]
    assert not y[1].any()
    back = torch.ops.sigconv.depthwise_input(y, weight, 1, [n], [2], [0], [1])
    assert back[rows - 1, 0, -4:].tolist() == [21.0, 210.0, 43.0, 430.0]


def test_a_graph_of_calls_says_what_the_calls_say():
    x, weight = made(2, 4, 40, 40).float().to(DEVICE), made(4, 1, 3, 3, seed=1).float().to(DEVICE)
    run = lambda: haar.analysis(_triton_depthwise.depthwise(x, weight, None, (1, 1), ((1, 1),) * 2, (1, 1)), ["zeros"])
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
    y = _triton_depthwise.depthwise(x, weight, None, (1,) * 3, ((1, 1),) * 3, (1,) * 3)
    exact = F.conv3d(x.cpu().double(), weight.cpu().double(), padding=1, groups=4)
    assert (y.cpu().double() - exact).abs().max() < 1e-5
