"""Tiling of models: what is local in space answers as untiled, whatever its layers; all else is refused by name."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples
from torch import nn
from torch.nn import functional as F

import sigconv as sc
from sigconv import models, tiles
from sigconv.summary._reaches import look
from sigconv.tiles import _cropped, _grid, _meter, _run


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(_grid, "BLOCKS", {1: 40, 2: 24, 3: 12})
    monkeypatch.setattr(_grid, "LONGER", 1)
    monkeypatch.setattr(_grid, "SPARSE", 1)
    monkeypatch.setattr(_cropped, "MODELS", {})


class Foreign(nn.Module):
    """Nobody's: a shortcut, a branch that goes down and up again."""

    def __init__(self, channels, ndim):
        super().__init__()
        self.near = sc.Conv(channels, 3, 3, padding="same", ndim=ndim)
        self.down = sc.Conv(channels, 3, 4, 2, padding=1, ndim=ndim)
        self.up = sc.ConvTranspose(3, 3, 2, 2, ndim=ndim)

    def forward(self, x):
        near = F.relu(self.near(x))
        far = self.up(self.down(x))
        return near + F.pad(
            far, [n for a, b in zip(near.shape[:1:-1], far.shape[:1:-1], strict=True) for n in (0, a - b)]
        )


def layer(draw, channels, ndim):
    """A layer, and its channels."""
    kind = draw(st.sampled_from(["conv", "torch", "pool", "blur", "up", "norm", "foreign", "transposed", "dilated"]))
    stride, out = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    mode = draw(st.sampled_from(["zeros", "reflect", "replicate"]))
    if kind == "conv":
        size = draw(st.integers(1, 4))
        padding = draw(st.sampled_from(["same", "causal", "valid", 1]))
        return sc.Conv(channels, out, size, stride, padding=padding, padding_mode=mode, ndim=ndim), out
    if kind == "torch":
        return getattr(nn, f"Conv{ndim}d")(channels, out, 3, stride, padding=1, padding_mode=mode), out
    if kind == "dilated":
        return getattr(nn, f"Conv{ndim}d")(channels, out, 3, padding=2, dilation=2), out
    if kind == "pool":
        return nn.Sequential(nn.ReLU(), sc.MaxPool(3, stride, padding=1)), channels
    if kind == "blur":
        return sc.BlurPool(3, stride), channels
    if kind == "up":
        return nn.Upsample(scale_factor=2, mode="nearest"), channels
    if kind == "transposed":
        return getattr(nn, f"ConvTranspose{ndim}d")(channels, out, 3, stride, padding=1), out
    if kind == "foreign":
        return Foreign(channels, ndim), 3
    return getattr(nn, f"BatchNorm{ndim}d")(channels), channels


@examples(20)
@given(st.data())
def test_models_of_any_local_layers_equal_untiled(data):
    draw, ndim = data.draw, data.draw(st.integers(1, 2))
    torch.manual_seed(draw(st.integers(0, 99)))
    channels, made = 2, []
    for _ in range(draw(st.integers(1, 4))):
        part, channels = layer(draw, channels, ndim)
        made.append(part)
    model = nn.Sequential(*made).eval()
    size = [draw(st.integers(60, {1: 700, 2: 110}[ndim])) for _ in range(ndim)]
    x = torch.randn(2, *size)
    with torch.no_grad():
        whole = model(x[None])[0]
    found = tiles.apply(model, x, tile=1)
    assert found.shape == whole.shape
    assert (found - whole).abs().max() <= 1e-5 * max(whole.abs().max(), 1e-3)
    assert torch.equal(found, tiles.apply(model, x, tile=draw(st.integers(1, 200))))


@pytest.mark.parametrize("size", [(64, 64), (61, 70)])
def test_unets_tile_whatever_is_left_over(size):
    torch.manual_seed(0)
    model = models.unet.build("near", ndim=2, classes=3, channels=4, levels=2).eval()
    x = torch.randn(1, *size)
    with torch.no_grad():
        whole = model(x[None])[0]
    found = tiles.apply(model, x, tile=1)
    assert (found - whole).abs().max() <= 1e-5 * whole.abs().max()
    assert torch.equal(found, tiles.apply(model, x))


