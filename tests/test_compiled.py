"""compile, export, vmap, jvp, meta shapes: the same numbers and shapes however a call is made."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import cases, examples, taken
from torch import nn

import sigconv as sc
from sigconv import methods
from sigconv.kernels import taps

METHODS = sorted(methods.METHODS)
DENSE = [name for name in METHODS if name not in ("lookup", "separable")]


@examples(200)
@given(case=cases(ndims=(1, 4)), method=st.sampled_from(["auto", *DENSE]))
def test_n17_meta_shapes_vmap_and_jvp_are_those_of_a_plain_call(case, method):
    method = taken(case, method, torch.float64)
    x, weight, bias = case.tensors()
    run = lambda x, weight: sc.conv(x, weight, bias, method=method, **case.options)
    y = run(x, weight)
    on_meta = [None if t is None else t.to("meta") for t in (x, weight, bias)]
    with_meta = sc.conv(*on_meta, method=method, **case.options)
    assert with_meta.shape == y.shape
    assert with_meta.dtype == y.dtype
    each = torch.vmap(run, in_dims=(0, None))(torch.stack([x, 2 * x]), weight)
    torch.testing.assert_close(each, torch.stack([y, run(2 * x, weight)]), rtol=1e-10, atol=1e-10)
    x = x.contiguous()
    _, along = torch.func.jvp(lambda x: run(x, weight), (x,), (torch.ones_like(x),))
    torch.testing.assert_close(
        along, run(torch.ones_like(x), weight) - run(torch.zeros_like(x), weight), rtol=1e-9, atol=1e-9
    )


@examples(30)
@given(case=cases(ndims=(1, 4)), method=st.sampled_from(["auto", *DENSE]))
def test_n16_aot_compiled_is_eager_twice_over(case, method):
    method = taken(case, method, torch.float32)
    x, weight, bias = case.tensors(torch.float32)
    x = x.contiguous()
    torch._dynamo.reset()
    run = lambda x, w, b: sc.conv(x, w, b, method=method, **case.options)
    compiled = torch.compile(run, backend="aot_eager", fullgraph=True)
    first, second = compiled(x, weight, bias), compiled(x, weight, bias)
    torch.testing.assert_close(first, run(x, weight, bias), rtol=1e-4, atol=1e-4)
    assert torch.equal(first, second)


INDUCTOR = [
    ((2, 4, 37), (6, 2, 5), {"groups": 2, "padding": "same", "padding_mode": "symmetric"}),
    ((2, 1, 61), (3, 1, 7), {"stride": 2, "padding": "full"}),
    ((2, 3, 13, 11), (4, 3, 3, 2), {"dilation": 2, "padding": ((1, 2), (0, 3)), "padding_mode": "reflect"}),
    (
        (2, 2, 7, 9, 5),
        (4, 1, 3, 3, 3),
        {"groups": 2, "padding": "same", "padding_mode": ("zeros", "circular", "replicate")},
    ),
    ((2, 2, 5, 6, 4, 5), (3, 2, 2, 3, 2, 3), {"padding": "causal"}),
]


@pytest.mark.parametrize(("x", "weight", "options"), INDUCTOR)
def test_n16_inductors_code_is_eager_twice_over_gradients_too(x, weight, options):
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(size, generator=generator).requires_grad_() for size in (x, weight))
    run = lambda x, w: sc.max_pool(sc.conv(x, w, **options).relu(), 2).square().sum()
    torch._dynamo.reset()
    compiled = torch.compile(run, fullgraph=True)
    answers = [(compiled(x, weight), *torch.autograd.grad(compiled(x, weight), (x, weight))) for _ in range(2)]
    eager = (run(x, weight), *torch.autograd.grad(run(x, weight), (x, weight)))
    for first, second, plain in zip(*answers, eager, strict=True):
        assert torch.equal(first, second)
        torch.testing.assert_close(first, plain, rtol=1e-4, atol=1e-4)


def test_n16_the_other_operations_compile_in_one_graph():
    x, weight = torch.randn(2, 2, 9, 8), torch.randn(2, 3, 3, 3)
    calls = [
        lambda x: sc.conv_transpose(x, weight, stride=2, padding=1, padding_mode="reflect"),
        lambda x: sc.conv_transpose(x, weight),
        lambda x: sc.fold(sc.unfold(x, 3, stride=2, padding=1), (9, 8), 3, stride=2, padding=1),
        lambda x: sc.masked_conv(x, weight.transpose(0, 1).contiguous(), padding="same"),
        lambda x: sc.convolve(x, x[:, :, :3, :2], "same", axes=(2, 3)),
        lambda x: sc.LocalConv(2, 3, (3, 3), (9, 8), share=2)(x).shape[0] * x,
        sc.SeparableConv(2, 4, 3, ndim=2),
    ]
    for call in calls:
        torch._dynamo.reset()
        compiled = torch.compile(call, backend="aot_eager", fullgraph=call is not calls[5])
        torch.testing.assert_close(compiled(x), call(x))


def test_n17_a_layer_exports_with_a_length_left_open():
    model = nn.Sequential(sc.Conv1d(1, 4, 5, padding="same", padding_mode="reflect"), nn.ReLU(), sc.AvgPool(2))
    length = torch.export.Dim("length", min=16, max=4096)
    exported = torch.export.export(model, (torch.randn(2, 1, 100),), dynamic_shapes=({2: 2 * length},))
    x = torch.randn(2, 1, 64)
    torch.testing.assert_close(exported.module()(x), model(x))


def test_n17_layers_export_and_load_again(tmp_path):
    model = nn.Sequential(
        sc.DepthwiseConv(3, 5, padding="same", padding_mode="symmetric", ndim=3),
        sc.ConvTranspose(3, 4, 3, stride=2, padding=1, output_padding=1, ndim=3),
        sc.FactorizedConv(4, 2, (3, 3, 3), padding="same"),
    )
    x = torch.randn(1, 3, 5, 6, 4)
    torch.export.save(torch.export.export(model, (x,)), tmp_path / "model.pt2")
    torch.testing.assert_close(torch.export.load(tmp_path / "model.pt2").module()(x), model(x))


# ---- the kernel's op and its twin


@examples(150)
@given(case=cases(ndims=(1, 5)), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_shifted_sums_are_their_twin_and_so_are_their_derivatives(case, dtype):
    x, weight, bias = case.tensors(dtype)
    if x.numel() == 0:
        return
    margins = tuple((1, 2) for _ in case.size)
    if any(n + 3 < s for n, s in zip(case.size, sc.nd.spans(case.kernel_size, case.dilation), strict=True)):
        margins = tuple((s, s) for s in sc.nd.spans(case.kernel_size, case.dilation))
    before, after = ([m[side] for m in margins] for side in (0, 1))
    leaves = [t.detach().contiguous().requires_grad_() for t in (x, weight, bias) if t is not None]
    call = lambda f, x, w, b=None: f(x, w, b, before, after, list(case.dilation))
    op, twin = call(taps._op, *leaves), call(taps.twin, *leaves)
    close = {"rtol": 1e-4, "atol": 1e-4} if dtype == torch.float32 else {"rtol": 1e-9, "atol": 1e-9}
    torch.testing.assert_close(op, twin, **close)
    g = torch.randn_like(twin)
    for ours, theirs in zip(torch.autograd.grad(op, leaves, g), torch.autograd.grad(twin, leaves, g), strict=True):
        torch.testing.assert_close(ours, theirs, **close)
    fake = taps._empty(
        *(t.to("meta") for t in leaves), *([None] if bias is None else []), before, after, list(case.dilation)
    )
    assert fake.shape == op.shape


def test_a_kernel_under_jvp_grad_and_vmap_gives_what_its_twin_gives():
    x, weight = torch.randn(2, 1, 5000, dtype=torch.float64), torch.randn(3, 1, 300, dtype=torch.float64)
    run = lambda f, x, w: f(x, w, None, ((4, 5),), (1,))
    slow = lambda x, w, b, m, d: taps.twin(x, w, b, [p[0] for p in m], [p[1] for p in m], list(d))
    for f, g in ((taps.shifted_sums, slow),):
        torch.testing.assert_close(run(f, x, weight), run(g, x, weight))
        tangent = torch.randn_like(x)
        ours, theirs = (torch.func.jvp(lambda x, h=h: run(h, x, weight), (x,), (tangent,))[1] for h in (f, g))
        torch.testing.assert_close(ours, theirs)
        assert ours.abs().max() > 0, "a custom op's own jvp would be zero"
        with torch.autograd.forward_ad.dual_level():
            dual = torch.autograd.forward_ad.make_dual(x, tangent)
            along = torch.autograd.forward_ad.unpack_dual(run(f, dual, weight)).tangent
        torch.testing.assert_close(along, theirs)
        ours, theirs = (torch.func.grad(lambda x, h=h: run(h, x, weight).square().sum())(x) for h in (f, g))
        torch.testing.assert_close(ours, theirs)
        ours, theirs = (torch.vmap(lambda x, h=h: run(h, x[None], weight))(x) for h in (f, g))
        torch.testing.assert_close(ours, theirs)
    assert torch.library.opcheck(taps._op.overload, (x, weight, None, [4], [5], [1]))
