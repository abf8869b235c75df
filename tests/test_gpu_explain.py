"""What explains a model on a GPU says what it says on the CPU.

Run with: python -m pytest -m gpu        On a CPU: SIGCONV_TEST_DEVICE=cpu python -m pytest -m gpu
"""

import copy

import pytest
import torch
from on_device import DEVICE, GPU, far, made
from torch import nn

import sigconv as sc
from sigconv import explain, models
from sigconv.filters import gabor

pytestmark = GPU

SIZES = {1: (45,), 2: (15, 18), 3: (9, 10, 7)}


def network(ndim):
    torch.manual_seed(0)
    first = [sc.Conv(2, 6, 3, padding="same", ndim=ndim), nn.ReLU(), sc.MaxPool(2)]
    return nn.Sequential(*first, sc.Conv(6, 4, 3, ndim=ndim), nn.ReLU(), sc.GlobalAvgPool(), nn.Linear(4, 3)).eval()


MAPS = {
    "saliency": lambda model, x: explain.saliency(model, x, 1),
    "guided": lambda model, x: explain.saliency(model, x, 1, rule="guided"),
    "deconvnet": lambda model, x: explain.saliency(model, x, 1, rule="deconvnet"),
    "integrated gradients": lambda model, x: explain.integrated_gradients(model, x, 1, steps=8),
    "class activation": lambda model, x: explain.class_activation(model, x, 1, "3"),
    "occlusion": lambda model, x: explain.occlusion(model, x, 1, size=4),
    "features": lambda model, x: explain.features(model, x, "3"),
    "effective field": lambda model, x: explain.effective_field(model[:4], x).map,
    "fantasy": lambda model, x: explain.fantasy(model, tuple(x.shape[1:]), 1, steps=3),
}


@pytest.mark.parametrize("ndim", SIZES)
@pytest.mark.parametrize("name", MAPS)
def test_maps_are_the_cpus(name, ndim):
    model, x = network(ndim), made(2, 2, *SIZES[ndim]).float()
    exact = torch.as_tensor(MAPS[name](copy.deepcopy(model), x))
    found = torch.as_tensor(MAPS[name](model.to(DEVICE), x.to(DEVICE)))
    assert found.shape == exact.shape
    assert far(found, exact) < 1e-3


LETTERS = {
    "mutagenesis": lambda model, x: explain.mutagenesis(model, x),
    "contributions": lambda model, x: explain.contributions(model, x, references=3),
    "saliency of tokens": lambda model, x: explain.saliency(model, x),
}


@pytest.mark.parametrize("name", LETTERS)
def test_what_letters_do_is_the_cpus(name):
    torch.manual_seed(0)
    model = models.build("dna:zeng", classes=1, kernels=8, hidden=0).eval()
    x = torch.randint(0, 4, (3, 61), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    exact = torch.as_tensor(LETTERS[name](copy.deepcopy(model), x))
    found = torch.as_tensor(LETTERS[name](model.to(DEVICE), x.to(DEVICE)))
    assert found.shape == exact.shape
    assert far(found, exact) < 1e-3


def test_neighbours_and_tuning_are_the_cpus():
    features, queries = made(41, 7).float(), made(3, 7, seed=1).float()
    exact = explain.neighbours(features, queries, 4)
    found = explain.neighbours(features.to(DEVICE), queries.to(DEVICE), 4)
    assert far(found[0], exact[0]) < 1e-5
    assert torch.equal(torch.as_tensor(found[1]).cpu(), torch.as_tensor(exact[1]))
    bank = gabor.pyramid(2, wavelengths=[6], directions=4)
    stimuli = explain.gratings((33, 33), 1 / 6, 8)
    exact = torch.as_tensor(explain.tuning_curve(bank, stimuli))
    found = torch.as_tensor(explain.tuning_curve(bank.to(DEVICE), stimuli.to(DEVICE)))
    assert far(found, exact) < 1e-4