def test_poolings_and_norms_of_each_position_tile():
    x = torch.randn(3, 50, 41)
    for layer in (sc.MaxPool(3, 2), nn.ReLU().eval(), sc.AvgPool(2)):
        assert (tiles.apply(layer.eval(), x, tile=1) - layer(x[None])[0]).abs().max() < 1e-6

    class Turned(nn.Module):
        def forward(self, x):
            return F.layer_norm(x.movedim(1, -1), (3,)).movedim(-1, 1)

    assert (tiles.apply(Turned().eval(), x, tile=1) - Turned()(x[None])[0]).abs().max() < 1e-5


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(2, 2, 3, stride=3), nn.Upsample(scale_factor=2)),
        nn.Sequential(nn.MaxPool2d(2), nn.ConvTranspose2d(2, 2, 3, stride=3), nn.Conv2d(2, 2, 3)),
        Foreign(2, 2),
    ],
)
def test_f9_blocks_of_models_are_computed_in_parts_wherever_these_begin(monkeypatch, model):
    x, real, parts = torch.randn(2, 77, 91), _run.answered, []

    def answered(plan, tile, region, write):
        if max(plan.grid.largest) > 15:
            raise MemoryError
        parts.append(plan.grid.start)
        real(plan, tile, region, write)

    with torch.no_grad():
        whole = model.eval()(x[None])[0]
    monkeypatch.setattr(_run, "answered", answered)
    with pytest.warns(UserWarning, match="computed in parts"):
        found = tiles.apply(model, x)
    assert len(set(parts)) > 4
    assert (found - whole).abs().max() <= 1e-5 * whole.abs().max()


class Far(nn.Module):
    """Statistics by hand, where no rule sees them."""

    def forward(self, x):
        return x / Hidden.apply(x)


class Hidden(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x.abs().mean() + 1


class Counted(nn.Module):
    """A mean that leaves the tensors, where no rule sees it; half of the answers are not a number."""

    def forward(self, x):
        return (x - float(x.mean())).log()


class Mean(nn.Module):
    def forward(self, x):
        return x - x.mean((-1, -2), keepdim=True)


class Own(nn.GroupNorm):
    """A model that is itself a norm, named once."""

    def forward(self, x):
        return x - x.mean((-1, -2), keepdim=True)


SMALL = {"padding": 1, "padding_mode": "circular"}


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (nn.Sequential(nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4)), r"1 \(GroupNorm\) takes statistics over space"),
        (nn.InstanceNorm2d(2), r"InstanceNorm2d\) takes statistics over space"),
        (models.unet.build("near", ndim=2, in_channels=2, norm="instance"), r"norm1 \(InstanceNorm\) takes statistics"),
        (nn.Sequential(nn.Conv2d(2, 2, 3), nn.AdaptiveAvgPool2d(1)), r"1 \(AdaptiveAvgPool2d\) sees all of space"),
        (nn.Sequential(nn.Conv2d(2, 2, 3), nn.AdaptiveMaxPool2d(7)), r"1 \(AdaptiveMaxPool2d\) sees all of space"),
        (nn.Sequential(nn.Conv2d(2, 2, 3), nn.Softmax(-1)), r"1 \(Softmax\) sees all of space"),
        (nn.Sequential(nn.Conv2d(2, 2, 3), nn.Linear(60, 3)), r"1 \(Linear\)"),
        (nn.LayerNorm([2, 60, 60]), "LayerNorm"),
        (nn.Conv2d(2, 3, 3, **SMALL), "joins the ends"),
        (sc.Conv(2, 3, 3, ndim=2, **SMALL), "joins the ends"),
        (Mean(), r"the model \(Mean\) sees all of space"),
        (Own(1, 2), r"the model \(Own\) sees all of space: take"),
        (nn.Sequential(Own(1, 2)), r"0 \(Own\) sees all of space; it holds 0 \(Own\): take"),
        (Far(), "sees all of space|only far samples change"),
        (nn.Conv2d(3, 3, 3), "does not take an input of shape"),
        (Counted(), "only far samples change"),
    ],
)
def test_what_sees_all_of_space_is_refused_by_name(model, words):
    with pytest.raises(ValueError, match=words) as caught:
        tiles.apply(model.eval(), torch.zeros(2, 60, 60))
    assert "\n" not in str(caught.value)


GRIDS = {
    "linspace": lambda n: torch.linspace(-1, 1, n),
    "arange": torch.arange,
    "from the end": lambda n: torch.arange(n).flip(0),
    "checkered": lambda n: torch.arange(n) % 2,
    "waves": lambda n: torch.sin(0.3 * torch.arange(n)),
    "size": lambda n: torch.full((n,), n),
}


class Coordinates(nn.Module):
    """A grid along one axis, added or as a channel of its own, before a convolution."""

    def __init__(self, grid, axis, added):
        super().__init__()
        self.grid, self.axis, self.added = GRIDS[grid], axis, added
        self.conv = nn.Conv2d(2 if added else 3, 3, 3, padding=1)

    def forward(self, x):
        shape = [1, 1, 1, 1]
        shape[self.axis] = x.shape[self.axis]
        grid = self.grid(x.shape[self.axis]).to(x.dtype).reshape(shape)
        return self.conv(x + grid if self.added else torch.cat([x, grid.expand(len(x), 1, *x.shape[2:])], 1))


