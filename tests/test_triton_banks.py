"""The Triton kernels of filter banks, interpreted: passes along one axis and folded spectra, against their twins."""

import pytest
import torch
from interpreted import DOUBLE, case, failures, interpreted, made, main

from sigconv.filters import FilterBank, _passes, _respond, _spectra, gabor, gaussian
from sigconv.filters._call import Call
from sigconv.filters._sink import OUTPUTS
from sigconv.kernels import _folding_triton, _passes_triton, _triton, folding, passes
from sigconv.kernels._memory import Scratch

PASSES = [  # rows, before, n, after, parts, parts of the filters, taps, stride, border, terms, signals
    ((2, 3, 9, 1), (1, 2), 5, (1, 2), 1, 1),
    ((1, 2, 11, 1), (1, 1), 4, (3, 1), 1, 1),
    ((2, 1, 6, 4), (2, 2), 3, (1, 1), 1, 3),
    ((1, 2, 7, 3), (2, 1), 14, (2, 9), 1, 2),  # longer than the axis, taps of several turns
    ((1, 2, 5, 2), (2, 2), 13, (4, 6), 2, 3),
    ((1, 1, 19, 2), (1, 2), 5, (1, 0), 2, 2),  # within: no border
]


def run_of(row, dtype=DOUBLE):
    """Signals, filters, a table of three outputs, options, for a row of PASSES."""
    (rows, before, n, after), (parts, more), k, (stride, border), terms, signals = row
    x, filters = made(signals, parts, rows, before, n, after), made(3 * terms, more, k, seed=1)
    table = torch.tensor([[[(f + r) % signals, f * terms + r] for r in range(terms)] for f in (2, 0, 1)])
    positions = -(-n // stride) if border else (n - k) // stride + 1
    return x.to(dtype), filters.to(dtype), table.int(), border, stride, positions


@case
def a_pass_is_its_twin():
    for row in PASSES:
        given = run_of(row)
        torch.testing.assert_close(passes.filtered(*given), passes.filtered_twin(*given), rtol=1e-12, atol=1e-12)


@case
def a_twin_is_the_definition():
    for row in PASSES:
        x, filters, table, before, stride, positions = run_of(row)
        y = passes.filtered_twin(x, filters, table, before, stride, positions)
        whole = lambda t: torch.complex(*t.double()) if len(t) == 2 else t[0].double()
        for output, terms in enumerate(table.tolist()):
            for q in range(positions):
                total = 0
                for signal, number in terms:
                    for t, tap in enumerate(whole(filters[number])):
                        if 0 <= q * stride - before + t < x.shape[4]:
                            total = total + tap * whole(x[signal])[:, :, q * stride - before + t]
                found = whole(y[output])[:, :, q]
                torch.testing.assert_close(found, torch.as_tensor(total, dtype=found.dtype).expand_as(found))


@case
def a_last_pass_writes_what_was_asked_for_and_nothing_beside_it():
    some = {0: list(OUTPUTS), 2: ["imag", "complex"], 3: ["energy"], 4: ["magnitude", "real"]}
    for row, outputs in some.items():
        for output, into in [(output, DOUBLE) for output in outputs] + [(outputs[0], torch.float16)] * (row == 4):
            dtype = torch.promote_types(into, torch.float32)
            x, filters, table, before, stride, positions = run_of(PASSES[row], dtype)
            x = x[:, :, :, :1].contiguous()
            size = x.shape[2], 4, positions, x.shape[5], *([2] if output == "complex" else [])
            y, true = (torch.full(size, 7.0, dtype=into) for _ in range(2))
            passes.answered(x, filters, table, before, stride, y, output)
            passes.answered_twin(x, filters, table, before, stride, true, output)
            gate = 1e-12 if into == DOUBLE else 2e-3
            torch.testing.assert_close(y, true, rtol=gate, atol=gate)
            assert (y[:, 3] == 7).all()  # a filter that is not in the table
            assert (y[:, :3] != 7).all()


@case
def n5_a_magnitude_is_in_reach_where_its_square_is_not():
    x = torch.tensor([3e30, -2e-30, 0.0]).reshape(1, 1, 1, 1, 3, 1)
    y, taps = torch.empty(1, 1, 3, 1), torch.tensor([[[1.0], [1.0]]])
    passes.answered(x, taps, torch.zeros(1, 1, 2, dtype=torch.int32), 0, 1, y, "magnitude")
    torch.testing.assert_close(y.flatten(), x.abs().flatten() * 2**0.5, rtol=1e-6, atol=0)


@case
def n19_the_same_bits_whatever_the_blocks():
    columns, lanes, blocks = _passes_triton.COLUMNS, _passes_triton.LANES, _folding_triton.BLOCKS
    for row in (PASSES[1], PASSES[2]):
        given, found = run_of(row, torch.float32), []
        for one in range(len(columns)):
            _passes_triton.COLUMNS, _passes_triton.LANES = columns[one:], lanes[one % len(lanes) :]
            found.append(passes.filtered(*given))
        assert all(torch.equal(y, found[0]) for y in found)
    _passes_triton.COLUMNS, _passes_triton.LANES = columns, lanes
    spectrum, lines, found = spectrum_of((4, 6), 1), [spectrum_of((2, n), 5) for n in (4, 6)], []
    for one in range(len(blocks)):
        _folding_triton.BLOCKS = blocks[one:]
        found.append(folding.product(lines, spectrum, (2, 3), False, Scratch(spectrum.real)))
    _folding_triton.BLOCKS = blocks
    assert all(torch.equal(y, found[0]) for y in found)


# ---- folded spectra


def spectrum_of(size, count, dtype=torch.complex64):
    return torch.complex(made(count, *size), made(count, *size, seed=1)).to(dtype)


FOLDS = [((12,), (3,)), ((8, 6), (2, 3)), ((6, 5), (1, 1)), ((4, 6, 8), (2, 1, 4)), ((4, 2, 3, 4), (2, 2, 1, 4))]


@case
def folded_products_are_their_twins():
    for row, (period, fold) in enumerate(FOLDS):
        spectrum = spectrum_of(period, 1 + row % 2, torch.complex128)
        lines = [spectrum_of((1 + row % 2, n), 5, torch.complex128) for n in period]
        for found in (lines, [spectrum_of(period, 3, torch.complex128)]):
            half = max(fold) == 1
            seen = spectrum[..., : period[-1] // 2 + 1] if half else spectrum
            run = lambda: folding.product(found, seen, fold, half, Scratch(seen.real))  # noqa: B023
            y = run()
            interpreted(False)
            torch.testing.assert_close(y, run(), rtol=1e-12, atol=1e-12)
            interpreted()
    assert folding.product(lines, spectrum[:0], fold, False, Scratch(spectrum.real)).shape[:2] == (0, 5)


# ---- whole banks

BANKS = {
    "gabor 1": (gabor.bank([0.2, 0.3], 1.0, size=7), (23,)),
    "gabor 2": (gabor.bank([[0.2, 0.1], [0.1, 0.2], [0.2, 0.1]], [1.0, 1.0, 0.7], size=5, dc_free=True), (8, 9)),
    "gabor 3": (gabor.bank([[0.2, 0.1, 0.0], [0.1, 0.2, 0.0]], 0.7, size=3), (4, 5, 3)),
    "gabor 4": (gabor.bank([[0.2, 0.1, 0.0, 0.1]], 0.6, size=3), (3, 2, 4, 3)),
    "gaussian 2": (gaussian.bank(sigma=[0.6, 1.0], ndim=2), (6, 7)),
}


def launched(function):
    """What a function answers, and the kernels it launched."""
    names, launch = [], _triton.launch
    _triton.launch = lambda kernel, *given, **options: (
        names.append(kernel.__name__),
        launch(kernel, *given, **options),
    )
    try:
        return function(), names
    finally:
        _triton.launch = launch


def compared(bank, x, **options):
    """A bank's answers by kernels are those without; the kernels there were."""
    with torch.no_grad():
        y, names = launched(lambda: bank(x, **options))
        interpreted(False)
        true, none = launched(lambda: bank(x, **options))
        interpreted()
    assert not none
    assert y.dtype == true.dtype
    torch.testing.assert_close(y, true, rtol=1e-10, atol=1e-12)
    return names


@case
def banks_answer_by_passes_as_they_do_without():
    borders, outputs = ["zeros", "reflect", "circular", "symmetric"], list(OUTPUTS)
    for row, (name, (bank, size)) in enumerate(BANKS.items()):
        for stride in (1, 2 + row % 3):
            x = made(2, 2 - len(size) // 3, *size)
            x = torch.complex(x, x.flip(0)) if row % 2 == stride % 2 else x
            output = outputs[(row + stride) % 5]
            output = "real" if output == "imag" and not (bank.complex or x.is_complex()) else output
            mode = [borders[(row + stride + axis) % 4] for axis in range(bank.ndim)]
            names = compared(bank, x, method="separable", output=output, stride=stride, padding_mode=mode)
            assert names == ["filtered"] * bank.ndim, name


@case
def banks_answer_by_folded_spectra_as_they_do_without():
    for row, (bank, size) in enumerate(BANKS.values()):
        x = made(1, 2, *size)
        for stride in (1, 2 + row % 3)[: 2 - (row > 2)]:
            names = compared(bank, x, method="spectral", stride=stride, output=["magnitude", "auto"][row % 2])
            assert set(names) == {"folded"}
    made_in_frequency = gabor.log_gabor([[0.2, 0.1]], 0.5)
    assert compared(made_in_frequency, made(1, 1, 6, 6), stride=2) == ["folded"]
    assert set(compared(BANKS["gabor 1"][0], made(1, 1, 9000), method="spectral", stride=4)) == {"folded"}  # in blocks


@case
def what_is_not_finite_and_halves_and_no_rows_at_all():
    bank, size = BANKS["gabor 2"]
    x = made(1, 1, *size).half()
    x[0, 0, 2, 2] = torch.nan
    with torch.no_grad():
        y = bank(x, method="separable", output="energy")
        interpreted(False)
        torch.testing.assert_close(
            y, bank(x, method="separable", output="energy"), equal_nan=True, rtol=1e-3, atol=1e-6
        )
        interpreted()
        assert bank(x[:0], method="separable").shape == (0, 3, *size)
    assert y.isnan().any()
    assert not y.isnan().all()


@case
def n1_a_banks_single_precision_keeps_its_gate():
    for name in ("gabor 1", "gabor 2"):
        bank, size = BANKS[name]
        x = made(1, 1, *size, dtype=torch.float32)
        wide, kernels = x.double(), bank.kernels.detach()
        for method in ("separable", "spectral"):
            with torch.no_grad():
                y = bank(x, method=method)
                true = bank(wide, method="direct")
            if method == "separable":
                terms = 1.0 * kernels[0].numel()
                for taps, found, exact in zip(kernels.abs(), y[0], true[0], strict=True):
                    margin = [k // 2 for k in taps.shape]
                    shape = torch.nn.functional.conv1d if len(size) == 1 else torch.nn.functional.conv2d
                    scale = shape(wide.abs(), taps[None, None].flip(tuple(range(2, taps.ndim + 2))), padding=margin)[
                        0, 0
                    ]
                    assert ((found - exact).abs() <= 1.2e-7 * terms**0.5 * scale).all(), name
            else:
                norm = wide.norm() * kernels.flatten(1).norm(dim=1).max()
                assert (y - true).abs().max() <= 2.5 * 1.2e-7 * norm


@case
def fb6_where_gradients_are_wanted_torchs_own_sums_are_taken():
    bank = gabor.bank([[0.2, 0.1]], 1.0, size=3, learnable=True)
    x = made(1, 1, 5, 5).requires_grad_()
    for method in ("separable", "spectral"):
        y, names = launched(lambda: bank(x, method=method, output="energy"))  # noqa: B023
        assert not names
        assert torch.autograd.grad(y.sum(), [x, bank.frequency])[1].abs().max() > 0


@case
def a_bank_goes_in_groups_to_the_same_bits_and_too_little_memory_is_refused():
    bank, most = BANKS["gabor 2"][0], _passes.LAUNCH
    x, run = made(1, 1, 7, 6), lambda: bank(x, method="separable", output="energy")
    with torch.no_grad():
        y, names = launched(run)
        _passes.LAUNCH = 1
        found, more = launched(run)
        _passes.LAUNCH = most
        assert (len(names), len(more)) == (2, 6)
        assert torch.equal(found, y)
        with pytest.raises(ValueError, match="too little"):
            bank(x, method="separable", output="energy", memory=y.numel() * 8)


@case
def n14_a_space_too_large_for_32_bits_is_left_to_the_twins():
    line, x = torch.zeros(2, 5), torch.zeros(1).expand(1, 1000, 1000, 1000)
    assert passes.usable(x.expand(9, -1, -1, -1), [line] * 3)
    assert not passes.usable(torch.zeros(1).expand(1, 1000, 1000, 1080), [line] * 3)
    assert not passes.usable(x, [line.double()] * 3)
    assert not folding.usable(torch.zeros(1, dtype=torch.complex64).expand(1, 1000, 1000, 1080), [])
    assert not folding.usable(spectrum_of((2, 2, 2, 2, 2), 1), [])


@case
def n17_the_ops_pass_torchs_own_check():
    given = run_of(PASSES[2])
    y = torch.zeros(2, 3, given[5], 4, dtype=DOUBLE)
    line = [spectrum_of((1, n), 2) for n in (4, 6)]
    calls = {
        passes.filtered: given,
        passes.answered: (*given[:5], y, "energy"),
        folding._op: (spectrum_of((4, 6), 1), line, [2, 1]),
    }
    for op, each in calls.items():
        assert op in {known for known, _ in _triton.OPS}
        torch.library.opcheck(op.overload, each, test_utils=("test_schema", "test_faketensor"))
        assert torch._C._dispatch_has_kernel_for_dispatch_key(op.name, "CUDA")


def test_the_kernels_interpreted_are_their_twins():
    assert not failures(__file__)


def test_on_a_gpu_short_filters_go_by_passes_and_large_strides_through_spectra(monkeypatch):
    monkeypatch.setattr(FilterBank, "device", torch.device("cuda"))
    monkeypatch.setattr(_passes, "at_hand", lambda: True)
    bank, rows = gabor.bank(gabor.directions(13, 3) * 0.1, 4.0, size=25), torch.empty(1, 256, 256, 256, device="meta")

    def ranked(stride):
        call = Call((stride,) * 3, ("zeros",) * 3, 0.0, (256 // stride,) * 3, None)
        return (
            _respond._ranked(bank, rows, call, False),
            _passes.cost(bank, rows, call),
            _spectra.cost(bank, rows, call),
        )

    order, passed, folded = ranked(1)
    assert order == ["separable", "spectral", "direct"]
    assert 5e-3 < passed < folded < 2e-2
    monkeypatch.setattr(_passes, "at_hand", lambda: False)  # matrices
    assert ranked(1)[0] == ["spectral", "separable", "direct"]


if __name__ == "__main__":
    main()
