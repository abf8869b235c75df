"""Sizes, margins, borders and windows."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import numpy_pad

from sigconv import nd


@given(st.data())
def test_pd5_every_border_is_that_of_numpy_at_any_width(data):
    ndim = data.draw(st.integers(1, 4))
    x = np.random.default_rng(0).normal(size=data.draw(st.tuples(*[st.integers(1, 4)] * ndim)))
    margins = data.draw(st.tuples(*[st.tuples(st.integers(0, 9), st.integers(0, 9))] * ndim))
    modes = st.sampled_from(nd.PADDING_MODES)
    mode = data.draw(st.one_of(modes, st.tuples(*[modes] * ndim)))
    np.testing.assert_array_equal(
        nd.pad(torch.from_numpy(x), margins, mode, 7.0).numpy(), numpy_pad(x, margins, mode, 7.0)
    )


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 4), st.integers(1, 3), st.sampled_from(nd.PADDINGS))
def test_pd4_twice_the_padding_plus_the_reduction_is_the_span_less_one(n, kernel, stride, dilation, padding):
    reach = dilation * (kernel - 1)
    if padding == "half" and reach % 2:
        with pytest.raises(ValueError, match="odd span"):
            nd.margins(padding, (kernel,), (dilation,))
        return
    margins = nd.margins(padding, (kernel,), (dilation,))
    if n + sum(margins[0]) <= reach:
        return
    (length,) = nd.output_size((n,), (kernel,), (1,), (dilation,), margins)
    assert sum(margins[0]) + (n - length) == reach
    (strided,) = nd.output_size((n,), (kernel,), (stride,), (dilation,), margins)
    assert strided == -(-length // stride), "a strided layer keeps every stride-th position, the first included (PD7)"


def test_pd8_the_extra_sample_of_an_even_same_kernel_comes_after():
    assert nd.margins("same", (4,), (1,)) == ((1, 2),)


@pytest.mark.parametrize(("size", "kernel", "stride"), [(8, 3, 2), (7, 3, 2), (10, 5, 3), (9, 2, 2), (5, 1, 3)])
def test_tf_same_gives_the_length_tensorflow_gives(size, kernel, stride):
    margins = nd.tf_same((size,), kernel, stride)
    assert nd.output_size((size,), (kernel,), (stride,), (1,), margins) == (-(-size // stride),)
    assert 0 <= margins[0][1] - margins[0][0] <= 1


def test_windows_are_a_view_of_every_position():
    x = torch.arange(2 * 5 * 6.0).reshape(2, 5, 6)
    seen = nd.windows(x, (2, 3), (2, 1), (1, 2))
    assert seen.shape == (2, 2, 2, 2, 3)
    assert seen.data_ptr() == x.data_ptr()
    torch.testing.assert_close(seen[1, 1, 1], x[1, 2:4, 1:6:2])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nd.ntuple(2.5, 2, "stride"), "stride 2.5 is not a whole number"),
        (lambda: nd.ntuple(True, 2, "stride"), "stride True is not a whole number"),
        (lambda: nd.ntuple(0, 2, "stride"), "stride 0 must be at least 1"),
        (lambda: nd.ntuple((1, 2, 3), 2, "stride"), r"stride \(1, 2, 3\) has 3 entries for 2 spatial axes"),
        (lambda: nd.margins("smae", (3,), (1,)), "padding 'smae' is not one of .*'same'.*a number of samples"),
        (lambda: nd.margins(-1, (3,), (1,)), "padding -1 must be at least 0"),
        (lambda: nd.margins((1, 2, 3), (3, 3), (1, 1)), "has 3 entries for 2 spatial axes"),
        (lambda: nd.border_modes("mirror", 1), "padding_mode 'mirror' is not one of"),
        (lambda: nd.output_size((5,), (7,), (1,), (2,), ((0, 0),)), "kernel 7 dilated to 13 is larger than the padded"),
        (lambda: nd.output_size((224,), (11,), (4,), (1,), ((0, 0),), strict=True), "stride 4 does not divide 213"),
        (lambda: nd.pad(torch.zeros(0), ((1, 1),), "reflect"), "'reflect' cannot extend an axis of 0 samples"),
    ],
)
def test_errors_carry_the_value_and_its_name(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