@pytest.mark.parametrize("added", [True, False])
@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("grid", GRIDS)
def test_what_knows_its_position_is_refused(grid, axis, added):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 2, 3, stride=3), Coordinates(grid, axis, added)).eval()
    with pytest.raises(ValueError, match=r"knows where it is: give .* as channels") as caught:
        tiles.apply(model, torch.zeros(2, 90, 90))
    assert "\n" not in str(caught.value)


class Gated(nn.Module):
    """What its maker writes by hand: functions of weights of its own, a step beside, an answer of any kind."""

    def __init__(self, ending=lambda y: y):
        super().__init__()
        self.near, self.weight, self.ending = (
            nn.Conv2d(2, 3, 3, padding=1),
            nn.Parameter(torch.randn(3, 2, 5, 5)),
            ending,
        )

    def forward(self, x):
        return self.ending(self.near(x) * torch.sigmoid(F.conv2d(x, self.weight, padding=2)))


@pytest.mark.parametrize(
    "model",
    [
        Gated(),
        Gated(lambda y: (10 * y).round()),
        Gated(lambda y: y > 0),
        Gated(lambda y: y.log()),  # NaN where it is negative
        Gated(lambda y: y[..., ::2, ::3]),
        nn.Sequential(nn.Conv2d(2, 2, 3, stride=2), Gated(), nn.Upsample(scale_factor=2), Foreign(3, 2)),
        Gated().bfloat16(),
        Gated().half(),
    ],
    ids=["gated", "rounded", "bool", "log", "strided", "deep", "bfloat16", "half"],
)
def test_modules_of_foreign_make_that_are_local_pass(model):
    x = torch.randn(2, 90, 90)
    with torch.no_grad():
        whole = model.eval()(x[None].to(next(model.parameters()).dtype))[0]
    found = tiles.apply(model, x, tile=1)
    assert found.dtype == whole.dtype
    assert torch.allclose(found.double(), whole.double(), rtol=1e-5, atol=1e-5, equal_nan=True)


class Choosy(nn.Module):
    """Takes multiples of so many samples, which no rule sees."""

    def __init__(self, of):
        super().__init__()
        self.of, self.conv = of, nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x):
        if x.shape[-1] % self.of:
            raise ValueError(f"{x.shape[-1]} is no multiple of {self.of}")
        return self.conv(x)


@pytest.mark.parametrize("of", [8, 16])
def test_a_crop_that_is_not_taken_tells_nothing_where_none_is_needed(of):
    x, model = torch.randn(2, 16, 16), Choosy(of).eval()
    with torch.no_grad():
        assert (tiles.apply(model, x) - model(x[None])[0]).abs().max() < 1e-6


@pytest.mark.parametrize("grid", ["linspace", "arange"])
def test_nan_does_not_hide_a_position(grid):
    model = nn.Sequential(Coordinates(grid, -1, True), nn.Conv2d(3, 2, 1), Gated(lambda y: y.log())).eval()
    with pytest.raises(ValueError, match="knows where it is"):
        tiles.apply(model, torch.zeros(2, 90, 90))


@pytest.mark.parametrize("layer", [nn.BatchNorm2d(2), nn.Dropout(0.5), Mean()])
def test_training_mode_is_refused(layer):
    with pytest.raises(ValueError, match=r"in training mode: call model\.eval\(\) before it is tiled"):
        tiles.apply(layer.train(), torch.zeros(2, 60, 60))


def test_resizing_to_the_source_is_local_only_where_steps_divide_it():
    class Back(nn.Module):
        def forward(self, x):
            return F.interpolate(F.avg_pool2d(x, 2, ceil_mode=True), size=x.shape[2:], mode="bilinear")

    x = torch.randn(1, 80, 96)
    assert (tiles.apply(Back().eval(), x, tile=1) - Back()(x[None])[0]).abs().max() < 1e-5
    with pytest.raises(ValueError, match="multiple of"):
        tiles.apply(Back().eval(), torch.randn(1, 81, 96))


def test_looks_tell_reach_lattice_and_shape_without_running():
    model = nn.Sequential(nn.Conv2d(1, 2, 3, stride=2), nn.MaxPool2d(2), nn.Upsample(scale_factor=2)).eval()
    seen = look(model, (1, 1, 1 << 15, 1 << 15), torch.float32)
    assert seen.lattice == (4, 4)
    assert [(r.stride, r.each) for r in seen.reaches] == [(2, 1), (2, 1)]
    assert seen.shape == (1, 2, 16382, 16382)


def test_the_meter_counts_what_is_alive_together():
    chain = nn.Sequential(*[nn.ReLU() for _ in range(10)])
    size = 4 * 1000
    assert 2 * size <= _meter.peak(chain, (1, 1, 1000), torch.float32) <= 6 * size
    with pytest.raises(AssertionError):
        assert _meter.peak(chain, (1, 1, 4000), torch.float32) <= 6 * size
