"""describe and receptive_field: counts by hand, receptive fields by what a gradient reaches."""

import json
import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples
from test_recipes import command
from torch import nn
from torch.nn import functional as F

import sigconv as sc
from sigconv import blocks, models
from sigconv.filters import gabor


class Steps(nn.Module):
    """A model that is one function, holding layers by name."""

    def __init__(self, work, **layers):
        super().__init__()
        self.work = work
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, *x):
        return self.work(self, *x)


def reach(model, shape):
    """(first, last) sample of the input that each position of a 1-D answer depends on, by gradients."""
    model = model.double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.abs() + 0.1)
    x = (torch.rand(shape, dtype=torch.float64) + 0.5).requires_grad_()
    y = model(x)
    found = []
    for position in range(y.shape[-1]):
        (grad,) = torch.autograd.grad(y[..., position].sum(), x, retain_graph=True)
        touched = grad.abs().sum((0, 1)).nonzero().flatten()
        found.append((int(touched.min()), int(touched.max())))
    return found


def compare(model, n):
    """What describe says of positions that see no border is what gradients reach."""
    size, jump, start = sc.receptive_field(model, input_shape=(1, 1, n))
    whole = 0
    for position, (first, last) in enumerate(reach(model, (1, 1, n))):
        middle = start[0] + jump[0] * position
        low, high = middle - (size[0] - 1) / 2, middle + (size[0] - 1) / 2
        if low >= 0 and high <= n - 1:
            assert (first, last) == (low, high)
            whole += 1
        assert first >= low
        assert last <= high
    return whole


@st.composite
def stacks(draw):
    """Convolutions, average poolings and residual branches in a row."""
    layers, few = [], st.integers(1, 3)
    for _ in range(draw(st.integers(1, 4))):
        taps, stride, gap = draw(few), draw(st.integers(1, 2)), draw(few)
        kind = draw(st.sampled_from(["conv", "torch", "pool", "residual", "slice", "blur"]))
        padding = draw(st.integers(0, (taps - 1) * gap))
        if kind == "conv":
            layers.append(sc.Conv1d(1, 1, taps, stride, padding=((padding, 0),), dilation=gap))
        elif kind == "torch":
            layers.append(nn.Conv1d(1, 1, taps, stride, padding, gap))
        elif kind == "pool":
            layers.append(nn.AvgPool1d(taps, stride) if draw(st.booleans()) else sc.AvgPool(taps, stride))
        elif kind == "blur":
            layers.append(sc.BlurPool(taps, stride, padding=0, dilation=gap))
        elif kind == "slice":
            layers.append(Steps(lambda self, x, s=stride: x[:, :, s - 1 :: s]))
        else:
            conv = sc.Conv1d(1, 1, taps, padding="same", dilation=gap)
            layers.append(Steps(lambda self, x: F.relu(x + self.conv(x)), conv=conv))
    return nn.Sequential(*layers)


@examples(60)
@given(stacks())
def test_rf3_receptive_fields_are_what_gradients_reach(model):
    assert compare(model, 80) > 0


def test_rf4_an_interpolated_or_transposed_map_is_never_told_too_little():
    for up in (
        nn.Upsample(scale_factor=2),
        nn.Upsample(scale_factor=3, mode="linear"),
        nn.ConvTranspose1d(1, 1, 4, stride=2, padding=1),
        sc.ConvTranspose(1, 1, 3, stride=2, ndim=1),
    ):
        model = nn.Sequential(nn.Conv1d(1, 1, 3, 2), up, nn.Conv1d(1, 1, 3))
        size, jump, start = sc.receptive_field(model, input_shape=(1, 1, 64))
        spans = [last - first + 1 for first, last in reach(model, (1, 1, 64))]
        assert max(spans[5:-5]) <= size[0] <= max(spans[5:-5]) + 2
        middles = [(first + last) / 2 for first, last in reach(model, (1, 1, 64))]
        assert abs(middles[8] - (start[0] + 8 * jump[0])) <= 2


