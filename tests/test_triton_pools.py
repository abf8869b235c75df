"""The Triton kernels behind the public poolings and depthwise layers, by Triton's interpreter: as without them."""

import torch
from interpreted import DOUBLE, case, derived, failures, interpreted, made, main, same

import sigconv as sc
from sigconv.kernels import _triton, blocks, extremes, sums
from sigconv.methods import direct
from sigconv.pooling import power

WINDOWS = [  # space, options
    ((9,), {"kernel_size": 3, "stride": 2, "padding": (1, 2)}),
    ((8,), {"kernel_size": 2, "stride": 3, "dilation": 2, "padding": 1, "ceil_mode": True}),
    ((5, 4), {"kernel_size": (3, 2), "stride": (2, 1), "padding": ((1, 0), (0, 1)), "padding_mode": "reflect"}),
    ((4, 3, 5), {"kernel_size": 2, "stride": (2, 1, 3), "ceil_mode": True}),
    ((3, 2, 3, 4), {"kernel_size": (2, 1, 2, 2), "stride": 1, "dilation": (1, 1, 2, 1), "padding": (0, 0, 0, 1)}),
]
LOOPS = {module: module.at_hand for module in (blocks, extremes, sums, power)}
launched: set[str] = set()
launch = _triton.launch


def counted(kernel, *given, **options):
    """A launch, taken down."""
    launched.add(kernel.fn.__name__)
    launch(kernel, *given, **options)


def kernels(on):
    """CPU tensors take Triton's kernels, or torch alone: here the CPU's loops are Triton's kernels, too."""
    interpreted(on)
    for module, at_hand in LOOPS.items():
        module.at_hand = at_hand if on else lambda *x: False


def both(way, leaves, names, twice=True, **gate):
    """A public function with its kernels, which must have run, and without them: values and derivatives."""
    kernels(False)
    launched.clear()
    g = made(*way(*leaves).shape, seed=3)
    true = derived(way, leaves, g, twice)
    assert not launched
    kernels(True)
    found = derived(way, leaves, g, twice)
    assert set(names.split()) <= launched, (names, launched)
    same(found, true, **gate)


@case
def pl6_lp_of_any_power_share_and_window():
    for row, (space, options) in enumerate(WINDOWS):
        x = made(1, 2, *space)
        for p, mean in ((2.5, False), (3, True))[: 2 if row < 2 else 1 + row % 2]:
            lp = lambda x: sc.lp_pool(x, p, mean=mean, **options)  # noqa: B023
            both(lp, [x], "norms back", twice=row < 3)
    x = torch.tensor([[[0.0, 0.0, 0.0, 2.0]]], dtype=DOUBLE)
    for p in (0.5, 1, 2.5):
        both(lambda x: sc.lp_pool(x, p, 2), [x], "norms back")  # noqa: B023


@case
def pl4_softmax_and_lse_with_a_number_a_tensor_and_one_a_channel():
    betas = (0.7, torch.tensor(-1.3, dtype=DOUBLE), torch.tensor([2.0, -0.4], dtype=DOUBLE))
    for row, (space, options) in enumerate(WINDOWS):
        x = made(1, 2, *space)
        beta = betas[row % 3]
        for pool in (sc.softmax_pool, sc.lse_pool):
            if isinstance(beta, float):
                both(lambda x: pool(x, beta=beta, **options), [x], "means back")  # noqa: B023
            else:
                run = lambda x, beta: pool(x, beta=beta, **options)  # noqa: B023
                both(run, [x, beta], "means variances back", twice=row < 3, rtol=1e-9, atol=1e-9)
    x = made(1, 2, 9)
    both(lambda x: sc.softmax_pool(x, 3, beta=0), [x], "means back")
    layer = sc.LSEPool(2, beta=0.5, learnable=True, channels=2).double()
    y = layer(x)
    y.sum().backward()
    kernels(False)
    (slope,) = torch.autograd.grad(layer(x).sum(), layer.beta)
    torch.testing.assert_close(layer.beta.grad, slope)


@case
def pl5_expectations_and_draws():
    for row, (space, options) in enumerate(WINDOWS):
        x = made(1, 2, *space)
        run = lambda x: sc.stochastic_pool(x, training=False, **options)  # noqa: B023
        both(run, [x], "expectations back", twice=row < 3)

        def draw(x, options=options):
            return sc.stochastic_pool(x, generator=torch.Generator().manual_seed(5), **options).sin()

        both(draw, [x], "draw back", twice=row < 3)
    x = torch.tensor([[[0.0, -1.0, 2.0, 0.0, 3e38, 3e38]]])
    assert sc.stochastic_pool(x, 2, training=False)[0, 0].tolist() == [0, 2, x.max().item()]


