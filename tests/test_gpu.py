"""On a CUDA device: the same values, whatever else is installed. Run with: python -m pytest -m gpu"""

import os

import pytest
import torch
from on_device import DEVICE, GPU, OF_CUDA
from torch import nn

import sigconv as sc
from sigconv.datasets._parts import Arrays
from sigconv.filters import gabor, haar
from sigconv.kernels import precise
from sigconv.methods import _calibrate, _call, _prices
from sigconv.train import Job, evaluate, fit

pytestmark = GPU

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when products are first made


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
@pytest.mark.parametrize("method", ["windows", "direct", "fft"])
def test_mx11_n6_float32_on_the_gpu_keeps_the_error_gate(ndim, method):
    """Whatever torch says of TF32: it lets cuDNN round from the start."""
    generator = torch.Generator().manual_seed(ndim)
    x = torch.randn(2, 4, *[12] * ndim, generator=generator)
    weight = torch.randn(6, 4, *[3] * ndim, generator=generator)
    options = {"padding": "same", "padding_mode": "symmetric", "method": method}
    y = sc.conv(x.to(DEVICE), weight.to(DEVICE), **options).cpu()
    exact = sc.conv(x.double(), weight.double(), **options)
    scale = sc.conv(x.double().abs(), weight.double().abs(), **options).max()
    assert (y - exact).abs().max() <= 2.5 * torch.finfo(torch.float32).eps * weight[0].numel() ** 0.5 * scale


def waves(n=600):
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(n) % 2
    x = torch.randn(n, 1, 40, generator=generator) + y[:, None, None] * torch.sin(torch.arange(40) / 2)
    return Arrays(x, y, ["noise", "wave"])


class Made:
    """The same items, made on the CPU one at a time: they reach the GPU pinned and ahead of time."""

    def __init__(self, data):
        self.data, self.classes = data, data.classes

    def __len__(self):
        return len(self.data)

    def item(self, index, generator):
        return self.data.item(index)


def train(data, folder=None, **options):
    job = {key: options.pop(key) for key in ("precision", "compile", "workers", "resuming") if key in options}
    torch.manual_seed(0)
    model = nn.Sequential(
        sc.Conv1d(1, 16, 5, stride=2), nn.ReLU(), nn.Dropout(0.2), sc.GlobalMaxPool(), nn.Linear(16, 2)
    )
    fit(model, data, waves(), job=Job(device=DEVICE, folder=folder, **job), **({"epochs": 10, "lr": 1e-2} | options))
    return model


@pytest.mark.parametrize(
    "options",
    [{}, {"precision": "32"}, {"precision": "16"}, {"compile": True}, {"accumulate": 2, "clip": 1.0, "average": 0.9}],
)
def test_a_model_trains_on_the_gpu(options):
    if options.get("precision") == "16":
        pytest.importorskip("lightning.fabric")
    model = train(waves(), **options)
    assert evaluate(model, waves(), job=Job(device=DEVICE))["accuracy"] > 0.8


@pytest.mark.parametrize("workers", [0, 2])
def test_n19_items_that_live_there_or_come_from_the_cpu_train_to_the_same_bits(workers):
    models = [train(waves()), train(waves()), train(Made(waves()), workers=workers)]
    weights = [torch.cat([p.flatten() for p in model.parameters()]) for model in models]
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])


def test_f16_a_bad_step_leaves_the_weights_on_the_gpu_and_is_named():
    data = waves()
    data.x[5] = float("nan")
    with pytest.raises(ValueError, match=r"in epoch 1, step \d+, of items .*\b5\b"):
        train(data, epochs=2, batch_size=20)  # as many as are named
    assert torch.isfinite(train(data, epochs=2, bad_steps=4)[0].weight).all()


def test_f1_a_training_on_the_gpu_goes_on_to_the_same_bits(tmp_path):
    pytest.importorskip("safetensors")
    from sigconv.train import checkpoint, pace

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace, "SAVE_EVERY", 0.0)
        patch.setattr(pace, "MOST_SAVING", 1e9)
        whole = train(waves(), tmp_path)
        checkpoint.remove(checkpoint.numbered(tmp_path / "checkpoints", "model")[0])
        again = train(waves(), tmp_path, resuming=True)
    assert all(torch.equal(p, q) for p, q in zip(whole.parameters(), again.parameters(), strict=True))


