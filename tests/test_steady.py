"""What is kept of a bank is what it would compute anew: never after a change, never where a derivative is asked for."""

import copy

import numpy as np
import pytest
import torch

from sigconv import tiles
from sigconv.filters import gabor, laws
from sigconv.filters._steady import forget, keep, made, steady
from sigconv.tiles._bank import BankWork
from sigconv.tiles._regions import Border


def learnable():
    return gabor.bank([[0.1, 0.0], [0.0, 0.2]], sigma=2.0, learnable=True).double()


@pytest.mark.parametrize("what", ["terms", "taps"])
def test_kept_once_and_for_all_and_only_meanwhile(what):
    bank, calls = learnable(), []
    plain = getattr(bank, what)
    setattr(bank, what, lambda: calls.append(what) or plain())
    with torch.no_grad(), steady(bank):
        assert made(bank, what) is made(bank, what)
        assert calls == [what]
    with torch.no_grad():
        made(bank, what)
    assert calls == [what, what]


def test_derivatives_are_of_the_parameters_even_while_it_is_kept():
    bank, x = learnable(), torch.randn(1, 1, 20, 20, dtype=torch.float64)
    keep(bank)
    with torch.no_grad():
        y = bank(x, output="energy")
    again = bank(x, output="energy")
    again.sum().backward()
    assert torch.equal(y, again)
    assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in bank.parameters())
    forget(bank)


def test_a_bank_that_is_moved_or_cast_forgets():
    bank, x = learnable(), torch.randn(1, 1, 20, 20, dtype=torch.float64)
    with torch.no_grad(), steady(bank):
        bank(x)
        bank.float()
        assert made(bank, "taps").dtype == torch.complex64
        assert bank._made is not None


def test_large_kernels_are_not_held():
    bank = gabor.pyramid(3, wavelengths=(16,), directions=6)
    with torch.no_grad(), steady(bank):
        made(bank, "taps")
        assert "taps" not in bank._made


def test_tiles_leave_nothing_behind_and_see_a_change_of_parameters():
    bank, x = learnable(), np.random.default_rng(0).normal(size=(30, 40))
    before = tiles.apply(bank, x, output="energy")
    with torch.no_grad():
        next(iter(bank.parameters())).data.mul_(0.5)
    after = tiles.apply(bank, x, output="energy")
    assert np.abs(after - before).max() > 1e-3
    assert bank.__dict__["_made"] is None
    assert "_made" not in bank.state_dict()


def test_a_source_of_one_block_is_answered_by_the_bank_itself_to_the_bit():
    x = torch.randn(2, 24, 30)
    for mode in ("zeros", "symmetric", "circular"):
        bank = laws.bank("L5E5")
        y = tiles.apply(bank, x, padding_mode=mode, stride=2)
        assert torch.equal(y, bank(x[None], padding_mode=mode, stride=2)[0])


def test_a_block_in_the_midst_that_sees_all_samples_is_not_the_whole():
    bank = gabor.bank([[0.2]], sigma=2.0, size=33)
    x = torch.randn(1, 48)
    work = BankWork(bank, "real", 1, Border(("zeros",)))
    ((first, y),) = work.answered(x, [(0, 48)], [(16, 32)], (48,))
    assert first == 0
    assert torch.allclose(y, bank(x[None], output="real")[0][:, 16:32], atol=1e-6)


def test_a_copy_of_a_bank_that_is_kept_keeps_nothing():
    bank = learnable()
    with torch.no_grad(), steady(bank):
        made(bank, "taps")
        again = copy.deepcopy(bank)
    assert again._made is None
