"""The parameters of OpenCV and scikit-image, turned into ours and back.

Both speak of images: x is axis 1, y is axis 0 and points down, theta turns from x towards y. Ours are wave vectors
along the array's axes, so u = (sin theta, cos theta).
"""

from __future__ import annotations

import math
from typing import Any

import torch

from sigconv.filters._bank import FilterBank
from sigconv.filters.gabor._bandwidth import sigma_of
from sigconv.filters.gabor._wave import Gabor, bank


def from_opencv(
    ksize: tuple[int, int], sigma: float, theta: float, lambd: float, gamma: float, psi: float = math.pi / 2
) -> FilterBank:
    """The filter of cv2.getGaborKernel(ksize, sigma, theta, lambd, gamma, psi), as a bank of one.

    OpenCV writes its kernel turned over in both axes, for filter2D correlates: bank.kernels.real[0].flip(0, 1) is its
    array, and bank(x, output="real") what filter2D answers with it. ksize is (width, height); even sizes grow by one,
    as there; sizes of 0 take three sigmas. Nothing is normalised; the envelope is sigma / gamma wide across the wave.

    >>> from_opencv((21, 21), 4.0, 0.5, 10.0, 0.5).kernels.shape
    torch.Size([1, 21, 21])

    Source: C.1.
    """
    if not (lambd > 0 and gamma > 0):
        raise ValueError(f"lambd {lambd}, gamma {gamma} must be above 0")
    along, across = (abs(math.cos(theta)), abs(math.sin(theta)))
    width = ksize[0] // 2 if ksize[0] > 0 else round(max(3 * sigma * along, 3 * sigma / gamma * across))
    height = ksize[1] // 2 if ksize[1] > 0 else round(max(3 * sigma * across, 3 * sigma / gamma * along))
    wave = [[math.sin(theta) / lambd, math.cos(theta) / lambd]]
    widths: Any = sigma if gamma == 1 else [[sigma, sigma / gamma]]
    return bank(wave, widths, size=(2 * height + 1, 2 * width + 1), phase=psi, normalize="none")


def to_opencv(bank: FilterBank) -> list[dict[str, Any]]:
    """What cv2.getGaborKernel takes for each filter of a 2-D Gabor bank: ksize sigma theta lambd gamma psi, in samples.

    >>> to_opencv(from_opencv((21, 21), 4.0, 0.5, 10.0, 0.5))[0]["gamma"]
    0.5
    """
    return [
        {
            "ksize": (width, height),
            "sigma": sigma,
            "theta": theta,
            "lambd": 1 / frequency,
            "gamma": sigma / across,
            "psi": phase,
        }
        for (height, width), frequency, theta, sigma, across, phase in _polar(bank)
    ]


def from_skimage(
    frequency: float,
    theta: float = 0.0,
    bandwidth: float = 1.0,
    sigma_x: float | None = None,
    sigma_y: float | None = None,
    n_stds: float = 3,
    offset: float = 0.0,
) -> FilterBank:
    """The filter of skimage.filters.gabor_kernel, as a bank of one: its kernel is bank.kernels[0], complex.

    skimage's sigma_x lies along the wave and sigma_y across; both come from bandwidth where not given. Its envelope is
    divided by 2π·sigma_x·sigma_y; it convolves as a bank does.

    >>> from_skimage(0.1).kernels.shape
    torch.Size([1, 35, 35])

    Source: C.1.
    """
    along = sigma_of(bandwidth, frequency) if sigma_x is None else sigma_x
    across = sigma_of(bandwidth, frequency) if sigma_y is None else sigma_y
    c, s = abs(math.cos(theta)), abs(math.sin(theta))
    width = math.ceil(max(n_stds * along * c, n_stds * across * s, 1))
    height = math.ceil(max(n_stds * across * c, n_stds * along * s, 1))
    wave = [[frequency * math.sin(theta), frequency * math.cos(theta)]]
    size = (2 * height + 1, 2 * width + 1)
    widths: Any = along if along == across else [[along, across]]
    return bank(wave, widths, size=size, phase=offset, normalize="area")


def to_skimage(bank: FilterBank) -> list[dict[str, float]]:
    """What skimage.filters.gabor_kernel takes for each filter of a 2-D Gabor bank, in samples.

    >>> round(to_skimage(from_skimage(0.1, theta=0.5))[0]["theta"], 6)
    0.5
    """
    return [
        {"frequency": frequency, "theta": theta, "sigma_x": sigma, "sigma_y": across, "offset": phase}
        for _, frequency, theta, sigma, across, phase in _polar(bank)
    ]


def _polar(bank: FilterBank) -> list[tuple[Any, float, float, float, float, float]]:
    """Size, frequency, theta, sigma along and across, and phase of every filter, in samples."""
    if not isinstance(bank, Gabor) or bank.ndim != 2 or len(set(bank.fs)) > 1:
        raise TypeError(f"{bank!r} is not a 2-D Gabor bank of one sampling rate: others have no such parameters")
    waves = bank.value("frequency").detach() / bank.fs[0]
    sigma = (bank.value("sigma").detach() * bank.fs[0]).expand(-1, 2)
    length = torch.linalg.vector_norm(waves, dim=1)
    theta = torch.atan2(waves[:, 0], waves[:, 1])
    rows = zip(length, theta, sigma[:, 0], sigma[:, 1], bank.value("phase").detach(), strict=True)
    return [(bank.kernel_size, *(number.item() for number in row)) for row in rows]
