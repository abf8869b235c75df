"""Classifiers made fully convolutional: the map of answers is the classifier slid over the input."""

import itertools

import pytest
import torch
from torch import nn

from sigconv import models
from sigconv.models import fcn

SIZES = {1: (26,), 2: (22, 30), 3: (22, 18, 26), 4: (18, 22, 18, 18)}


def slid(model, x, window, step):
    """A classifier asked at every place, one crop after the other: (batch, classes, *positions)."""
    starts = [range(0, n - window + 1, step) for n in x.shape[2:]]
    crops = [x[(..., *(slice(s, s + window) for s in place))] for place in itertools.product(*starts)]
    answers = torch.stack([model(crop) for crop in crops], -1)
    return answers.unflatten(-1, [len(s) for s in starts])


def small(ndim, padding, activation="relu"):
    torch.manual_seed(ndim)
    options = {"ndim": ndim, "padding": padding, "size": 18, "activation": activation}
    return models.from_pattern("C3D4 R P C3D6 R P F12 R D F8 R", 2, 5, **options).double().eval()


def signal(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("activation", ["relu", "maxout"])
@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_st6_ar17_the_map_is_the_classifier_slid_over_the_input(ndim, activation):
    model, x = small(ndim, "valid", activation), signal(2, 2, *SIZES[ndim])
    answers = fcn.convert(model, output="map")(x)
    assert answers.shape == (2, 5, *((n - 18) // 4 + 1 for n in SIZES[ndim]))
    torch.testing.assert_close(answers, slid(model, x, 18, 4), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(fcn.convert(model)(x), answers.flatten(2).mean(2))  # dense evaluation


@pytest.mark.parametrize(("ndim", "size"), [(1, (278,)), (2, (214, 246))])
def test_st6_ar17_vgg11_slid_in_steps_of_32(ndim, size):
    torch.manual_seed(0)
    options = {"ndim": ndim, "width": 1 / 64, "classes": 3, "padding": "valid", "parts": 2}
    model = models.vgg.build("A", **options).double().eval()
    x = signal(1, 3, *size)
    answers = fcn.convert(model, output="map")(x)
    assert answers.shape[2:] == tuple((n - 182) // 32 + 1 for n in size)
    torch.testing.assert_close(answers, slid(model, x, 182, 32), rtol=1e-9, atol=1e-12)


def test_st6_zeros_padded_inside_make_crops_differ_but_for_the_whole_input():
    model = small(2, "same")
    dense = fcn.convert(model, output="map")
    whole = signal(1, 2, 18, 18)
    torch.testing.assert_close(dense(whole)[..., 0, 0], model(whole))
    x = signal(1, 2, 26, 26)
    assert not torch.allclose(dense(x), slid(model, x, 18, 4), rtol=1e-3)


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("n", [32, 100])
def test_ar17_no_larger_than_the_classifiers_size_both_answer_alike(ndim, n):
    torch.manual_seed(0)
    size = (n, *[40] * (ndim - 1))
    model = models.vgg.build("A", ndim=ndim, width=1 / 64, classes=3).double().eval()
    x = signal(2, 3, *size)
    torch.testing.assert_close(fcn.convert(model)(x), model(x))


def test_ar17_vgg11_at_224_and_beyond():
    with torch.device("meta"):
        net = fcn.build("A", output="map")
        for size, positions in (((224, 224), (1, 1)), ((384, 512), (6, 10))):
            assert net(torch.empty(1, 3, *size)).shape == (1, 1000, *positions)
    kernels = [layer.kernel_size for layer in net.classifier if hasattr(layer, "kernel_size")]
    assert kernels == [(7, 7), (1, 1), (1, 1)]


def test_st6_weights_are_copied_and_training_is_kept():
    model = small(1, "valid").train()
    dense = fcn.convert(model)
    assert dense.training
    assert sum(p.numel() for p in dense.parameters()) == sum(p.numel() for p in model.parameters())
    with torch.no_grad():
        for p in dense.parameters():
            p.zero_()
    assert all(p.abs().max() > 0 for name, p in model.named_parameters() if name.endswith("weight"))


def test_st6_what_has_no_such_halves_is_refused():
    with pytest.raises(TypeError, match="model is a Linear"):
        fcn.convert(nn.Linear(3, 3))
    with pytest.raises(TypeError, match="model is a Sequential"):
        fcn.convert(models.from_pattern("CRP", 1, 2))
    with pytest.raises(TypeError, match="no convolutions before linear"):
        fcn.convert(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))
    with pytest.raises(ValueError, match="12 values are not 4 channels"):
        fcn.convert(uneven())
    with pytest.raises(ValueError, match="output 'sum' is not one of"):
        fcn.build(width=1 / 64, output="sum")


def uneven():
    """Three positions on one axis, one on the other."""
    return nn.Sequential(*models.from_pattern("C3D4", 1), nn.Flatten(), nn.Linear(12, 2))
