"""Derivatives of every operation by every method: first, second, forward, batched; and the backward pass by hand."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import cases, examples, inputs, taken

import sigconv as sc
from sigconv import methods, nd
from sigconv.kernels import taps

METHODS = sorted(methods.METHODS)
CHECKED = {"check_forward_ad": True, "check_batched_grad": True, "nondet_tol": 0.0}


def leaves_of(*tensors):
    """Contiguous leaves of the tensors present, 64 numbers in all at the most: finite differences are dear."""
    leaves = tuple(t.contiguous().clone().requires_grad_() for t in tensors if t is not None)
    assume(0 < sum(leaf.numel() for leaf in leaves) <= 64)
    return leaves


@examples(150)
@given(case=cases(ndims=(1, 4), most=2), method=st.sampled_from(["auto", *METHODS]))
def test_n15_first_and_second_derivatives_of_conv(case, method):
    method = taken(case, method, torch.float64)
    x, weight, bias, *_, case = inputs(case, method, torch.float64)
    options = case.options | {"method": method}
    if method == "lookup":
        run = lambda weight, bias=None: sc.conv(x, weight, bias, **options)
        leaves = leaves_of(weight, bias)
    elif method == "separable":
        run = lambda x, out, into, *rest: sc.conv(
            x, sc.Factors(out, into, rest[: case.ndim]), *rest[case.ndim :], **options
        )
        leaves = leaves_of(x, weight.out, weight.into, *weight.taps, bias)
    else:
        run = lambda x, weight, bias=None: sc.conv(x, weight, bias, **options)
        leaves = leaves_of(x, weight, bias)
    assert torch.autograd.gradcheck(run, leaves, **CHECKED)
    assert torch.autograd.gradgradcheck(run, leaves)


@examples(75)
@given(case=cases(ndims=(1, 4), most=2), method=st.sampled_from(["auto", "direct", "fft", "windows"]))
def test_n15_first_and_second_derivatives_of_conv_transpose(case, method):
    x, weight, _ = case.tensors()
    out = sc.conv(x, weight, **case.options)
    options = case.options | {"method": method, "output_size": tuple(x.shape[2:])}
    leaves = leaves_of(torch.randn(out.shape, dtype=torch.float64), weight)
    run = lambda x, weight: sc.conv_transpose(x, weight, **options)
    assert torch.autograd.gradcheck(run, leaves, **CHECKED)
    assert torch.autograd.gradgradcheck(run, leaves)


@examples(50)
@given(case=cases(ndims=(1, 3), most=2))
def test_n15_first_and_second_derivatives_of_masked_conv(case):
    x, weight, _ = case.tensors()
    mask = torch.rand(x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(case.seed))
    options = case.options | {"padding_mode": "zeros", "return_weight": True}
    leaves = leaves_of(x, weight, (0.4 * mask + 0.5) * (mask > 0.3))
    run = lambda x, weight, mask: sc.masked_conv(x, weight, mask, **options)
    keep = leaves[2].detach() > 0  # a step at zero has no derivative: those samples stay out

    assert torch.autograd.gradcheck(lambda x, w, m: run(x, w, m * keep), leaves, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(lambda x, w, m: run(x, w, m * keep), leaves)


@pytest.mark.parametrize("ndim", [1, 2])
def test_complex_derivatives(ndim):
    x, weight = (torch.randn(2, 2, *[n] * ndim, dtype=torch.complex128, requires_grad=True) for n in (4, 2))
    for method in ("auto", "fft", "windows"):
        run = lambda x, weight, method=method: sc.conv(x, weight, padding="same", method=method)
        assert torch.autograd.gradcheck(run, (x, weight))
        assert torch.autograd.gradgradcheck(run, (x, weight))


# ---- the backward pass by hand, in NumPy: what the lectures ask a student to write (BP8)


def forward(x, w, stride, dilation):
    """(batch, in, n) and (out, in, taps) -> (batch, out, positions): plain loops."""
    positions = (x.shape[2] - dilation * (w.shape[2] - 1) - 1) // stride + 1
    y = np.zeros((x.shape[0], w.shape[0], positions))
    for b, o, p in np.ndindex(*y.shape):
        for c, k in np.ndindex(*w.shape[1:]):
            y[b, o, p] += w[o, c, k] * x[b, c, p * stride + k * dilation]
    return y


def backward(x, w, g, stride, dilation):
    """The gradients of forward: what each product took part in, added up where it came from."""
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for b, o, p in np.ndindex(*g.shape):
        for c, k in np.ndindex(*w.shape[1:]):
            dx[b, c, p * stride + k * dilation] += w[o, c, k] * g[b, o, p]
            dw[o, c, k] += x[b, c, p * stride + k * dilation] * g[b, o, p]
    return dx, dw


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_bp5_bp8_the_backward_pass_is_convolution_and_equals_the_loops(stride, dilation):
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 3, 14)), rng.normal(size=(4, 3, 3))
    y = forward(x, w, stride, dilation)
    np.testing.assert_allclose(sc.conv(x, w, stride=stride, dilation=dilation), y, rtol=1e-12)
    g = rng.normal(size=y.shape)
    dx, dw = backward(x, w, g, stride, dilation)
    assert np.abs(numeric(lambda x: (forward(x, w, stride, dilation) * g).sum(), x) - dx).max() < 1e-6, "BP8"
    options = {"stride": (stride,), "margins": ((0, 0),), "dilation": (dilation,), "groups": 1}
    options["correlate"] = methods.correlate
    tensors = [torch.from_numpy(a) for a in (x, w, g)]
    ours = methods.input_gradient(tensors[2], tensors[1], size=(14,), **options)
    np.testing.assert_allclose(ours, dx, rtol=1e-10, atol=1e-12)
    ours = methods.weight_gradient(tensors[0], tensors[2], kernel_size=(3,), **options)
    np.testing.assert_allclose(ours, dw, rtol=1e-10, atol=1e-12)


def numeric(f, x, step=1e-6):
    """Central differences."""
    slopes = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        nudge = np.zeros_like(x)
        nudge[place] = step
        slopes[place] = (f(x + nudge) - f(x - nudge)) / (2 * step)
    return slopes


@examples(150)
@given(case=cases(ndims=(1, 4)))
def test_bp1_bp3_both_halves_of_the_explicit_backward_are_autograds(case):
    x, weight, _ = case.tensors()
    assume(x.numel())
    padded = nd.pad(x, nd.margins(case.padding, case.kernel_size, case.dilation), case.padding_mode).contiguous()
    zeros = tuple((1, 2) for _ in case.size)
    options = {"stride": case.stride, "margins": zeros, "dilation": case.dilation, "groups": case.groups}
    padded.requires_grad_(), weight.requires_grad_()
    y = methods.correlate(padded, weight, None, **options)
    g = torch.randn_like(y)
    dx, dw = torch.autograd.grad(y, (padded, weight), g)
    options["correlate"] = methods.correlate
    ours = methods.input_gradient(g, weight, size=tuple(padded.shape[2:]), **options)
    torch.testing.assert_close(ours, dx, rtol=1e-9, atol=1e-10)
    ours = methods.weight_gradient(padded, g, kernel_size=case.kernel_size, **options)
    torch.testing.assert_close(ours, dw, rtol=1e-9, atol=1e-10)


def test_bp1_bp2_the_filter_on_the_way_back_is_turned_over_and_regrouped():
    letters = torch.arange(9.0).reshape(1, 1, 3, 3)  # a b c d e f g h i
    assert taps.inverted(letters, 1).flatten().tolist() == [8, 7, 6, 5, 4, 3, 2, 1, 0]
    twenty = torch.randn(20, 3, 5, 5)
    back = taps.inverted(twenty, 1)
    assert back.shape == (3, 20, 5, 5), "20 filters of 3 slices are 3 groups of 20"
    assert torch.equal(back[1, 7], twenty[7, 1].flip((0, 1)))


def test_bp3_bp9_a_shared_weight_gets_the_sum_of_what_every_position_would_give_its_own():
    x = torch.randn(1, 1, 8, dtype=torch.float64)
    tied, local = (
        sc.Conv1d(1, 1, 3, bias=False, dtype=torch.float64),
        sc.LocalConv(1, 1, (3,), (8,), bias=False, dtype=torch.float64),
    )
    local.weight.data = tied.weight.data[..., None].expand_as(local.weight).clone()
    for layer in (tied, local):
        layer(x).square().sum().backward()
    torch.testing.assert_close(tied.weight.grad, local.weight.grad.sum(-1))
    step = lambda layer: layer.weight.data - 0.1 * layer.weight.grad
    torch.testing.assert_close(step(tied), tied.weight.data - 0.1 * local.weight.grad.sum(-1))


def test_bp4_an_input_outside_the_receptive_field_has_no_gradient():
    x = torch.randn(1, 1, 9, 9, requires_grad=True)
    y = sc.conv(x, torch.randn(1, 1, 3, 3), dilation=2)
    (g,) = torch.autograd.grad(y[0, 0, 2, 1], x)
    seen = torch.zeros(9, 9, dtype=torch.bool)
    seen[2:7:2, 1:6:2] = True
    assert torch.equal(g[0, 0] != 0, seen)


def test_bp6_bp7_relu_passes_where_its_input_was_positive_and_max_pooling_to_the_largest():
    x = torch.tensor([[[-1.0, 2.0, 3.0, -4.0]]], requires_grad=True)
    (g,) = torch.autograd.grad(sc.conv(x, torch.ones(1, 1, 1)).relu().sum(), x)
    assert g.flatten().tolist() == [0, 1, 1, 0]
    (g,) = torch.autograd.grad(sc.max_pool(x, 2).sum(), x)
    assert g.flatten().tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_mx8_the_matrix_carries_inputs_forward_and_its_transpose_errors_back(ndim):
    size = (4,) * ndim if ndim > 1 else (9,)
    layer = sc.Conv(2, 3, (2,) * ndim, padding="same", padding_mode="circular", stride=2, dtype=torch.float64)
    matrix = sc.to_dense(layer, size).weight
    x = torch.randn(1, 2, *size, dtype=torch.float64, requires_grad=True)
    y = layer(x)
    delta = torch.randn_like(y)
    (g,) = torch.autograd.grad(y, x, delta)
    torch.testing.assert_close(g.flatten(), matrix.mT @ delta.flatten())
