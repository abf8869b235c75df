"""What the planner and its calls do on a GPU, as far as it can be seen without one: prices, graphs, memory, repeats."""

import collections
import contextlib
import copy
import json
import subprocess
import sys
import warnings

import pytest
import torch
from torch import nn

import sigconv as sc
from sigconv import methods
from sigconv.cli import main
from sigconv.kernels import _cache, _state, _triton, graphs
from sigconv.methods import _calibrate, _call, _plan, _prices

OPTIONS = {"stride": (1,), "margins": ((0, 0),), "dilation": (1,), "groups": 1}
GPU = "Made GPU 9000"


# Prices


@pytest.fixture
def own_table(tmp_path, monkeypatch):
    """A cache of its own, and a GPU of a made name."""
    monkeypatch.setenv("SIGCONV_CACHE", str(tmp_path))
    monkeypatch.setattr(_prices, "card", lambda device: GPU if device.type == "cuda" else "")
    _prices.table.cache_clear()
    _plan._plan.cache_clear()
    yield tmp_path / "costs.json"
    monkeypatch.undo()
    _prices.table.cache_clear()
    _plan._plan.cache_clear()


def planned(dtype=torch.float32, n=1000, device="cuda"):
    """The plan for a convolution on a GPU, whose values it never sees."""
    x, weight = torch.empty(2, 3, n, dtype=dtype, device="meta"), torch.empty(4, 3, 9, dtype=dtype, device="meta")
    return methods.plan(methods.describe(x, weight, OPTIONS, torch.device(device)), device == "cpu")


def row(plan, name):
    return next(row for row in plan.candidates if row.method == name)


def test_prices_of_a_gpu_are_those_under_its_name_and_else_those_of_any_which_the_plan_says(own_table):
    before = planned()
    assert "no one measured on this GPU: sigconv doctor --calibrate --device cuda" in str(before)
    assert row(before, "direct").seconds > 0, "predicted, not free"
    assert before.method == "direct"
    found = json.loads(methods.shipped().read_text())
    dear = {"direct": {"call": 7.0}, "toeplitz": {"call": 3.0}}
    found["seconds"][GPU] = {"float32": dear, "float16": {"direct": {"call": 2.0}}}
    methods.save(found, methods.local())
    after = planned()
    assert (row(after, "direct").seconds, row(after, "toeplitz").seconds) == pytest.approx((7.0, 3.0), abs=0.01)
    assert after.method == "toeplitz"
    assert after.prices == methods.table()[1] != before.prices
    assert "no one measured" not in str(after)
    assert row(planned(torch.float16), "direct").seconds == pytest.approx(2.0, abs=0.01)
    other = row(planned(torch.float16), "toeplitz").seconds
    assert other == pytest.approx(3.0, abs=0.01), "which has them in float32 first"
    alike = row(planned(torch.bfloat16), "direct").seconds
    assert alike == pytest.approx(7.0, abs=0.01), "no prices of its own: those of float32"


def test_a_table_of_this_machine_leaves_other_devices_as_they_are_shipped(own_table):
    shipped = _prices.table()[0]
    methods.save({"version": 1, "seconds": {GPU: {"float32": {"direct": {"call": 1.0}}}, "cuda": {}}}, methods.local())
    found = _prices.table()[0]
    assert found["cpu"] == shipped["cpu"]
    assert found["cuda"] == shipped["cuda"], "nothing measures any GPU"
    assert planned(device="cpu").method == "direct"


def test_halves_on_a_gpu_are_planned_in_the_precision_they_are_summed_in(own_table):
    half, single = planned(torch.float16), planned()
    assert row(half, "toeplitz").memory == row(single, "toeplitz").memory
    assert row(half, "direct").memory < row(single, "direct").memory
    described = lambda place: methods.describe(
        torch.empty(1, 1, 9, dtype=torch.float16), torch.empty(1, 1, 3, dtype=torch.float16), OPTIONS, place
    )
    assert described(torch.device("cuda")).dtype == torch.float16
    assert described(torch.device("cpu")).dtype == torch.float32


def test_spectra_are_refused_on_a_gpu_and_the_plan_says_why(own_table):
    plan = planned(n=10**6)
    assert "looks at values on a CPU only" in row(plan, "overlap").refused


