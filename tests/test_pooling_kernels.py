"""The kernels of pooling: equal to their twins, to torch and to loops, whatever the axes; their derivatives too."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples
from torch.nn import functional as F

import sigconv as sc
from sigconv import nd
from sigconv.kernels import blocks, extremes, sums


@st.composite
def boxes(draw, dtype=torch.float64):
    """x with many equal values, and windows inside it."""
    ndim = draw(st.integers(1, 4))
    each = lambda low, high: [draw(st.integers(low, high)) for _ in range(ndim)]
    kernel, stride, dilation = each(1, 9 if ndim < 3 else 4), each(1, 3), each(1, 2)
    extra = each(0, 40 if ndim == 1 else 5)
    size = [s + e for s, e in zip(nd.spans(kernel, dilation), extra, strict=True)]
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    x = torch.randint(-3, 4, (2, 2, *size), generator=generator).to(dtype)
    return x, (kernel, stride, dilation)


def loops(x, kernel, stride, dilation):
    """Every window as a list of (value, index), by loops."""
    size = x.shape[2:]
    out = [(n - span) // s + 1 for n, span, s in zip(size, nd.spans(kernel, dilation), stride, strict=True)]
    numbers = torch.arange(x[0, 0].numel()).reshape(size)
    for position in itertools.product(*map(range, out)):
        at = tuple(
            slice(p * s, p * s + d * (k - 1) + 1, d)
            for p, k, s, d in zip(position, kernel, stride, dilation, strict=True)
        )
        yield position, x[(..., *at)].flatten(2), numbers[at].flatten()


@examples(60)
@given(boxes())
def test_pl1_the_largest_is_the_first_of_equals_by_kernel_twin_and_loops(drawn):
    x, options = drawn
    value, where, twin = extremes.largest(x, *options), extremes.places(x, *options), extremes.twin(x, *options)
    assert torch.equal(where, twin)
    few = blocks.block_largest(x, *options)
    for position, window, numbers in loops(x, *options):
        best = window.max(-1)
        first = (window == best.values[..., None]).int().argmax(-1)
        assert torch.equal(value[(..., *position)], best.values)
        assert torch.equal(few[(..., *position)], best.values)
        assert torch.equal(where[(..., *position)], numbers[first])


@examples(60)
@given(boxes(torch.float32), st.integers(1, 6))
def test_box_sums_and_norms_are_those_of_loops(drawn, power):
    x, options = drawn
    total, twin = sums.box_sums(x.double(), *options), sums.twin(x, *options)
    norm = sums.norms(x, power, *options)
    for position, window, _ in loops(x.double(), *options):
        at = (..., *position)
        assert torch.equal(total[at], window.sum(-1))
        assert torch.equal(twin[at].double(), window.sum(-1))
        true = (window.abs() ** power).sum(-1) ** (1 / power)
        torch.testing.assert_close(norm[at].double(), true, rtol=1.3e-7, atol=0)


@examples(60)
@given(boxes(), st.integers(0, 99))
def test_pl5_a_draw_falls_where_the_running_sum_passes_by_kernel_and_twin(drawn, seed):
    x, options = drawn
    x = x + 0.0
    rows = zip(x.shape[2:], nd.spans(options[0], options[2]), options[1], strict=True)
    shape = (2, 2, *((n - span) // s + 1 for n, span, s in rows))
    u = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    place, twin = blocks.draw(x, u, *options), blocks.draw_twin(x, u, *options)
    assert torch.equal(place, twin)
    for position, window, numbers in loops(x, *options):
        at = (..., *position)
        running = window.clamp(min=0).cumsum(-1)
        past = (running > (u[at] * running[..., -1])[..., None]).int().argmax(-1)
        assert torch.equal(place[at], numbers[past])


def test_nan_and_infinity_stay_in_their_windows():
    x = torch.tensor([[[1.0, 2.0, torch.nan, 3.0, torch.inf, 1.0, -torch.inf, 0.0, torch.nan, torch.nan]]])
    expected, where = F.max_pool1d(x, 2, 1, return_indices=True)
    options = ([2], [1], [1])
    torch.testing.assert_close(extremes.largest(x, *options), expected, equal_nan=True)
    assert torch.equal(extremes.places(x, *options), where)
    assert torch.equal(extremes.twin(x, *options), where)
    few = blocks.block_largest(x, [2], [2], [1])
    torch.testing.assert_close(few, expected[..., ::2], equal_nan=True)
    total = sums.box_sums(x, *options)
    assert total.isfinite().flatten().tolist() == [True, False, False, False, False, False, False, False, False]
    clean = sums.box_sums(torch.tensor([[[1e30, 1.0, 1.0, 1.0]]]), *options)
    assert clean.flatten().tolist() == [torch.tensor(1e30).item(), 2.0, 2.0]  # a running sum would have lost the ones
    u = torch.zeros(1, 1, 9)
    place = blocks.draw(x, u, *options)
    assert torch.equal(place, blocks.draw_twin(x, u, *options))
    assert place.flatten().tolist() == [0, 2, 2, 4, 4, 5, 6, 8, 8]


@pytest.mark.parametrize("stride", [1, 2])
def test_derivatives_of_the_ops_are_those_of_their_twins(stride):
    x = torch.randn(1, 2, 7, 8, dtype=torch.float64, requires_grad=True)
    options = ((3, 4), (stride, 1), (1, 2))
    for op in (extremes.largest, sums.box_sums):
        pooled = lambda x, op=op: op(x, *options)
        assert torch.autograd.gradcheck(pooled, x)
        assert torch.autograd.gradgradcheck(lambda x, f=pooled: f(x) ** 2, x)
        tangent = torch.randn_like(x)
        value, slope = torch.func.jvp(pooled, (x.detach(),), (tangent,))  # forward mode takes the twin
        torch.testing.assert_close(value, pooled(x.detach()))
        backward = torch.autograd.grad(pooled(x).sum(), x)[0]
        torch.testing.assert_close(slope.sum(), (backward * tangent).sum())
        rows = torch.randn(3, *x.shape, dtype=torch.float64)
        torch.testing.assert_close(torch.func.vmap(pooled)(rows), torch.stack([pooled(row) for row in rows]))
        per = torch.func.vmap(torch.func.grad(lambda x, f=pooled: f(x).square().sum()))(rows)
        for row, slope in zip(rows, per, strict=True):
            leaf = row.clone().requires_grad_()
            torch.testing.assert_close(slope, torch.autograd.grad(pooled(leaf).square().sum(), leaf)[0])


def test_pl15_large_windows_send_the_gradient_where_torch_does():
    x = torch.randint(0, 4, (2, 8, 2000)).float()  # large enough for the kernel, full of equal values
    grads = []
    for pool in (lambda x: sc.max_pool(x, 31, 1), lambda x: F.max_pool1d(x, 31, 1)):
        leaf = x.clone().requires_grad_()
        y = pool(leaf)
        (y * torch.arange(y.shape[-1])).sum().backward()
        grads.append(leaf.grad)
    torch.testing.assert_close(*grads)
    mine = sc.max_pool(x, 31, 1, padding=7, return_indices=True)
    theirs = F.max_pool1d(x, 31, 1, 7, return_indices=True)
    assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_small_windows_of_a_volume_take_the_rows():
    x = torch.randn(2, 8, 12, 14, 16)
    for kernel, stride, padding in ((2, 2, 0), (3, 2, 1), ((1, 2, 3), (1, 1, 2), 0), (2, (3, 1, 4), 1)):
        mine, theirs = sc.max_pool(x, kernel, stride, padding=padding), F.max_pool3d(x, kernel, stride, padding)
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_n16_compiled_equals_eager_and_itself(dtype):
    x = torch.randn(2, 3, 4000).to(dtype)
    torch.compiler.reset()
    pools = [
        lambda x: sc.max_pool(x, 31, 1),
        lambda x: sc.lp_pool(x, 3, 31, 1),
        lambda x: sc.avg_pool(x, 5, dilation=2),
    ]
    for pool in pools:
        compiled = torch.compile(pool, backend="aot_eager", fullgraph=True)
        once, again = compiled(x), compiled(x)
        assert torch.equal(once, again)
        torch.testing.assert_close(once, pool(x))


def test_meta_tensors_have_the_shapes():
    x = torch.empty(2, 3, 9, 9, 9, 9, device="meta")
    for pool in (sc.MaxPool(3, 2), sc.AvgPool(3, 2), sc.LPPool(3, 3, 2), sc.StochasticPool(3, 2), sc.LSEPool(3, 2)):
        assert pool(x).shape == (2, 3, 4, 4, 4, 4)
        assert pool.eval()(x).device.type == "meta"


def test_indices_where_an_axis_has_come_down_to_one():
    """A last axis pooled to one number before axes of one sample: the place must still be counted in all of space."""
    x = torch.tensor([-1.0, 2.0, 1.0, 1.0, 0.0])
    for shape, kernel in [((1, 1, 1, 1, 1, 5), (1, 1, 1, 5)), ((1, 1, 1, 5), (1, 5)), ((1, 1, 5), (5,))]:
        value, where = sc.max_pool(x.view(shape), kernel, padding_mode="reflect", return_indices=True)
        assert (value.item(), where.item()) == (2.0, 1)
    cube = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 1, 1, 2, 2)
    value, where = sc.max_pool(cube, (1, 2, 2), padding_mode="reflect", return_indices=True)
    assert (value.item(), where.item()) == (4.0, 3)
    leaf = x.view(1, 1, 1, 1, 1, 5).clone().requires_grad_()
    sc.max_pool(leaf, (1, 1, 1, 5)).sum().backward()
    assert leaf.grad.flatten().tolist() == [0, 1, 0, 0, 0]


def test_a_tie_with_the_padding_goes_to_the_windows_own_first_sample():
    x = torch.tensor([9, 0, 0, 0], dtype=torch.uint8).view(1, 1, 4)
    value, where = sc.max_pool(x, 2, 1, padding=1, dilation=3, return_indices=True)
    assert torch.equal(x.flatten()[where], value)
    far = torch.full((1, 1, 20_000), -math.inf)
    far[..., 0] = 5
    mine = sc.max_pool(far, 65, 1, padding=32, dilation=3, return_indices=True)
    theirs = torch.nn.functional.max_pool1d(far, 65, 1, 32, 3, return_indices=True)
    assert all(map(torch.equal, mine, theirs))