def test_rf3_our_own_poolings():
    x = (1, 1, 30)
    for layer, size, jump in [
        (sc.MaxPool(3, 2), 3, 2),
        (sc.LPPool(2, 4), 4, 4),
        (sc.StochasticPool(3, 1, dilation=2), 5, 1),
        (sc.BlurPool(5), 5, 2),
        (sc.MaxBlurPool(3, 2), 5, 2),
        (sc.AdaptiveMaxPool(10), 3, 3),
        (sc.FractionalMaxPool(3, 20), 3, 1.5),
        (sc.Upsample(2), 1, 0.5),
    ]:
        row = sc.describe(layer, x)[0]
        assert (row.receptive_field, row.jump) == ((size,), (jump,)), layer
        assert row.shape == tuple(layer.eval()(torch.rand(x)).shape)
    for layer in (sc.PyramidPool((1, 2)), sc.GlobalAvgPool()):
        row = sc.describe(layer, (1, 3, 3))[0]
        assert (row.receptive_field, row.jump) == ((3,), None)


def test_rf1_three_layers_of_three_taps_see_3_5_and_7():
    for ndim in (1, 2, 4):
        rows = sc.describe(nn.Sequential(*[sc.Conv(1, 1, 3, ndim=ndim) for _ in range(3)]), (1, 1, *[9] * ndim))
        assert [row.receptive_field for row in rows] == [(n,) * ndim for n in (3, 5, 7)]


def test_rf2_the_lectures_figure_sees_3_5_7_and_11():
    layers = [nn.Conv1d(1, 1, 3, s, 1) for s in (1, 1, 2, 1)]
    assert [row.receptive_field[0] for row in sc.describe(nn.Sequential(*layers), (1, 1, 11))] == [3, 5, 7, 11]


def test_rf3_starts_follow_the_formula_with_padding():
    model = nn.Sequential(nn.Conv2d(3, 8, 7, 2, 3), nn.MaxPool2d(3, 2, 1), nn.Conv2d(8, 8, (3, 1)))
    rows = sc.describe(model, (2, 3, 64, 64))
    assert [(row.receptive_field, row.jump, row.start) for row in rows] == [
        ((7, 7), (2, 2), (0, 0)),
        ((11, 11), (4, 4), (0, 0)),
        ((19, 11), (4, 4), (4, 0)),
    ]
    assert sc.receptive_field(model, node="1") == ((11, 11), (4, 4), (0, 0))


def test_ar23_parameters_and_multiply_accumulates_by_hand():
    model = nn.Sequential(
        sc.Conv(4, 8, (3, 3, 3), groups=2, padding="same"),
        nn.ReLU(),
        sc.MaxPool(2),
        sc.ConvTranspose(8, 2, 2, stride=2, ndim=3),
        sc.LocalConv(2, 3, 3, (8, 8, 8), share=2, ndim=3),
        nn.Flatten(),
        nn.Linear(3 * 216, 10),
    )
    rows = sc.describe(model, (2, 4, 8, 8, 8))
    macs = [2 * 8 * 512 * 2 * 27, 0, 0, 2 * 8 * 64 * 2 * 8, 2 * 3 * 216 * 2 * 27, 0, 2 * 10 * 648]
    assert [row.macs for row in rows] == macs
    assert [row.parameters for row in rows] == [440, 0, 0, 130, 3 * 2 * 27 * 27 + 3 * 27, 0, 6490]
    assert (rows.depth, rows.width, rows.macs) == (4, 10, sum(macs))
    assert rows.parameters == sum(row.parameters for row in rows) == sum(p.numel() for p in model.parameters())
    assert rows[4].receptive_field == (6, 6, 6)