@pytest.fixture
def cheap_measuring(monkeypatch):
    """Measurements that cost nothing: which were asked for."""
    asked = []

    def made(method, dtype, device):
        asked.append((method, dtype, device))
        yield {"call": 1.0, "mac": 0.0}, 0.25

    monkeypatch.setattr(_calibrate, "_measured", made)
    return asked


def test_calibrate_writes_under_the_gpus_name_and_keeps_the_rest(own_table, cheap_measuring):
    methods.save({"version": 1, "seconds": {"Another GPU": {"float32": {"direct": {"call": 5.0}}}}}, methods.local())
    before = _prices.table()[0]
    found = methods.calibrate("cuda")
    assert (set(found["seconds"]), found["version"]) == ({"cpu", "cuda", "Another GPU", GPU}, 1)
    kinds = found["seconds"][GPU]
    assert set(kinds) == {"float32", "float64", "float16", "bfloat16"}
    assert kinds["float32"]["direct"]["call"] == kinds["bfloat16"]["direct"]["call"] == 0.25
    shipped = before["cuda"]["float32"]["direct"]
    assert kinds["float32"]["direct"]["moved"] == shipped["moved"], "what was not measured keeps its price"
    assert found["seconds"]["cuda"]["float32"]["direct"] == shipped
    assert {name: found["seconds"][name] for name in ("cpu", "Another GPU")} == {
        name: before[name] for name in ("cpu", "Another GPU")
    }
    halves = {method for method, dtype, _ in cheap_measuring if dtype == torch.float16}
    assert halves == {"direct"}
    assert {device for *_, device in cheap_measuring} == {"cuda"}
    methods.save(found, methods.local())
    assert row(planned(), "direct").seconds >= 0.25


def test_on_a_cpu_halves_are_not_measured_and_a_gpus_prices_stay(own_table, cheap_measuring):
    methods.save({"version": 1, "seconds": {GPU: {"float32": {"direct": {"call": 5.0}}}}}, methods.local())
    found = methods.calibrate()
    assert found["seconds"][GPU]["float32"]["direct"]["call"] == 5.0
    assert found["seconds"]["cpu"]["float32"]["direct"]["call"] == 0.25
    assert {dtype for _, dtype, _ in cheap_measuring} == {torch.float32, torch.float64}