@case
def cv8_depthwise_layers_of_three_and_four_axes():
    rows = [  # space, kernel, options, filters a channel
        ((4, 5, 4), (2, 3, 2), {"stride": (2, 1, 1), "padding": ((0, 1), (2, 1), (1, 0)), "dilation": (1, 1, 2)}, 2),
        ((3, 4, 3), (3, 1, 3), {"padding": "same", "padding_mode": "circular"}, 1),
        ((2, 3, 3, 4), (2, 2, 1, 3), {"stride": (1, 2, 1, 1), "padding": (0, (1, 0), 0, 1)}, 1),
    ]
    for number, (space, kernel, options, each) in enumerate(rows):
        given = made(1, 2, *space), made(2 * each, 1, *kernel, seed=1), made(2 * each, seed=2)
        run = lambda x, w, b: sc.conv(x, w, b, groups=2, **options)  # noqa: B023
        both(run, given, "sums tied", twice=not number)
        half = [t.to(torch.bfloat16) for t in given]
        y = sc.conv(*half, groups=2, **options)
        assert y.dtype == torch.bfloat16
        kernels(False)
        torch.testing.assert_close(
            y.double(), sc.conv(*[t.double() for t in half], groups=2, **options), rtol=8e-3, atol=8e-3
        )
        kernels(True)
    launched.clear()  # what torch is quick at is left to it
    sc.conv(made(1, 2, 5, 5), made(2, 1, 3, 3), groups=2)
    sc.conv(made(1, 1, 4, 4, 4), made(3, 1, 2, 2, 2))
    sc.conv(made(1, 4, 4, 4, 4), made(4, 2, 2, 2, 2), groups=2)
    assert not launched


@case
def direct_takes_halves_as_they_are():
    x, weight = made(1, 2, 4, 3, 4, dtype=torch.float16), made(2, 1, 2, 2, 2, dtype=torch.float16, seed=1)
    options = {"stride": (1,) * 3, "margins": ((1, 0),) * 3, "dilation": (1,) * 3, "groups": 2}
    y = direct.correlate(x, weight, None, **options)
    kernels(False)
    true = direct.correlate(x.double(), weight.double(), None, **options)
    assert y.dtype == torch.float16
    torch.testing.assert_close(y.double(), true, rtol=1e-3, atol=1e-4)


POOLS = {
    "norms": lambda x: sc.lp_pool(x, 2.5, 3, 2, padding=1),
    "mean norms": lambda x: sc.lp_pool(x, 3, 2, mean=True, ceil_mode=True),
    "means": lambda x: sc.softmax_pool(x, 3, 2, padding=1, beta=0.5),
    "logs": lambda x: sc.lse_pool(x, 3, 2, padding=1, beta=-0.5),
    "expectations": lambda x: sc.stochastic_pool(x, 3, 2, padding=1, training=False),
    "draws": lambda x: sc.stochastic_pool(x, 3, 2, generator=torch.Generator().manual_seed(1)),
}


@case
def n1_halves_are_summed_in_float32_and_given_back_as_halves():
    for dtype in (torch.float16, torch.bfloat16):
        eps = torch.finfo(dtype).eps
        for name, pool in POOLS.items():
            x = made(1, 2, 9, dtype=dtype, seed=6) * 3
            leaf, wide = x.clone().requires_grad_(), x.double().requires_grad_()
            y = pool(leaf)
            (slope,) = torch.autograd.grad(y.sum(), leaf)
            kernels(False)
            true = pool(x.float().requires_grad_() if name == "draws" else wide)  # the same draws
            wide = wide if name != "draws" else None
            assert y.dtype == slope.dtype == dtype
            torch.testing.assert_close(y.double(), true.double(), rtol=eps, atol=eps * 1e-2)
            if wide is not None:
                (exact,) = torch.autograd.grad(true.sum(), wide)
                torch.testing.assert_close(slope.double(), exact, rtol=eps, atol=eps / 4)
            kernels(True)
    flat = torch.full((1, 1, 4), 6e4, dtype=torch.float16)
    assert sc.lp_pool(flat, 2, 4, mean=True).item() == sc.stochastic_pool(flat, 4, training=False).item() == 6e4


