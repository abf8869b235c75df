"""Every count the lectures print (PC1 to PC19), taken from layers that are built, not from formulas."""

import pytest
import torch
from torch import nn

import sigconv as sc
from sigconv import models


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def meta(build):
    """Something of any size, without its memory."""
    with torch.device("meta"):
        return build()


def conv(*args, **options):
    return meta(lambda: sc.Conv(*args, ndim=2, **options))


def linear(*args, **options):
    return meta(lambda: nn.Linear(*args, **options))


@pytest.mark.parametrize(
    ("layer", "number"),
    [
        pytest.param(lambda: linear(512**2, 8), 2_097_160, id="pc1"),
        pytest.param(lambda: conv(1, 8, 5, bias=False), 200, id="pc2"),
        pytest.param(lambda: conv(1, 8, 5), 208, id="pc2-bias"),
        pytest.param(lambda: linear(32 * 32 * 3, 28 * 28 * 25, bias=False), 60_211_200, id="pc3"),
        pytest.param(lambda: linear(32 * 32 * 3, 28 * 28 * 25), 60_211_200 + 19_600, id="pc3-bias"),
        pytest.param(lambda: conv(3, 25, 5, bias=False), 1_875, id="pc4"),
        pytest.param(lambda: conv(3, 25, 5), 1_900, id="pc4-bias"),
        pytest.param(lambda: conv(3, 1, 3, bias=False), 27, id="pc7"),
        pytest.param(lambda: conv(384, 384, 3, bias=False), 1_327_104, id="pc10"),
        pytest.param(lambda: conv(384, 384, 3, bias=False, groups=2), 663_552, id="pc10-grouped"),
        pytest.param(lambda: linear(13 * 13 * 384, 4096, bias=False), 265_814_016, id="pc11"),
        pytest.param(lambda: linear(6 * 6 * 256, 4096, bias=False), 37_748_736, id="pc11-e11-fc6"),
        pytest.param(lambda: models.build("mnist1d:cnn"), 2_050, id="pc13"),
        pytest.param(lambda: models.build("mnist1d:dense"), 59_065, id="pc14"),
        pytest.param(lambda: models.build("mnist1d:mlp"), 15_210, id="pc15"),
        pytest.param(lambda: linear(6, 6, bias=False), 36, id="pc16"),
        pytest.param(lambda: linear(7, 7), 7**2 + 7, id="pc17-dense"),
        pytest.param(lambda: sc.Conv1d(1, 1, 3), 3 + 1, id="pc17-conv"),
    ],
)
def test_pc1_pc2_pc3_pc4_pc7_pc10_pc11_pc13_pc14_pc15_pc16_pc17_counts_are_those_of_the_lectures(layer, number):
    assert count(layer()) == number


def test_pc4_the_ratio_of_dense_to_convolutional_weights():
    assert 60_211_200 / 1_875 == 32_112.64


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_pc5_a_layer_has_in_times_out_times_taps_weights_and_out_biases(ndim):
    assert count(sc.Conv(6, 5, 3, ndim=ndim)) == 6 * 5 * 3**ndim + 5


def test_pc6_maps_in_and_out_times_the_windows_extents():
    assert count(conv(3, 8, (5, 7), bias=False)) == 3 * 8 * 5 * 7


def test_pc8_a_1x1_convolution_has_in_times_out_weights():
    assert count(conv(64, 16, 1, bias=False)) == count(linear(64, 16, bias=False)) == 64 * 16


def test_pc9_e10_three_layers_of_3_by_3_against_one_of_7_by_7():
    for channels in (1, 12):
        three = 3 * count(conv(channels, channels, 3, bias=False))
        one = count(conv(channels, channels, 7, bias=False))
        assert (three, one) == (27 * channels**2, 49 * channels**2)
    stack = nn.Sequential(*[sc.Conv(1, 1, 3, ndim=2) for _ in range(3)])
    assert sc.receptive_field(stack).size == sc.receptive_field(sc.Conv(1, 1, 7, ndim=2)).size == (7, 7)


def test_pc12_lenets_units():
    units = [row.shape[1:] for row in sc.describe(meta(lambda: models.build("lenet")), (1, 1, 32, 32)) if row.macs]
    assert [torch.Size(shape).numel() for shape in units[:2]] == [4_704, 1_600]


def test_pc12_lenets_partial_connections_are_what_is_counted():
    c3 = next(
        row for row in sc.describe(meta(lambda: models.build("lenet:1998")), (1, 1, 32, 32)) if row.parameters == 1_516
    )
    assert c3.macs == 1_500 * 10 * 10


def test_pc13_ar21_layer_by_layer():
    rows = sc.describe(models.build("mnist1d:cnn"), (1, 1, 40))
    assert [row.parameters for row in rows if row.parameters] == [60, 690, 690, 610]
    assert [row.shape[-1] for row in rows if row.parameters][:3] == [19, 9, 4]


def test_pc18_twenty_filters_of_three_channels_are_sixty_slices():
    weight = conv(3, 20, 5).weight
    assert weight.flatten(0, 1).shape[0] == 60


NIELSEN = [79_510, 289_630, 29_330, 85_670, 95_770, 1_672_570]


def test_pc19_nielsens_nets():
    built = [count(meta(lambda v=variant: models.nielsen.build(v))) for variant in models.nielsen.VARIANTS]
    assert sorted(built) == sorted(NIELSEN)
