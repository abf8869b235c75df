"""float32 convolutions on CUDA in float32: the op that sees to it, tested where there is none, and when it is taken."""

import pytest
import torch

import sigconv as sc
from sigconv.kernels import precise

CASES = [(ndim, turned) for ndim in (1, 2, 3) for turned in (False, True)]


def given(ndim, turned, dtype=torch.float64):
    """Input, weight, bias and options of a strided grouped convolution."""
    shapes = (2, 4, *[6] * ndim), ((4, 3) if turned else (6, 2)) + (3,) * ndim, (6,)
    tensors = [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]
    return tensors, ([2] * ndim, [0 if turned else 1] * ndim, [1] * ndim, turned, 2)


@pytest.mark.parametrize(("ndim", "turned"), CASES)
def test_n6_the_op_is_torchs_convolution_with_its_derivatives(ndim, turned):
    tensors, options = given(ndim, turned)
    f = lambda *tensors: precise._op(*tensors, *options)
    assert torch.equal(f(*tensors), torch.ops.aten.convolution(*tensors, *precise._all(*options)))
    assert torch.autograd.gradcheck(f, tensors, fast_mode=True)
    assert torch.autograd.gradgradcheck(f, tensors, fast_mode=True)
    bare = [tensors[0].detach(), tensors[1].detach(), None]
    for case in (tensors, bare):
        torch.library.opcheck(precise._op.overload, (*case, *options))


def test_the_op_is_one_node_of_a_compiled_graph():
    tensors, options = given(2, False)
    f = lambda x, weight, bias: precise._op(x, weight, bias, *options).sin()
    once = torch.compile(f, backend="aot_eager", fullgraph=True)
    found = [torch.autograd.grad(g(*tensors).sum(), tensors) for g in (f, once)]
    torch.testing.assert_close(*found)


@pytest.fixture
def holder():
    """What says how torch's convolutions on CUDA round, put back afterwards."""
    conv = torch.backends.cudnn.conv
    was = conv.fp32_precision
    yield conv
    conv.fp32_precision = "none"
    if conv.fp32_precision != was:
        conv.fp32_precision = was


def test_n6_inside_the_op_nothing_is_rounded_and_outside_all_is_as_it_was(holder, monkeypatch):
    holder.fp32_precision = "tf32"
    seen, convolution = [], torch.ops.aten.convolution

    class Watched:
        def __call__(self, *given):
            seen.append(holder.fp32_precision)
            return convolution(*given)

    tensors, options = given(1, False)
    monkeypatch.setattr(torch.ops.aten, "convolution", Watched())
    precise._op(*(t.detach() for t in tensors), *options)
    assert (seen, holder.fp32_precision) == (["ieee"], "tf32")


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_n6_convolutions_forward_and_backward_go_through_the_op(ndim, monkeypatch):
    """As on CUDA: there the op is taken for float32 where torch would round."""
    taken = []
    op, gradients = precise._op, precise._gradients_op
    monkeypatch.setattr(precise, "_op", lambda *given: (taken.append("op"), op(*given))[1])
    monkeypatch.setattr(precise, "_gradients_op", lambda *given: (taken.append("gradients"), gradients(*given))[1])
    x = torch.randn(1, 2, *[5] * ndim, requires_grad=True)
    weight = torch.randn(3, 2, *[2] * ndim, requires_grad=True)
    found = []
    for rounded in (False, True):
        monkeypatch.setattr(precise, "_rounded", lambda *tensors, rounded=rounded: rounded)
        y = sc.conv(x, weight, method="direct")
        turned = sc.conv_transpose(y, weight, stride=2) if ndim < 4 else y
        found.append([y, turned, *torch.autograd.grad(turned.square().sum(), (x, weight))])
        assert bool(taken) == rounded
    torch.testing.assert_close(*found)
    assert {"op", "gradients"} <= set(taken)


