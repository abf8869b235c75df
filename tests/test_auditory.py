"""The ear's scales, filters and compression: published numbers, librosa and SciPy as oracles, and laws."""

import math
import warnings

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given
from hypothesis import strategies as st

from sigconv import units
from sigconv.convolution import conv
from sigconv.filters import auditory
from sigconv.filters.auditory._scales import bands

FS = 16000.0
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def librosa():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("librosa")


def tone(frequency, fs=FS, samples=8000):
    return torch.cos(2 * math.pi * frequency * torch.arange(samples, dtype=torch.float64) / fs)[None, None]


def response(kernels, frequency, fs=FS):
    """|H| of each kernel (filters, taps), the origin in the middle, at frequencies (…) in Hz."""
    place = torch.arange(kernels.shape[-1], dtype=torch.float64) - kernels.shape[-1] // 2
    turn = torch.polar(torch.ones(()).double(), -2 * math.pi * torch.as_tensor(frequency)[..., None] * place / fs)
    return (turn @ kernels.to(turn).mT).abs()


def test_c2_published_points_of_the_scales():
    """Traunmüller 1990 with his corrections, Zwicker & Terhardt's and Schroeder's formulas, Glasberg & Moore 1990."""
    np.testing.assert_allclose(units.hz_to_bark([50.0, 1000.0, 15000.0]), [0.4097, 8.5274, 24.0], atol=0.2)
    assert units.hz_to_bark(1000.0) == pytest.approx(26.81 * 1000 / 2960 - 0.53)
    assert units.hz_to_bark(1000.0, "zwicker") == pytest.approx(13 * math.atan(0.76) + 3.5 * math.atan(1 / 56.25))
    assert units.hz_to_bark(600.0, "schroeder") == pytest.approx(6 * math.log(1 + math.sqrt(2)))
    assert units.erb_width(1000.0) == pytest.approx(132.639)
    assert units.hz_to_erb(1000.0) == pytest.approx(15.62, abs=0.01)


@pytest.mark.parametrize("formula", units.BARKS)
def test_c2_bark_there_and_back(formula):
    f = np.linspace(0, 20000, 2001)
    z = units.hz_to_bark(f, formula)
    assert (np.diff(z) > 0).all()
    np.testing.assert_allclose(units.bark_to_hz(z, formula), f, atol=1e-6)


@given(st.floats(1e-3, 1e5), st.floats(1, 1e4))
def test_c2_erb_and_octaves_there_and_back(f, reference):
    assert units.erb_to_hz(units.hz_to_erb(f)) == pytest.approx(f, rel=1e-9, abs=1e-9)
    assert units.octave_to_hz(units.hz_to_octave(f, reference), reference) == pytest.approx(f, rel=1e-12)


def test_c2_the_rate_counts_the_widths_below():
    f = np.linspace(0, 8000, 200001)
    counted = np.trapezoid(1 / units.erb_width(f), f)
    assert counted == pytest.approx(float(units.hz_to_erb(8000.0)), rel=5e-3)  # 21.4 stands for 21.33