@OF_CUDA
@pytest.mark.parametrize("method", ["windows", "toeplitz", "fft", "direct"])
def test_n6_float32_is_kept_where_matrix_products_may_round_and_lost_where_asked_for(method):
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(8, 8, 40, generator=generator), torch.randn(32, 8, 9, generator=generator)
    exact = sc.conv(x.double(), weight.double())
    gate = torch.finfo(torch.float32).eps * 72**0.5 * 2.5 * sc.conv(x.double().abs(), weight.double().abs()).max()
    with precise.kept([torch.backends.cuda.matmul]):
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        y = sc.conv(x.to(DEVICE), weight.to(DEVICE), method=method).cpu()
        assert (y - exact).abs().max() <= gate
        with sc.allow_tf32():
            loose = sc.conv(x.to(DEVICE), weight.to(DEVICE), method=method).cpu()
        assert (loose - exact).abs().max() <= 2**-9 * 72**0.5 * gate / torch.finfo(torch.float32).eps
        assert torch.backends.cuda.matmul.fp32_precision == "tf32"
        torch.backends.cuda.matmul.fp32_precision = "ieee"


@pytest.mark.parametrize("kind", ["tokens", "factors", "dense"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_n5_halves_on_the_gpu_are_summed_in_float32_and_rounded_once(kind, dtype):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 4, 12, generator=generator).to(dtype)
    x = torch.randn(2, 4, 300, generator=generator).to(dtype)
    if kind == "tokens":
        x = torch.randint(0, 4, (2, 300), generator=generator)
    if kind == "factors":
        weight = sc.Factors(*(torch.randn(n, 2, generator=generator).to(dtype) for n in (5, 4)), (weight[0, :2].mT,))
    wide = lambda t: t if t.dtype == torch.int64 else t.to(torch.float64)
    exact = sc.conv(wide(x), wide(weight))
    dense = weight.dense() if kind == "factors" else weight
    size = sc.conv(wide(x) if kind == "tokens" else wide(x).abs(), wide(dense).abs(), method="direct")
    y = sc.conv(x.to(DEVICE), weight.to(DEVICE))
    assert y.dtype == dtype
    spare = 4 if kind == "factors" else 1  # factors that cancel each other
    assert ((y.cpu().double() - exact).abs() <= 0.51 * torch.finfo(dtype).eps * (exact.abs() + spare * size)).all()


@OF_CUDA
def test_a_plan_is_made_of_this_gpus_own_prices_once_they_are_measured(tmp_path, monkeypatch):
    pytest.importorskip("scipy")
    from sigconv import methods

    monkeypatch.setenv("SIGCONV_CACHE", str(tmp_path))
    monkeypatch.setattr(_calibrate, "GRID", _calibrate.GRID[-8:])
    _prices.table.cache_clear()
    x, weight = torch.randn(2, 8, 4000, device="cuda"), torch.randn(8, 8, 65, device="cuda")
    try:
        assert "no one measured on this GPU" in str(sc.plan(x, weight))
        methods.save(methods.calibrate("cuda"), methods.local())
        assert torch.cuda.get_device_name() in methods.table()[0]
        plan = sc.plan(x, weight)
        assert "no one measured" not in str(plan)
        assert 0 < plan.seconds["direct"] < 0.1
    finally:
        monkeypatch.undo()
        _prices.table.cache_clear()


def drawn(*shape, **options):
    """The same noise every time, on the GPU."""
    made = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    return made.to(DEVICE, **options).requires_grad_(options.get("dtype", torch.float32).is_floating_point)


OPERATIONS = {
    "conv of one axis": lambda: (lambda x, w: sc.conv(x, w, padding="same"), drawn(2, 8, 500), drawn(16, 8, 9)),
    "conv of two": lambda: (lambda x, w: sc.conv(x, w, stride=2, padding=1), drawn(2, 8, 40, 50), drawn(16, 8, 3, 3)),
    "conv of three": lambda: (lambda x, w: sc.conv(x, w, groups=4), drawn(1, 4, 16, 16, 16), drawn(8, 1, 3, 3, 3)),
    "conv of four": lambda: (sc.conv, drawn(1, 2, 6, 8, 8, 8), drawn(3, 2, 3, 3, 3, 3)),
    "reflected": lambda: (
        lambda x, w: sc.conv(x, w, padding=4, padding_mode="reflect"),
        drawn(2, 8, 99),
        drawn(8, 8, 9),
    ),
    "transposed": lambda: (lambda x, w: sc.conv_transpose(x, w, stride=2), drawn(2, 8, 40, 50), drawn(8, 4, 3, 3)),
    "masked": lambda: (lambda x, w: sc.masked_conv(x, w, x.detach() > 0), drawn(2, 3, 200), drawn(4, 3, 9)),
    "spectra": lambda: (lambda x, w: sc.conv(x, w, method="fft"), drawn(2, 8, 900), drawn(8, 8, 99)),
    "untied": lambda: (sc.LocalConv(2, 3, (3,), size=(60,)).to(DEVICE), drawn(4, 2, 60)),
    "fold": lambda: (lambda x: sc.fold(sc.unfold(x, 3), (30, 30), 3), drawn(2, 3, 30, 30)),
    "max_pool": lambda: (lambda x: sc.max_pool(x, 3, 2), drawn(2, 8, 40, 50)),
    "max_pool of three": lambda: (lambda x: sc.max_pool(x, 3, 2), drawn(1, 4, 20, 20, 20)),
    "avg_pool of three": lambda: (lambda x: sc.avg_pool(x, 3, 2), drawn(1, 4, 20, 20, 20)),
    "lse_pool": lambda: (lambda x: sc.lse_pool(x, 3, 2), drawn(2, 8, 40, 50)),
    "lp_pool": lambda: (lambda x: sc.lp_pool(x, 3, 3, 2), drawn(2, 8, 40, 50)),
    "adaptive_avg_pool": lambda: (lambda x: sc.adaptive_avg_pool(x, 7), drawn(2, 8, 40, 50)),
    "upsample": lambda: (lambda x: sc.upsample(x, 3, mode="linear"), drawn(2, 8, 10, 12)),
    "haar.dwt": lambda: (lambda x: haar.dwt(x)[0], drawn(2, 64, 64)),
    "gabor": lambda: (gabor.bank([[0.1, 0.0], [0.0, 0.2]], 3.0).to(DEVICE), drawn(2, 1, 64, 64)),
}


@pytest.fixture
def deterministic():
    """torch's mode, put back afterwards."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("name", OPERATIONS)
def test_n19_in_deterministic_mode_the_bits_are_the_same_every_time_or_torch_says_so(name, deterministic):
    f, *given = OPERATIONS[name]()
    first = None
    for _ in range(20):
        try:
            y = f(*given)
            g = torch.autograd.grad(y.abs().square().sum(), given)
        except RuntimeError as error:
            assert "deterministic" in str(error)  # noqa: PT017  either is right
            assert first is None
            return
        found = [y.detach(), *g]
        first = first or found
        assert all(map(torch.equal, found, first))


@OF_CUDA
@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "spectra"])
def test_a_graph_answers_as_the_plain_call_does(name):
    function, *given = OPERATIONS[name]()
    f = sc.graphed(function.eval() if isinstance(function, nn.Module) else function)
    with torch.no_grad():
        for scale in (1.0, 2.0, 3.0):
            x = given[0] * scale
            torch.testing.assert_close(f(x, *given[1:]), function(x, *given[1:]))
    assert len(f._kept) == 1, "it was recorded"


@OF_CUDA
def test_graphs_on_two_streams_and_of_changing_weights_keep_their_answers():
    layer = sc.Conv1d(4, 8, 9).cuda().eval()
    f, other = sc.graphed(layer), torch.cuda.Stream()
    inputs = [torch.randn(2, 4, 4000, device="cuda") for _ in range(20)]
    torch.cuda.synchronize()
    with torch.no_grad():
        found = []
        for number, x in enumerate(inputs):
            with torch.cuda.stream(other if number % 2 else torch.cuda.current_stream()):
                found.append(f(x))
        torch.cuda.synchronize()
        for x, y in zip(inputs, found, strict=True):
            torch.testing.assert_close(y, layer(x))
        layer.weight.mul_(3)
        torch.testing.assert_close(f(inputs[0]), layer(inputs[0]))
    assert f(inputs[0]).requires_grad


@OF_CUDA
def test_what_looks_at_values_is_no_graph_and_the_stream_is_as_it_was():
    f = sc.graphed(lambda x: x * float(x.sum()))
    x, before = torch.ones(3, device="cuda"), torch.cuda.current_stream()
    f(x)
    with pytest.warns(UserWarning, match="called plainly where no CUDA graph holds it"):
        assert f(x).tolist() == [3, 3, 3]
    assert torch.cuda.current_stream() == before
    assert f(x + 1).tolist() == [12, 12, 12]


@OF_CUDA
def test_a_call_that_finds_too_little_memory_on_the_gpu_is_done_in_parts(monkeypatch):
    """In five axes the windows of two are written out: 25 inputs, of 67 MB each."""
    x, weight = torch.randn(1, 2, 16, 16, 32, 32, 32, device="cuda"), torch.randn(2, 2, 5, 5, 3, 3, 3, device="cuda")
    whole = sc.conv(x, weight, padding="same").cpu()
    torch.cuda.empty_cache()
    less, in_less = [], _call._in_less
    monkeypatch.setattr(_call, "_in_less", lambda *given: (less.append(1), in_less(*given))[1])
    room = torch.cuda.memory_reserved() + (900 << 20)
    torch.cuda.set_per_process_memory_fraction(room / torch.cuda.get_device_properties(0).total_memory)
    try:
        parts = sc.conv(x, weight, padding="same").cpu()
        with pytest.raises(torch.OutOfMemoryError, match="does not fit in parts"):
            sc.conv(x.expand(64, *x.shape[1:]), weight, padding="same")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()
    assert len(less) == 2
    torch.testing.assert_close(parts, whole)