@case
def n2_what_is_not_finite_stays_in_its_windows():
    x = made(1, 1, 24)
    x[..., 2], x[..., 7], x[..., 12], x[..., 17], x[..., 20:] = torch.nan, torch.inf, -torch.inf, 0, -torch.inf
    x[..., 13] = torch.inf
    for name, pool in POOLS.items():
        found = []
        for on in (True, False):
            kernels(on)
            leaf = x.clone().requires_grad_()
            y = pool(leaf)
            keep = y.isfinite()
            (slope,) = torch.autograd.grad(y, leaf, keep.to(y.dtype))
            found.append((y, slope if name not in ("norms", "mean norms", "means") else y))  # they have no slope there
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one, other, equal_nan=True, rtol=1e-10, atol=1e-10, msg=lambda m: f"{name}: {m}")  # noqa: B023


@case
def n5_a_small_sharpness_loses_no_digits():
    x = made(1, 2, 12).float() * 4
    mean, spread = (f(x.double().unflatten(2, (3, 4)), -1) for f in (torch.mean, lambda t, d: t.var(d, correction=0)))
    for sharp in (1e-2, -1e-4, 1e-7):
        beta = torch.full((2,), sharp, requires_grad=True)
        y = sc.lse_pool(x, 4, beta=beta)
        (slope,) = torch.autograd.grad(y.sum(), beta)
        wide = beta.detach().double().requires_grad_()
        exact = (x.double().unflatten(2, (3, 4)) * wide[:, None, None]).exp().mean(-1).log() / wide[:, None]
        if abs(sharp) > 1e-5:
            (true,) = torch.autograd.grad(exact.sum(), wide)
        else:
            exact, true = mean + sharp * spread / 2, spread.sum((0, 2)) / 2
        torch.testing.assert_close(y.double(), exact, rtol=1e-6, atol=2e-6)
        torch.testing.assert_close(slope.double(), true, rtol=2e-5, atol=1e-5)
    learned = sc.LSEPool(4, beta=0.0, learnable=True, channels=2)
    learned(x).sum().backward()
    torch.testing.assert_close(learned.beta.grad.double(), spread.sum((0, 2)) / 2, rtol=1e-5, atol=1e-5)


@case
def n16_compiled_poolings_keep_their_ops():
    seen = []

    def backend(graph, inputs):
        seen.extend(str(node.target) for node in graph.graph.nodes)
        return graph

    x = made(1, 2, 9).float()
    every = lambda x: sum(pool(x).sum() for name, pool in POOLS.items() if name != "draws")
    compiled = torch.compile(every, backend=backend, fullgraph=True)
    torch.testing.assert_close(compiled(x), every(x))
    names = {"window_norms", "soft_means", "expectations"}
    assert {f"sigconv.{name}.default" for name in names} <= set(seen)


@case
def n17_transforms_take_the_twins():
    rows = made(2, 1, 2, 6)
    for pool in list(POOLS.values())[:-1]:
        kernels(True)
        launched.clear()
        mapped = torch.func.vmap(pool)(rows)
        value, slope = torch.func.jvp(pool, (rows[0],), (rows[1],))
        assert launched <= {"sums"}  # how many samples a window has
        assert slope.any()
        torch.testing.assert_close(mapped, torch.stack([pool(row) for row in rows]))
        torch.testing.assert_close(value, mapped[0])


@case
def n17_an_answer_may_be_written_over():
    x = made(1, 2, 6, dtype=torch.float32).abs()
    ways = (
        lambda x: sc.softmax_pool(x, 2),
        lambda x: sc.lse_pool(x, 2),
        lambda x: sc.lp_pool(x, 2.5, 2),
        lambda x: sc.lp_pool(x, 2, 2, mean=True),
        lambda x: sc.stochastic_pool(x, 2, training=False),
    )
    for way in ways:
        leaf, plain = x.clone().requires_grad_(), x.clone().requires_grad_()
        way(leaf).relu_().sum().backward()
        way(plain).relu().sum().backward()
        assert torch.equal(leaf.grad, plain.grad)


def test_the_public_functions_with_kernels_are_those_without():
    assert not failures(__file__)


if __name__ == "__main__":
    _triton.launch = counted
    main()