@pytest.mark.parametrize("kind", auditory.KINDS)
def test_c2_weights_are_triangles_that_share_everything_between_their_peaks(kind):
    n_fft, n = 2048, 24
    weights = auditory.weights(kind, FS, n_fft, n, fmin=100, fmax=7000, norm=None).double()
    low, centre, high = bands(kind, n, 100, 7000, FS)
    bins = np.arange(n_fft // 2 + 1) * FS / n_fft
    between = (bins >= centre[0]) & (bins <= centre[-1])
    torch.testing.assert_close(weights.sum(0)[between], torch.ones(between.sum()).double(), atol=1e-6, rtol=0)
    assert not weights[0][(bins < low[0]) | (bins > high[0])].any()
    even = {
        "mel": units.hz_to_mel,
        "bark": units.hz_to_bark,
        "erb": units.hz_to_erb,
        "octave": units.hz_to_octave,
    }[kind](np.concatenate([[low[0]], centre, [high[-1]]]))
    np.testing.assert_allclose(np.diff(even), np.diff(even)[0], rtol=1e-9)
    areas = auditory.weights(kind, FS, n_fft, n, fmin=100, fmax=7000).sum(1) * FS / n_fft
    torch.testing.assert_close(areas[-4:], torch.ones(4), atol=0.01, rtol=0)


def test_mel_weights_are_weights():
    assert torch.equal(auditory.mel_weights(FS, 512, 40, htk=True), auditory.weights("mel", FS, 512, 40, htk=True))


@pytest.mark.parametrize("kind", auditory.KINDS)
def test_fb1_each_band_passes_its_tone_and_stops_an_octave_away(kind):
    bank = auditory.bank(kind, 24, 100, 7600, FS)
    for row in bank.table()[8:20:4]:
        index, f = bank.names.index(row["name"]), row["frequency"]
        middle = lambda f, index=index: bank(tone(f), output="magnitude")[0, index, 4000].item()
        assert middle(f) == pytest.approx(0.5, abs=0.01)
        assert middle(f / 2) < 0.02
        assert 2 * f > FS / 2 or middle(2 * f) < 0.02


@pytest.mark.parametrize("kind", ["mel", "bark", "octave"])
def test_c2_a_gabors_response_is_the_triangles_root_at_half_height(kind):
    n = 20
    low, centre, high = bands(kind, n, 200, 7000, FS)
    bank = auditory.bank(kind, n, 200, 7000, FS, truncate=6)
    for side in (-1, 1):
        half = response(bank.kernels, centre + side * 0.375 * (high - low)).diagonal()
        torch.testing.assert_close(half, torch.full((n,), 0.5).double(), atol=2e-3, rtol=0)


def test_c2_leafs_own_reading_of_the_widths_is_ours_to_a_bin():
    """LEAF: sigma = sqrt(2 ln 2)·n_fft / (pi·FWHM in bins) of the root of HTK's mel triangles, in samples."""
    n_fft = 16384
    mel = auditory.weights("mel", FS, n_fft, 40, fmin=60, fmax=7800, htk=True, norm=None).double().sqrt()
    fwhm = (mel > mel.amax(1, keepdim=True) / 2).sum(1)
    sigma = math.sqrt(2 * math.log(2)) * n_fft / (math.pi * fwhm)
    ours = auditory.bank("mel", 40, 60, 7800, FS, htk=True).table()
    np.testing.assert_allclose([row["sigma"] * FS for row in ours], sigma, rtol=0.03)
    np.testing.assert_allclose([row["frequency"] for row in ours], mel.argmax(1) * FS / n_fft, atol=FS / n_fft)


@pytest.mark.parametrize("make", [lambda: auditory.bank("erb", 16, 150, 6000, FS, truncate=6), None])
def test_c2_equivalent_rectangular_bandwidths_are_the_ears(make):
    bank = make() if make else auditory.gammatone(16, 150, 6000, FS)
    centre = bands("erb", 16, 150, 6000, FS).centre
    f = torch.arange(0, FS / 2, 2.0, dtype=torch.float64)
    power = response(bank.kernels, f).square()
    widths = power.sum(0) * 2.0 / response(bank.kernels, centre).diagonal().square()
    torch.testing.assert_close(widths, torch.from_numpy(units.erb_width(centre)), rtol=0.01, atol=0)


def test_c2_gammatones_are_scipys_and_hear_nothing_before_it_sounds():
    bank = auditory.gammatone(12, 100, 7000, FS)
    before, after = bank.kernels[:, : bank.kernel_size[0] // 2], bank.kernels[:, bank.kernel_size[0] // 2 :]
    assert not before.any()
    for ours, f in zip(after, bands("erb", 12, 100, 7000, FS).centre, strict=True):
        theirs = scipy.signal.gammatone(f, "fir", order=4, numtaps=after.shape[1], fs=FS)[0]
        np.testing.assert_allclose(ours / ours.abs().max(), theirs / np.abs(theirs).max(), atol=1e-6)
    assert ours.abs().max() > 1e4 * ours[-1].abs()
    click = torch.zeros(1, 1, 500).double()
    click[..., 250] = 1
    assert bank(click)[..., :250].abs().max() < 1e-12
    assert bank(tone(bank.table()[5]["frequency"]))[0, 5, 4000:6000].max() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("kind", ["mel", "erb"])
def test_tables_read_hertz_and_seconds(kind):
    table = auditory.bank(kind, 3, 100, 4000, FS).table()
    assert "frequency (Hz)" in str(table)
    assert "sigma (s)" in str(table)


def test_fb6_bands_and_gammatones_train_frozen_or_learnt():
    for make in (lambda **o: auditory.bank("mel", 4, 200, 3000, 8000.0, **o), None):
        made = make or (lambda **o: auditory.gammatone(4, 200, 3000, 8000.0, **o))
        assert not any(p.requires_grad for p in made().parameters())
        bank = made(learnable=True)
        bank(torch.from_numpy(RNG.normal(size=(1, 1, 400))), output="energy").square().sum().backward()
        for name in {"frequency", "sigma", "width"} & {name for name, _ in bank.named_parameters()}:
            grad = bank.get_parameter(name).grad
            assert torch.isfinite(grad).all(), name
            assert (grad != 0).all(), name


def loop(x, s, first):
    """The recursion as it is written."""
    m, found = first, []
    for t in range(x.shape[-1]):
        m = (1 - s) * m + s * x[..., t]
        found.append(m)
    return np.stack(found, -1)


def compressed(x, m, alpha, delta, r, eps):
    return (x / (eps + m) ** alpha + delta) ** (1 / r) - delta ** (1 / r)


@given(
    channels=st.integers(1, 3),
    frames=st.sampled_from([1, 2, 63, 64, 65, 130, 4096, 4097, 5000]),
    per_channel=st.booleans(),
    seed=st.integers(0, 99),
)
def test_c2_pcen_is_its_recursion(channels, frames, per_channel, seed):
    rng = np.random.default_rng(seed)
    x = rng.gamma(0.3, size=(2, channels, frames)) * 10.0 ** rng.uniform(-6, 6)
    draw = lambda low, high: rng.uniform(low, high, channels) if per_channel else rng.uniform(low, high)
    p = {"alpha": draw(0.5, 1), "delta": draw(0.5, 3), "r": draw(1, 4), "s": draw(0.001, 1)}
    m = loop(x, p["s"], x[..., 0])
    column = lambda v: v[:, None] if per_channel else v
    expected = compressed(x, m, *(column(p[name]) for name in ("alpha", "delta", "r")), 1e-6)
    np.testing.assert_allclose(auditory.pcen(x, **p), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_c2_pcen_is_librosas(librosa):
    x = RNG.gamma(0.3, size=(40, 700)) * 2**10
    s = auditory.smoothing(0.4, 22050 / 512)
    np.testing.assert_allclose(auditory.pcen(x, s=s, state=1.0), librosa.pcen(x), atol=1e-10)
    theirs = librosa.pcen(x, gain=0.8, bias=10, power=0.25, time_constant=0.1, eps=1e-5, zi=0.0 * x[:, :1])
    options = {"alpha": 0.8, "delta": 10, "r": 4, "eps": 1e-5, "s": auditory.smoothing(0.1, 22050 / 512)}
    np.testing.assert_allclose(auditory.pcen(x, **options, state=0.0), theirs, atol=1e-10)
    zi = (1 - s) * x[:, :1]
    found = auditory.pcen(torch.from_numpy(x).float(), s=s)
    np.testing.assert_allclose(found, librosa.pcen(x, zi=zi), atol=1e-4)


def test_n20_pcen_of_hours_is_scipys_and_of_chunks_the_whole():
    x = RNG.gamma(0.3, size=(2, 300_000))
    s = 0.003
    m = scipy.signal.lfilter([s], [1, s - 1], x, zi=(1 - s) * x[:, :1])[0]
    found, last = auditory.pcen(x.astype(np.float32), s=s, return_state=True)
    np.testing.assert_allclose(found, compressed(x, m, 0.98, 2.0, 2.0, 1e-6), atol=2e-5)
    np.testing.assert_allclose(last, m[:, -1], rtol=1e-5)
    state, parts = None, []
    for chunk in np.split(x, [1, 100, 1000, 77_777], axis=-1):
        y, state = auditory.pcen(chunk, s=s, state=state, return_state=True)
        parts.append(y)
    np.testing.assert_allclose(np.concatenate(parts, -1), auditory.pcen(x, s=s), rtol=1e-9)


def test_n3_what_is_not_finite_touches_nothing_before_it():
    x = torch.rand(2, 200).double()
    x[0, 70] = math.nan
    x[1, 130] = math.inf
    y = auditory.pcen(x)
    assert torch.isfinite(y[0, :70]).all()
    assert torch.isnan(y[0, 70:]).all()
    m = loop(x.numpy(), 0.025, x[:, 0].numpy())
    with np.errstate(invalid="ignore"):
        expected = compressed(x.numpy(), m, 0.98, 2.0, 2.0, 1e-6)
    np.testing.assert_allclose(y, expected, equal_nan=True)


def test_n23_silence_stays_silent_and_small_sounds_are_not_lost():
    x = torch.zeros(1, 3, 10, requires_grad=True)
    y = auditory.pcen(x)
    y.sum().backward()
    assert not y.any()
    assert torch.isfinite(x.grad).all()
    faint = torch.full((1, 1, 5), 1e-12)
    exact = compressed(1e-12, 1e-12, 0.98, 2.0, 2.0, 1.0)
    assert auditory.pcen(faint, eps=1.0)[0, 0, 4].item() == pytest.approx(3.5355e-13, rel=1e-3)
    assert exact == pytest.approx(3.5355e-13, rel=1e-3)
    assert auditory.pcen(faint.half() + 1).dtype == torch.float16


def test_n15_pcens_derivatives():
    x = torch.rand(2, 2, 70, dtype=torch.float64, requires_grad=True)
    given = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in ([0.9, 0.5], [2.0, 1.0], [2.0, 3.0])]
    s = torch.tensor([0.1, 0.5], dtype=torch.float64, requires_grad=True)
    f = lambda x, a, d, r, s: auditory.pcen(x[:, :, ::5], alpha=a, delta=d, r=r, s=s, eps=1e-3)
    assert torch.autograd.gradcheck(f, (x, *given, s))
    long = torch.rand(1, 80, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, s: auditory.pcen(x, s=s, eps=1e-3), (long, s[:1].detach().requires_grad_())
    )


def test_fb6_pcen_trains_within_its_walls():
    layer = auditory.PCEN(3)
    assert all(p.requires_grad for p in layer.parameters())
    assert not any(p.requires_grad for p in auditory.PCEN(3, learnable=False).parameters())
    x = torch.rand(2, 3, 90)
    torch.testing.assert_close(layer(x), auditory.pcen(x))
    layer(x).sum().backward()
    assert all((p.grad != 0).all() for p in layer.parameters())
    with torch.no_grad():
        layer.alpha.add_(0.1)
        layer.s.sub_(0.03)
    assert layer.value("alpha").max() <= 1
    assert layer.value("s").min() >= 0
    again = auditory.PCEN(3)
    again.load_state_dict(layer.state_dict())
    assert torch.equal(again(x), layer(x))
    y, state = layer(x[..., :40], return_state=True)
    torch.testing.assert_close(torch.cat([y, layer(x[..., 40:], state=state)], -1), layer(x))


def test_fb6_leaf_frozen_is_its_parts_by_hand():
    x = torch.from_numpy(RNG.normal(size=(2, 1, 1000)))
    leaf = auditory.leaf(8000, 6, fmax=3600, learnable=False)
    assert not any(p.requires_grad for p in leaf.parameters())
    bank = auditory.bank("mel", 6, 60, 3600, 8000.0, htk=True, size=201)
    energy = conv(x.to(torch.complex128), bank.kernels[:, None], padding="same", flip=True).abs().square()
    t = torch.arange(201).double() - 100
    window = torch.exp(-0.5 * (t / 40).square())
    window = (window / window.sum()).expand(6, 1, 201)
    slow = torch.nn.functional.conv1d(energy, window, stride=80, padding=100, groups=6)
    expected = auditory.pcen(slow.clamp_min(1e-7), alpha=0.96, s=0.04, eps=1e-12)
    torch.testing.assert_close(leaf(x), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("samples", [160, 16000, 16001, 15999])
def test_leaf_has_a_frame_every_ten_milliseconds(samples):
    assert auditory.leaf(16000)(torch.zeros(1, 1, samples)).shape == (1, 40, -(-samples // 160))


def test_c1_leafs_constraints():
    leaf = auditory.leaf(16000)
    k = math.sqrt(2 * math.log(2)) / math.pi
    sigma = leaf.filters.get_parameter("sigma")
    for step in (-1e3, -90, -1, 60, 1e3):
        with torch.no_grad():
            sigma.add_(step)
        value = leaf.filters.value("sigma")
        assert 4 * k - 1e-9 <= value.min()
        assert value.max() <= 401 * k + 1e-9
        with torch.no_grad():
            sigma.sub_(step)
    assert leaf.filters.kernel_size == (401,)
    assert leaf.lowpass.stride == 160
    assert leaf.table()[0]["sigma_lowpass"] == pytest.approx(0.005)
    assert leaf.table()[0]["frequency"] == pytest.approx(106, abs=1)


def test_fb6_every_parameter_of_leaf_has_a_finite_gradient_even_in_silence():
    leaf = auditory.leaf(8000, 5, fmax=3600)
    leaf(torch.from_numpy(RNG.normal(size=(2, 1, 800)))).square().sum().backward()
    trained = {name: p for name, p in leaf.named_parameters() if p.requires_grad}
    assert len(trained) == 7
    for name, p in trained.items():
        assert torch.isfinite(p.grad).all(), name
        assert (p.grad != 0).all(), name
    leaf.zero_grad()
    leaf(torch.zeros(1, 1, 800)).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in trained.values())


def test_fb6_leaf_finds_a_tone_by_gradient_descent_at_a_networks_learning_rate():
    leaf = auditory.leaf(8000, 1, fmin=900, fmax=1500)
    x = tone(1400.0, fs=8000, samples=800).float()
    optimiser = torch.optim.Adam(leaf.parameters(), lr=1e-3)
    start = leaf.table()[0]["frequency"]
    for _ in range(60):
        optimiser.zero_grad()
        loss = -leaf.lowpass(leaf.filters(x, output="energy")).log().mean()
        loss.backward()
        optimiser.step()
    assert abs(start - 1400) > 150
    assert leaf.table()[0]["frequency"] == pytest.approx(1400, abs=15)


def ripple(temporal, spectral, rising, fs=(8.0, 100.0), size=(48, 200)):
    """A spectrogram of one moving ripple; rising: its ridges go up in pitch as time goes on."""
    pitch, time = (torch.arange(n, dtype=torch.float64) / r for n, r in zip(size, fs, strict=True))
    along = spectral * pitch[:, None] - (1 if rising else -1) * temporal * time
    return torch.cos(2 * math.pi * along)[None, None]


@pytest.mark.parametrize("rising", [True, False])
def test_fb8_spectro_temporal_filters_hear_ripples_rise_and_fall(rising):
    bank = auditory.spectro_temporal([4, 8], [0, 0.5, 1], fs=(8, 100))
    for t, p in ((4, 0.5), (8, 1)):
        x = ripple(t, p, rising)
        found = bank(x, output="magnitude")[0, :, 24, 100]
        best = bank.names[found.argmax()]
        assert best == f"{t}Hz_{p:g}_{'up' if rising else 'down'}"
        assert found.max().item() == pytest.approx(0.5, abs=0.01)
        other = bank.names.index(best.replace("up", "?").replace("down", "up").replace("?", "down"))
        assert found[other] < 0.02


def test_fb8_a_level_spectrogram_has_no_modulation_and_a_mel_spectrogram_is_taken_as_it_is():
    bank = auditory.spectro_temporal([0, 4], [0, 0.25], fs=(1, 100))
    assert bank.names == ["0Hz_0.25", "4Hz_0", "4Hz_0.25_up", "4Hz_0.25_down"]
    assert bank.kernels.sum((1, 2)).abs().max() < 1e-12
    assert bank(torch.ones(1, 1, 40, 100), padding_mode="replicate").abs().max() < 1e-5
    trained = auditory.spectro_temporal([4], [0.25], fs=(1, 100), learnable=True)
    x = torch.from_numpy(RNG.normal(size=(1, 1, 20, 30)))
    trained(x, output="energy").sum().backward()
    assert all((p.grad != 0).all() for p in trained.parameters())
    assert trained(x.numpy(), output="energy").shape == (1, 2, 20, 30)


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_default(ndim):
    if ndim > 2:
        with pytest.raises(ValueError, match="auditory has banks for 1 axis .* and 2 .*, not for ndim="):
            auditory.default(ndim)
        return
    bank = auditory.default(ndim, fs=50.0)
    assert bank(torch.rand(2, 3, *[20] * ndim)).shape == (2, 3 * len(bank), *[20] * ndim)
    one = auditory.default(ndim)
    torch.testing.assert_close(one.kernels, bank.kernels, msg="fs scales units, not taps")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: auditory.bank("mel", 8, 0, 9000, FS), r"fmax 9000 is above half the sampling rate .*8000"),
        (lambda: auditory.bank("mel", 8, 500, 400, FS), "expected fmin < fmax"),
        (lambda: auditory.bank("mell", 8, 0, 400, FS), "kind 'mell' is not one of"),
        (lambda: auditory.bank("octave", 8, 0, 400, FS), "fmin 0: no octave begins at 0 Hz"),
        (lambda: auditory.bank("erb", 8, 0, 400, FS, htk=True), "htk is a formula of mel, and kind is 'erb'"),
        (lambda: auditory.weights("bark", FS, 64, 80), "bark band 0 of 80 meets no bin of n_fft=64"),
        (lambda: auditory.gammatone(8, 0, 9000, FS), "fmax 9000 is above half"),
        (lambda: auditory.leaf(8000, fmax=5000), "fmax 5000 is above half"),
        (lambda: auditory.leaf(16000, hop=0), "hop=0 are"),
        (lambda: auditory.leaf(16000)(torch.zeros(2, 16000)), r"x has shape \(2, 16000\)"),
        (lambda: auditory.pcen(torch.ones(3, 9), alpha=1.5), "alpha 1.5 is out of range: expected at most 1"),
        (lambda: auditory.pcen(torch.ones(3, 9), s=torch.ones(4)), r"s has shape \(4,\)"),
        (lambda: auditory.pcen(torch.ones(3, 0)), "at least one frame"),
        (lambda: auditory.pcen(torch.tensor([[-1.0, 2.0]])), "x holds -1: pcen takes energies or magnitudes"),
        (lambda: auditory.PCEN(3, r=[2, 2]), "r has 2 entries for 3 channels"),
        (lambda: auditory.smoothing(0, 100), "time_constant=0"),
        (lambda: auditory.spectro_temporal([60], [0.1], fs=(1, 100)), "frequency 60 is above half .* at most 50"),
        (lambda: auditory.spectro_temporal([-4], [0.1], fs=(1, 100)), "must be numbers of at least 0"),
        (lambda: auditory.spectro_temporal([0], [0], fs=(1, 100)), "are all 0"),
        (lambda: units.hz_to_bark(100, "tsw"), "formula 'tsw' is not one of"),
        (lambda: units.hz_to_octave([100, 0]), "frequency 0 has no octave"),
    ],
)
def test_errors_carry_the_number_and_the_limit(call, message):
    with pytest.raises(ValueError, match=message):
        call()