def test_a_method_that_finds_no_memory_is_measured_on_what_fits(monkeypatch):
    def short(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(_calibrate, "seconds", short)
    monkeypatch.setattr(_calibrate, "GRID", _calibrate.GRID[-2:])
    assert not list(_calibrate._measured("direct", torch.float32, "cpu"))


def code(*words):
    with pytest.raises(SystemExit) as ended:
        main(["doctor", *words])
    return ended.value.code


def test_the_command_measures_the_device_named(own_table, cheap_measuring, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert code("--calibrate", "--device", "cuda", "--json") == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer["cost_table"] == str(own_table)
    assert GPU in json.loads(own_table.read_text())["seconds"]
    from sigconv.doctor import _places

    assert not _places.cost_table()["wrong"]
    found = json.loads(own_table.read_text())
    del found["seconds"][GPU]["float64"]
    methods.save(found, own_table)
    assert f"it has no price of {GPU}.float64" in _places.cost_table()["wrong"]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--device", "cuda"], "add --calibrate"),
        (["--calibrate", "--device", "tpu"], "--device 'tpu' is neither cpu nor cuda"),
        (["--calibrate", "--device", "cuda"], "torch finds no CUDA device here"),
    ],
)
def test_a_device_that_cannot_be_measured_is_refused(words, hint, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert code(*words) == 2
    assert hint in capsys.readouterr().err


def test_prices_and_the_kernels_choices_lie_in_one_folder(tmp_path, monkeypatch):
    for name, folder in (("SIGCONV_CACHE", tmp_path), ("XDG_CACHE_HOME", tmp_path / "sigconv")):
        monkeypatch.delenv("SIGCONV_CACHE", raising=False)
        monkeypatch.setenv(name, str(tmp_path))
        assert _cache.folder() == folder
        assert methods.local() == folder / "costs.json"
        assert _triton._path("A card") == folder / "triton-A-card.json"


# Graphs


class Recorded:
    """A recording where there is no GPU: a replay computes anew from the memory of inputs into that of answers."""

    made = 0
    ended = 0

    def __init__(self, run, device):
        type(self).made += 1
        self.run = run
        with _state.hidden():
            self.answer = run()

    @contextlib.contextmanager
    def alone(self):
        yield

    def replay(self):
        with _state.hidden():
            for own, new in zip(graphs._answers(self.answer), graphs._answers(self.run()), strict=True):
                own.copy_(new)

    def end(self):
        type(self).ended += 1


@pytest.fixture
def recorded(monkeypatch):
    """The CPU taken for a GPU."""
    kind = type("Recorded", (Recorded,), {})
    monkeypatch.setattr(graphs, "Work", kind)
    monkeypatch.setattr(graphs, "_on_one_gpu", lambda tensors: True)
    return kind


def test_on_a_cpu_graphed_is_the_plain_call_with_its_gradients():
    layer = sc.Conv1d(2, 3, 5)
    ours = sc.graphed(layer, torch.randn(1, 2, 30))
    x = torch.randn(4, 2, 30, requires_grad=True)
    for _ in range(3):
        assert torch.equal(ours(x), layer(x))
    ours(x).square().sum().backward()
    assert x.grad is not None
    assert layer.weight.grad is not None
    assert not ours._kept
    assert not ours._seen


def test_a_call_that_is_made_again_is_recorded_and_replayed(recorded):
    calls = []
    f = sc.graphed(lambda x, weight, **o: (calls.append(1), sc.conv(x, weight, **o))[1])
    x, weight = torch.randn(2, 3, 40), torch.randn(4, 3, 5)
    kept = []
    for number in range(4):
        x = torch.randn(2, 3, 40)
        kept.append((x, f(x, weight, padding="same")))
        assert recorded.made == (number > 0)
    for x, y in kept:  # each in memory of its own
        torch.testing.assert_close(y, sc.conv(x, weight, padding="same"))
    assert f(x, weight, padding="full").shape[2] == 44
    assert recorded.made == 1, "another padding is another call"
    plain = len(calls)
    f.record(x, weight, padding="full")
    assert recorded.made == 2
    assert len(calls) > plain


def test_examples_are_recorded_at_once(recorded):
    f = sc.graphed(torch.relu, torch.ones(3))
    assert recorded.made == 1
    assert f(torch.tensor([-1.0, 2.0, 3.0])).tolist() == [0, 2, 3]
    assert recorded.made == 1


LIKE = {
    "shape": lambda x: torch.zeros(2, 9),
    "dtype": lambda x: x.double(),
    "layout": lambda x: torch.zeros(9, 1).mT,
}


@pytest.mark.parametrize("change", LIKE)
def test_another_shape_dtype_or_layout_is_another_recording(recorded, change):
    f = sc.graphed(lambda x: x + 1, torch.zeros(1, 9))
    other = LIKE[change](torch.zeros(1, 9))
    if change == "layout":
        other = torch.zeros(9, 2).mT[:1]
    assert torch.equal(f(other), other + 1)
    assert recorded.made == 1
    f(other)
    assert recorded.made == 2
    assert f(other).dtype == other.dtype


def test_plain_values_that_are_equal_but_not_the_same_are_different_calls(recorded):
    f = sc.graphed(lambda x, n: x * n if isinstance(n, float) else x, torch.ones(2), 1)
    for n in (1, 1.0, True, (1,), (True,)):
        f(torch.ones(2), n)
    assert len({*f._kept, *f._seen}) == 5


def test_so_many_are_kept_and_the_least_used_dropped(recorded):
    f = sc.graphed(lambda x: x + 1, most=2)
    f.record(torch.zeros(1))
    f.record(torch.zeros(2))
    f(torch.zeros(1))
    f.record(torch.zeros(3))
    assert [replay.inputs[0].numel() for replay in f._kept.values()] == [1, 3]
    assert (recorded.made, recorded.ended) == (3, 1)
    for n in range(4, 4 + 2 * graphs.REMEMBERED):
        f(torch.zeros(n))
    assert len(f._seen) == graphs.REMEMBERED
    assert recorded.made == 3, "calls that do not come again are not recorded"


def test_weights_that_change_in_place_are_read_and_others_are_recorded_anew(recorded):
    layer = sc.Conv1d(1, 2, 3).eval()
    f = sc.graphed(layer)
    x = torch.randn(1, 1, 9)
    with torch.no_grad():
        f.record(x)
        layer.weight.mul_(2)
        torch.testing.assert_close(f(x), layer(x))
        assert recorded.made == 1
        layer.weight = nn.Parameter(torch.randn(2, 1, 3))
        torch.testing.assert_close(f(x), layer(x))
        torch.testing.assert_close(f(x), layer(x))
        assert recorded.made == 2


PLAINLY = {
    "in training": lambda f, layer, x: (layer.train(), f(x))[1],
    "gradients": lambda f, layer, x: (torch.set_grad_enabled(True), f(x))[1],
    "compiled": lambda f, layer, x: torch.func.vmap(f)(x[None])[0],
    "hidden": lambda f, layer, x: f(x),
}


@pytest.mark.parametrize("kind", PLAINLY)
def test_it_is_called_plainly_where_a_graph_would_be_wrong(recorded, kind):
    layer = sc.Conv1d(1, 2, 3).eval()
    f, x = sc.graphed(layer), torch.randn(1, 1, 9)
    hide = _state.hidden() if kind == "hidden" else contextlib.nullcontext()
    with torch.no_grad(), hide:
        y = PLAINLY[kind](f, layer, x)
        torch.testing.assert_close(y.detach(), layer(x))
    assert not f._seen
    assert y.requires_grad == (kind == "gradients")


def test_what_cannot_be_recorded_is_called_plainly_after_one_warning(recorded):
    def looks(x):
        if _state._hidden.get():
            raise RuntimeError("operation not permitted when stream is capturing\nand more")
        return x + 1

    f = sc.graphed(looks)
    f(torch.zeros(2))
    with pytest.warns(
        UserWarning, match=r"looks is called plainly where no CUDA graph holds it .*operation not permitted"
    ) as heard:
        assert f(torch.zeros(2)).tolist() == [1, 1]
    assert len(heard) == 1
    assert "\n" not in str(heard[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in (2, 2, 3, 3):
            assert f(torch.zeros(n)).tolist() == [1] * n


def test_shapes_in_turn_one_too_many_are_not_recorded_again_and_again(recorded):
    f = sc.graphed(lambda x: x + 1, most=2)
    for _ in range(10):
        for n in (1, 2, 3):
            assert f(torch.zeros(n)).tolist() == [1] * n
    assert recorded.made <= 4


def test_one_kind_of_call_that_cannot_be_recorded_keeps_no_other_from_it(recorded):
    def picky(x):
        if x.numel() == 2 and _state._hidden.get():
            raise torch.OutOfMemoryError("CUDA out of memory")
        return x + 1

    f = sc.graphed(picky)
    with pytest.warns(UserWarning, match="CUDA out of memory"):
        f.record(torch.zeros(2))
    for n in (2, 2, 3, 3):
        assert f(torch.zeros(n)).tolist() == [1] * n
    made = recorded.made
    f.record(torch.zeros(3))
    assert len(f._kept) == 1
    assert recorded.made == made, "it is there already"


class Out(dict):
    """An answer with more to it than a dict has."""


Pair = collections.namedtuple("Pair", "low high")


def test_answers_of_several_tensors_keep_their_kind(recorded):
    f = sc.graphed(lambda x: {"pair": Pair(x.amin(), x.amax()), "rest": [x, None, (3, x + 1)]}, torch.zeros(3))
    x = torch.arange(3.0)
    y = f(x)
    assert isinstance(y["pair"], Pair)
    assert (y["pair"].high.item(), y["rest"][1:2], y["rest"][2][0]) == (2, [None], 3)
    assert y["rest"][0].data_ptr() not in (x.data_ptr(), f(x)["rest"][0].data_ptr())
    with pytest.warns(UserWarning, match="answers with a set"):
        sc.graphed(lambda x: {1}, torch.zeros(3))
    with pytest.warns(UserWarning, match="answers with a Out"):
        assert isinstance(sc.graphed(lambda x: Out(y=x), torch.zeros(3))(x), Out)
    held = torch.ones(3, requires_grad=True)
    with pytest.warns(UserWarning, match="its answer wants gradients"):
        assert sc.graphed(lambda x: x * held, torch.zeros(3))(torch.ones(3)).requires_grad


def test_a_call_that_fails_is_none_to_be_recorded(recorded):
    f = sc.graphed(lambda x: sc.conv(x, torch.ones(1, 1, 3)))
    for _ in range(3):
        with pytest.raises(ValueError, match="does not fit weight"):
            f(torch.ones(1, 2, 9))
    assert not f._refused
    assert f(torch.ones(1, 1, 9)).shape == (1, 1, 7)


def test_other_switches_are_other_recordings(recorded):
    f = sc.graphed(lambda x: x + 1, torch.zeros(2))
    with sc.allow_tf32():
        f(torch.zeros(2))
    with torch.inference_mode():
        f(torch.zeros(2))
    assert recorded.made == 1
    assert len(f._seen) == 2


def test_what_graphed_does_not_take_is_refused():
    with pytest.raises(TypeError, match="function is a int: expected a function or a module"):
        sc.graphed(3)
    with pytest.raises(ValueError, match="most 0 must be a whole number, at least 1"):
        sc.graphed(torch.relu, most=0)


def test_graphed_touches_no_cuda_where_there_is_none():
    text = (
        "import torch, sigconv as sc\nf = sc.graphed(sc.Conv1d(1, 1, 3), torch.ones(1, 1, 9))\nf(torch.ones(1, 1, 9))\n"
    )
    text += "assert not torch.cuda.is_initialized()\n"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_while_hidden_no_value_is_looked_at_and_auto_takes_the_direct_sum():
    x, weight = torch.randn(1, 1, 3000), torch.randn(1, 1, 9)
    with _state.hidden():
        assert not _state.readable(x)
        y = sc.conv(x, weight)
    assert _state.readable(x)
    torch.testing.assert_close(y, sc.conv(x, weight, method="direct"))


# Memory


@pytest.fixture
def short(monkeypatch):
    """Methods that find no memory for inputs of more values than it says; and how often they were called."""

    class Short:
        most = 0
        calls = 0

    for name in ("direct", "fft", "overlap", "separable", "lookup", "toeplitz"):
        method = methods.METHODS[name]

        def run(x, *given, plain=method.correlate, **options):
            Short.calls += 1
            if x.numel() > Short.most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB")
            return plain(x, *given, **options)

        monkeypatch.setattr(method, "correlate", run)
    return Short


WHOLE = {
    "one axis": lambda: ((torch.randn(2, 3, 4000), torch.randn(4, 3, 9), torch.randn(4)), {"padding": "same"}),
    "two axes": lambda: (
        (torch.randn(1, 2, 40, 60), torch.randn(4, 1, 3, 5)),
        {"groups": 2, "stride": 2, "padding": 3},
    ),
    "half": lambda: ((torch.randn(3, 2, 900).half(), torch.randn(4, 2, 9).half()), {"padding_mode": "reflect"}),
    "complex": lambda: ((torch.randn(2, 2, 900) + 0j, torch.randn(2, 2, 9) * 1j), {}),
    "tokens": lambda: ((torch.randint(0, 4, (3, 2000)), torch.randn(4, 4, 9)), {}),
    "factors": lambda: ((torch.randn(1, 1, 90, 90), sc.factorize(torch.ones(1, 1, 5, 5))), {}),
}


@pytest.mark.parametrize("case", WHOLE)
def test_a_call_that_finds_too_little_memory_is_done_in_parts(case, short):
    given, options = WHOLE[case]()
    short.most = 10**9
    whole = sc.conv(*given, **options)
    short.most, short.calls = 700, 0
    parts = sc.conv(*given, **options)
    assert short.calls > 3
    assert parts.dtype == whole.dtype
    torch.testing.assert_close(parts, whole)


def test_where_no_part_is_small_enough_one_line_says_what_was_needed(short):
    with pytest.raises(torch.OutOfMemoryError) as raised:
        sc.conv(torch.randn(1, 3, 4000), torch.randn(4, 3, 9))
    said = str(raised.value)
    assert "\n" not in said
    assert "x (1, 3, 4000) with weight (4, 3, 9) needs about" in said
    assert "MiB of cpu, and does not fit in parts of" in said
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("why", ["gradients", "memory", "method", "hidden"])
def test_what_may_not_be_divided_raises_as_it_did(why, short):
    x = torch.randn(1, 3, 4000, requires_grad=why == "gradients")
    options = {"memory": {"memory": "200 MB"}, "method": {"method": "direct"}}.get(why, {})
    hide = _state.hidden() if why == "hidden" else contextlib.nullcontext()
    with hide, pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        sc.conv(x, torch.randn(4, 3, 9), **options)
    assert short.calls == 1


def test_without_gradients_a_trained_weight_is_no_hindrance(short):
    layer = sc.Conv1d(3, 4, 9)
    x = torch.randn(1, 3, 4000)
    short.most = 10**9
    whole = layer(x)
    short.most = 700
    with torch.no_grad():
        torch.testing.assert_close(layer(x), whole.detach())


def test_the_memory_that_is_free_bounds_the_first_try(short, monkeypatch):
    asked = []
    real = _call._real
    monkeypatch.setattr(_call, "_real", lambda *given: (asked.append(given[5]), real(*given))[1])
    monkeypatch.setattr(_call, "_free", lambda device: 1 << 20)
    with pytest.raises(torch.OutOfMemoryError, match="of which 1.0 MiB are free"):
        sc.conv(torch.randn(1, 3, 4000), torch.randn(4, 3, 9))
    assert asked == [None, *(1 << 20 - n for n in range(1, _call.LESS + 1))]


# The same bits every time


@pytest.fixture
def deterministic():
    """torch's mode, put back afterwards."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def test_mx11_in_deterministic_mode_every_method_answers_and_to_the_same_bits(deterministic):
    x, weight = torch.randn(1, 2, 3000), torch.randn(2, 2, 31)
    for method in ("auto", "windows", "direct", "fft", "overlap"):
        runs = [sc.conv(x, weight, method=method) for _ in range(3)]
        assert torch.equal(runs[0], runs[1])
        assert torch.equal(runs[0], runs[2])


def test_factors_are_ranked_without_sums_that_a_gpu_adds_in_any_order(monkeypatch):
    """torch refuses cumsum of floats on CUDA in deterministic mode; what it sums here is on the CPU."""
    moved, cpu = [], torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda t: (moved.append(t.shape), cpu(t))[1])
    assert sc.factorize(torch.ones(1, 1, 5, 5)).rank == 1
    assert moved


BROKEN = {
    "a list of dtypes": {"cpu": []},
    "no dtypes": {"cpu": None},
    "a number of methods": {"cpu": {"float32": 3}},
    "no operations": {"cpu": {"float32": {"direct": None}}},
    "a truth": {"cpu": {"float32": {"direct": {"call": True}}}},
    "too large": {"cpu": {"float32": {"direct": {"call": 10**400}}}},
}


@pytest.mark.parametrize("seconds", [*BROKEN.values(), None], ids=[*BROKEN, "deep"])
def test_a_broken_cost_table_is_named_and_left_out(tmp_path, monkeypatch, seconds):
    monkeypatch.setenv("SIGCONV_CACHE", str(tmp_path))
    text = "[" * 100_000 if seconds is None else json.dumps({"version": 1, "seconds": seconds})
    (tmp_path / "costs.json").write_text(text)
    _prices.table.cache_clear()
    try:
        with pytest.warns(UserWarning, match=r"cost table .*costs.json' is left out \(.*\): delete it"):
            found = _prices.table()
        assert found[0]["cpu"]["float32"]["direct"]["call"] > 0
    finally:
        _prices.table.cache_clear()


def test_what_a_cost_table_does_not_have_keeps_the_shipped_price(tmp_path, monkeypatch):
    shipped = _prices._read(_prices.shipped())[0]
    monkeypatch.setenv("SIGCONV_CACHE", str(tmp_path))
    own = {"cpu": {"float32": {"direct": {"call": 0.5}}}, "a card": {}}
    (tmp_path / "costs.json").write_text(json.dumps({"version": 1, "seconds": own}))
    _prices.table.cache_clear()
    try:
        found = _prices.table()[0]
    finally:
        _prices.table.cache_clear()
    assert found["cpu"]["float32"]["direct"] == shipped["cpu"]["float32"]["direct"] | {"call": 0.5}
    assert found["cpu"]["float64"] == shipped["cpu"]["float64"]
    assert found["a card"] == {}


def test_a_graphed_layer_is_a_part_of_the_module_it_stands_in(recorded):
    net = torch.nn.Sequential(sc.graphed(sc.Conv1d(1, 2, 3)), torch.nn.ReLU())
    assert {*net.state_dict()} == {"0.function.weight", "0.function.bias"}
    assert not net.eval()[0].function.training
    x = torch.randn(1, 1, 9)
    with torch.no_grad():
        assert all(torch.equal(net(x), net(x)) for _ in range(3))
    assert recorded.made == 1
    twin = copy.deepcopy(net)
    assert not twin[0]._kept
    assert torch.equal(twin(x), net(x))