def test_ac3_functions_between_the_layers_are_told_and_branches_joined():
    net = Steps(
        lambda self, x: torch.cat([F.relu(self.a(x)), F.max_pool2d(self.b(x), 3, 1, 1)], 1),
        a=nn.Conv2d(1, 2, 1),
        b=nn.Conv2d(1, 3, 5, padding=2),
    )
    rows = sc.describe(nn.Sequential(net, nn.ReLU()), (1, 1, 12, 12))
    assert [row.name for row in rows] == ["0.a", "0.relu", "0.b", "0.max_pool2d", "0.cat", "1"]
    assert rows[-1].shape == (1, 5, 12, 12)
    assert [row.receptive_field[0] for row in rows] == [1, 1, 5, 7, 7, 7]


def test_rf3_torchs_own_modules_of_every_kind():
    attention = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    rows = sc.describe(Steps(lambda self, x: self.t(x.mT).mT, t=attention), (1, 8, 10))
    assert rows[-1].shape == (1, 10, 8)
    assert rows[-1].receptive_field == (10,)
    everywhere = 192 * 10 + 64 * 10 + 2 * 128 * 10 + 2 * 10 * 10 * 8  # projections, both layers behind, products
    assert rows.macs == everywhere
    tokens = Steps(lambda self, x: self.c(self.e(x).transpose(1, 2)), e=nn.Embedding(9, 4), c=nn.Conv1d(4, 2, 5))
    rows = sc.describe(tokens, (3, 20), dtype=torch.long)
    assert (rows[-1].shape, rows[-1].receptive_field, rows.parameters) == ((3, 2, 16), (5,), 78)
    recurrent = Steps(lambda self, x: self.r(x.mT)[0], r=nn.GRU(4, 6, batch_first=True))
    assert sc.describe(recurrent, (1, 4, 9)).parameters == sum(p.numel() for p in nn.GRU(4, 6).parameters())
    pooled = nn.Sequential(nn.Conv2d(1, 1, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4, 2))
    found = sc.describe(pooled, (1, 1, 10, 10))
    assert [row.receptive_field[0] for row in found] == [3, 6, 10, 10]
    assert found[-1].jump is None
    mean = Steps(lambda self, x: self.c(x).mean((2, 3)), c=nn.Conv2d(1, 2, 3, 2))
    assert sc.describe(mean, (1, 1, 9, 9))[-1].receptive_field == (9, 9)


def test_rf3_tokens_banks_and_our_functions():
    reads = Steps(lambda self, x: sc.conv(x, self.c.weight), c=nn.Conv1d(4, 16, 24))
    (row,) = sc.describe(reads, (2, 101), dtype=torch.long)
    assert (row.name, row.shape, row.receptive_field, row.parameters) == ("conv", (2, 16, 78), (24,), 16 * 4 * 24)
    best = Steps(lambda self, x: sc.conv_max(x, self.c.weight), c=nn.Conv1d(4, 16, 24))
    assert sc.describe(best, (1, 4, 101))[0].receptive_field == (101,)
    bank = gabor.bank([[0.25, 0.0], [0.0, 0.25]], 2.0, learnable=True)
    front = nn.Sequential(Steps(lambda self, x: self.bank(x, output="energy", stride=2), bank=bank), sc.Conv2d(2, 3, 3))
    rows = sc.describe(front, (1, 1, 40, 41))
    taps = bank.kernel_size[0]
    assert rows[0].shape == tuple(front[0](torch.zeros(1, 1, 40, 41)).shape)
    assert (rows[1].receptive_field, rows[1].jump) == ((taps + 4,) * 2, (2, 2))
    assert rows[0].start == (0, 0)


def test_a_model_is_left_as_it_was():
    model = nn.Sequential(nn.Conv1d(1, 4, 3), blocks.BatchNorm(4), nn.Dropout()).train()
    model[2].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    sc.describe(model, (4, 1, 16))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [module.training for module in model] == [True, True, False]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert model(torch.ones(2, 1, 8)).device.type == "cpu"


def test_tied_layers_are_counted_once():
    shared = nn.Conv1d(2, 2, 3, padding=1)
    rows = sc.describe(nn.Sequential(shared, nn.ReLU(), shared), (1, 2, 8))
    assert [row.parameters for row in rows] == [14, 0, 0]
    assert rows.parameters == 14
    assert rows[2].receptive_field == (5,)