PRODUCTS = {
    "rows": ("bgpk,gko->bgpo", (2, 3, 4, 5), (3, 5, 2)),
    "matrix": ("bk,ok->bo", (3, 4), (2, 4)),
    "spectra": ("bgcn...,goc...->bgon...", (2, 1, 3, 2, 4, 2), (1, 2, 3, 4, 2)),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
@pytest.mark.parametrize("case", PRODUCTS)
def test_n6_products_are_einsum_with_its_derivatives(case, dtype):
    equation, *shapes = PRODUCTS[case]
    a, b = (torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes)
    f = lambda a, b: precise.products(equation, a, b)
    torch.testing.assert_close(f(a, b), torch.einsum(equation, a, b))
    assert torch.autograd.gradcheck(f, (a, b), fast_mode=True)
    assert torch.autograd.gradgradcheck(f, (a, b), fast_mode=True)
    torch.library.opcheck(precise._products_op.overload, (equation, a, b))
    assert torch.autograd.grad(f(a, b.detach()).abs().sum(), a)[0].shape == a.shape


WAYS = {
    "windows": lambda x, weight: sc.conv(x, weight, stride=2, padding=1, method="windows"),
    "toeplitz": lambda x, weight: sc.conv(x, weight, padding=1, method="toeplitz"),
    "fft": lambda x, weight: sc.conv(x, weight, method="fft"),
    "untied": lambda x, weight: UNTIED(x) * weight.mean(),
    "matrix": lambda x, weight: sc.toeplitz(weight[0, 0], (4, 4)),
}
UNTIED = sc.LocalConv(6, 2, (3, 3), size=(8, 8), dtype=torch.float64)


@pytest.mark.parametrize("way", WAYS)
def test_n6_products_of_ours_go_through_the_op_where_torch_would_round(way, monkeypatch):
    taken, op = [], precise._products_op
    monkeypatch.setattr(precise, "_products_op", lambda *given: (taken.append(given[0]), op(*given))[1])
    x = torch.randn(2, 6, 8, 8, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 6, 2, 2, dtype=torch.float64, requires_grad=True)
    found = []
    for rounded in (False, True):
        monkeypatch.setattr(precise, "rounds_products", lambda *tensors, rounded=rounded: rounded)
        y = WAYS[way](x, weight)
        found.append([y, *torch.autograd.grad(y.square().sum(), (x, weight), allow_unused=True)])
        assert bool(taken) == rounded
    torch.testing.assert_close(*found)


def test_n6_inside_products_nothing_is_rounded_and_outside_all_is_as_it_was(monkeypatch):
    holder, seen, einsum = torch.backends.cuda.matmul, [], torch.einsum
    was = holder.fp32_precision
    try:
        holder.fp32_precision = "tf32"
        monkeypatch.setattr(torch, "einsum", lambda *given: (seen.append(holder.fp32_precision), einsum(*given))[1])
        precise.products("bk,ok->bo", torch.ones(2, 3), torch.ones(4, 3))
        assert (seen, holder.fp32_precision) == (["ieee"], "tf32")
        monkeypatch.setattr(precise, "transformed_away", lambda *tensors: False)
        kinds = (torch.float32, torch.complex64, torch.float64, torch.bfloat16)
        loose = [precise.rounds_products(OnCuda(kind), OnCuda(kind)) for kind in kinds]
        assert loose == [True, True, False, False]
        with sc.allow_tf32():
            assert not precise.rounds_products(OnCuda(), OnCuda())
        holder.fp32_precision = "ieee"
        assert not precise.rounds_products(OnCuda(), OnCuda())
    finally:
        holder.fp32_precision = "none"
        if holder.fp32_precision != was:
            holder.fp32_precision = was


class OnCuda:
    """What the choice looks at of a tensor that lives on a GPU."""

    is_cuda = True

    def __init__(self, dtype=torch.float32):
        self.dtype = dtype


def test_n6_the_op_is_taken_for_float32_where_torch_would_round(holder, monkeypatch):
    monkeypatch.setattr(precise, "transformed_away", lambda *tensors: False)
    holder.fp32_precision = "tf32"
    assert precise._rounded(OnCuda())
    assert not precise._rounded(OnCuda(torch.float64))
    assert not precise._rounded(torch.zeros(1))
    with monkeypatch.context() as patch:
        patch.setattr(torch, "is_autocast_enabled", lambda kind: kind == "cuda")
        assert not precise._rounded(OnCuda())
    holder.fp32_precision = "ieee"
    assert not precise._rounded(OnCuda())


def test_tf32_is_asked_for_by_name_and_ends_with_the_block(holder, monkeypatch):
    monkeypatch.setattr(precise, "transformed_away", lambda *tensors: False)
    holder.fp32_precision = "tf32"
    with sc.allow_tf32():
        assert not precise._rounded(OnCuda())
        with sc.allow_tf32(False):
            assert precise._rounded(OnCuda())
        assert not precise._rounded(OnCuda())
    assert precise._rounded(OnCuda())
    whole = sc.allow_tf32()
    assert precise.tf32()
    whole.__exit__()
    assert not precise.tf32()
