"""What calls take of a GPU's memory: no more than the plan said, no more than they were told to keep to.

Run with: python -m pytest -m gpu        On a CPU: SIGCONV_TEST_DEVICE=cpu python -m pytest -m gpu
"""

import pytest
import torch
from on_device import CUDA, DEVICE, GPU, far, made

import sigconv as sc
from sigconv.benchmarks import _clock
from sigconv.filters import gabor

pytestmark = GPU

SLACK = 2 << 20 if CUDA else 24 << 20  # bytes: blocks are rounded up; a process has more to grow by
CASES = [
    ((1, 1, 3_000_001), (1, 1, 31), {}),
    ((4, 8, 100_001), (16, 8, 9), {"stride": 2}),
    ((2, 1, 1201, 1203), (2, 1, 25, 25), {"padding": "same"}),
    ((1, 4, 90, 91, 89), (8, 4, 3, 3, 3), {"padding": 1}),
    ((2, 8, 63, 65, 66), (8, 1, 5, 5, 5), {"padding": 2, "groups": 8}),
]


def taken(work):
    """Bytes at the peak of the second call: what is loaded and compiled once is not the call's."""
    with torch.no_grad():
        work()
        found = _clock.peak(work, torch.device(DEVICE).type)
    if found is None:
        pytest.skip("the system does not tell a process's peak memory")
    return found


@pytest.mark.parametrize(("size", "kernel", "options"), CASES, ids=str)
def test_no_method_takes_more_than_the_plan_said(size, kernel, options):
    if not CUDA:
        pytest.importorskip("numba", reason="without numba a CPU takes torch's own way, and more than the plan said")
    x, weight = (made(*shape, seed=shape[-1], dtype=torch.float32).to(DEVICE) for shape in (size, kernel))
    plan = sc.plan(x, weight, **options)
    fair = [row for row in plan.candidates if not row.refused and row.seconds < 2 and row.memory < 2 << 30]
    assert plan.method in [row.method for row in fair]
    for row in fair:
        work = lambda method=row.method: sc.conv(x, weight, **options, method=method)
        assert taken(work) <= row.memory + SLACK, row.method


@pytest.mark.parametrize("cap", [60_000_000, 120_000_000])
def test_a_call_told_to_keep_to_so_many_bytes_does_and_answers_the_same(cap):
    x = made(1, 1, 3_000_001, dtype=torch.float32).to(DEVICE)
    weight = made(3, 1, 31, seed=1, dtype=torch.float32).to(DEVICE)
    y = sc.conv(x, weight)
    assert taken(lambda: sc.conv(x, weight, memory=cap)) <= cap + SLACK
    assert far(sc.conv(x, weight, memory=cap), y) < 1e-5


@pytest.mark.parametrize("stride", [1, 3])
def test_a_bank_told_to_keep_to_so_many_bytes_does_and_answers_the_same(stride):
    bank = gabor.pyramid(3, wavelengths=(4, 6), directions=7).to(DEVICE)
    x = made(1, 1, 70, 66, 71, dtype=torch.float32).to(DEVICE)
    options = {"output": "energy", "stride": stride}
    cap = 200_000_000
    with torch.no_grad():
        y = bank(x, **options)
        assert taken(lambda: bank(x, memory=cap, **options)) <= cap + SLACK
        assert far(bank(x, memory=cap, **options), y) < 1e-4


def test_poolings_take_no_more_than_a_few_answers():
    x = made(2, 8, 63, 65, 66, dtype=torch.float32).to(DEVICE)
    for pool in (sc.max_pool, sc.avg_pool):
        assert taken(lambda pool=pool: pool(x, 3, 1, padding=1)) <= 6 * x.nbytes + SLACK