def test_a_model_that_looks_at_values_is_run_on_zeros():
    looks = Steps(lambda self, x: self.c(x) if float(x.sum()) < 1 else x, c=nn.Conv1d(1, 1, 3))
    assert sc.describe(looks, (1, 1, 8))[0].shape == (1, 1, 6)


def test_describe_hears_its_own_thread_only():
    net = nn.Sequential(*[sc.Conv1d(4, 4, 3, padding="same") for _ in range(40)])
    alone = sc.describe(net, (1, 4, 50))
    x, weight, stop = torch.randn(1, 2, 64), torch.randn(2, 2, 3), threading.Event()

    def work():
        while not stop.is_set():
            sc.conv(x, weight)

    other = threading.Thread(target=work)
    other.start()
    try:
        assert all(sc.describe(net, (1, 4, 50)) == alone for _ in range(3))
    finally:
        stop.set()
        other.join()


@pytest.mark.parametrize(
    ("layer", "shape", "macs"),
    [
        (lambda: nn.LSTM(8, 16, batch_first=True), (2, 50, 8), 2 * 50 * (4 * 16 * 8 + 4 * 16 * 16)),
        (lambda: nn.Bilinear(5, 6, 7), [(3, 5), (3, 6)], 3 * 5 * 6 * 7),
        (lambda: nn.MultiheadAttention(16, 4), [(5, 1, 16), (70, 1, 16), (70, 1, 16)], 150 * 256 + 2 * 5 * 70 * 16),
    ],
)
def test_ar23_recurrence_and_attention_by_hand(layer, shape, macs):
    assert sc.describe(layer(), shape).macs == macs


CONV5 = lambda: nn.Conv1d(1, 1, 5, padding=2)


def written(self, x):
    z = x.clone()
    z[:, :, 3:] = self.c(x)[:, :, :-3]
    return z * 1


def added(self, x):
    y = self.c(x)
    y[:, :, 4:].add_(y[:, :, :-4].clone())
    return y * 1


@pytest.mark.parametrize(
    "work",
    [
        written,
        added,
        lambda self, x: self.c(x) + torch.roll(x, 9, 2),
        lambda self, x: self.c(x) + x.roll(9, dims=2),
        lambda self, x: self.c(x) + x.flip(2),
        lambda self, x: self.c(x)[:, :, torch.arange(39, -1, -1)],
        lambda self, x: self.c(x).cummax(2).values,
        lambda self, x: F.normalize(self.c(x), dim=2),
        lambda self, x: torch.take_along_dim(x, self.c(x).argsort(2), 2),
    ],
)
def test_rf3_what_is_written_moved_or_mixed_is_never_told_too_little(work):
    """Each of these sees far: told is all there is."""
    model = nn.Sequential(Steps(work, c=CONV5()), nn.Conv1d(1, 1, 1))
    assert sc.receptive_field(model, input_shape=(1, 1, 40)).size[0] >= 40


def test_rf3_several_upsamplings_in_a_row():
    for layers in (
        [nn.ConvTranspose1d(1, 1, 4, 2, 1) for _ in range(3)],
        [nn.Upsample(scale_factor=2, mode="linear") for _ in range(2)],
        [nn.Upsample(scale_factor=2, mode="linear", align_corners=True)],
        [nn.Upsample(scale_factor=0.5, mode="linear")],
    ):
        model = nn.Sequential(*layers)
        size, _, _ = sc.receptive_field(model, input_shape=(1, 1, 16))
        most = max(last - first + 1 for first, last in reach(model, (1, 1, 16)))
        assert most <= size[0] <= most + 1


def test_what_a_module_keeps_for_itself_is_undone():
    class Keeps(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = None
            self.register_buffer("seen", torch.zeros(()))

        def forward(self, x):
            if self.table is None:
                self.table = torch.arange(x.shape[-1]).to(x.device)
            self.seen += 1
            return x + self.table + (0 if float(x.sum()) == 0 else 1)

    model = Keeps()
    state = torch.random.get_rng_state()
    sc.describe(model, (1, 1, 6))
    assert model.table is None
    assert model.seen == 0
    assert torch.equal(torch.random.get_rng_state(), state)
    assert model(torch.zeros(1, 1, 6)).device.type == "cpu"


def test_wrapped_and_other_precisions():
    net = nn.Sequential(nn.Conv1d(1, 2, 3))
    assert sc.describe(torch.compile(net, backend="eager"), (1, 1, 8))[0].name == "0"
    assert sc.describe(nn.DataParallel(net), (1, 1, 8)).parameters == 8
    for kind in (torch.float16, torch.float64):
        assert sc.describe(net.to(kind), (1, 1, 8))[0].shape == (1, 2, 6)


def test_several_inputs_meet():
    two = Steps(
        lambda self, a, b: self.a(a) + self.b(b), a=nn.Conv1d(1, 2, 3, padding=1), b=nn.Conv1d(3, 2, 7, padding=3)
    )
    rows = sc.describe(two, [(1, 1, 12), (1, 3, 12)])
    assert rows[-1].name == "add"
    assert rows[-1].receptive_field == (7,)


def raises(self, x):
    raise ValueError("one\ntwo\nthree")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sc.describe(nn.Conv1d(3, 4, 3), (1, 2, 8)), r"does not take an input of shape \(1, 2, 8\)"),
        (lambda: sc.describe(nn.Conv1d(3, 4, 3), (1, 3, -8)), "input_shape"),
        (lambda: sc.describe(Steps(raises), (1, 3, 8)), r"\(1, 3, 8\): one$"),
        (lambda: sc.describe(nn.LazyConv1d(3, 3), (1, 3, 8)), "'weight' has no size yet: call the model once"),
        (lambda: sc.describe(torch.relu, (1, 3, 8)), "expected a torch.nn.Module"),
        (lambda: sc.describe(nn.Conv1d(3, 4, 3), 9), "input_shape 9 is not"),
        (lambda: sc.receptive_field(nn.Linear(3, 4)), "no convolution to tell its input by"),
        (lambda: sc.receptive_field(nn.Sequential(nn.Conv1d(1, 1, 3)), node="7"), r"node '7' is not one of \['0'\]"),
    ],
)
def test_errors_say_what_was_expected(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_ar23_the_command_tells_of_any_model(tmp_path):
    done = command("describe", "mnist1d:cnn", "--json")
    record = json.loads(done.stdout.splitlines()[-1])
    assert (record["parameters"], record["depth"]) == (2050, 4)
    assert set(record["rows"][0]) >= {"name", "shape", "parameters", "macs", "receptive_field", "jump", "start"}
    shown = command("describe", "mnist1d", "--ndim", 3, "--size", 20).stdout
    assert "2,050" not in shown
    assert "15 x 9 x 9 x 9" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mnist2d"], "model 'mnist2d' is not one of"),
        (["mnist1d:rnn"], "mnist1d variant 'rnn' is not one of"),
        (["mnist1d", "--ndim", "0"], "--ndim 0 must be at least 1"),
        (["mnist1d", "--size", "3"], "larger than the padded input"),
        (["mnist1d", "--size", "3,4"], "not one number above 0, nor one for each of 1 axes"),
        (["mnist1d", "--depth", "3"], "unknown argument '--depth'"),
        (["CRCRP", "--width", "0.5"], "a pattern takes no --width"),
        (["CRXP"], "at position 2"),
        (["mnist1d:units=3"], "option 'units=3': model mnist1d takes"),
        ([], "usage: sigconv describe"),
    ],
)
def test_what_cannot_be_meant_is_one_line(words, message):
    done = command("describe", *words)
    assert done.returncode == 2
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_every_model_is_described_by_its_word():
    assert "mnist1d" in models.names()
