"""Where the GPU checks run: on CUDA, or where $SIGCONV_TEST_DEVICE says, so that the same bodies run on a CPU.

python -m pytest -m gpu                               on a GPU
SIGCONV_TEST_DEVICE=cpu python -m pytest -m gpu       the same where there is none, save what is of CUDA alone
"""

import os

import pytest
import torch

DEVICE = os.environ.get("SIGCONV_TEST_DEVICE", "cuda")
CUDA = torch.device(DEVICE).type == "cuda"
MISSING = CUDA and not torch.cuda.is_available()
GPU = [pytest.mark.gpu, pytest.mark.skipif(MISSING, reason="no CUDA device here")]
OF_CUDA = pytest.mark.skipif(not CUDA, reason="of CUDA alone")
EPS = {kind: torch.finfo(kind).eps for kind in (torch.float64, torch.float32, torch.float16, torch.bfloat16)}


def made(*size, seed=0, dtype=torch.float64):
    """Normal numbers, the same on every machine: drawn on the CPU."""
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def parts(answer):
    """An answer's tensors, however they are kept."""
    if isinstance(answer, torch.Tensor):
        return [answer]
    answer = answer.values() if isinstance(answer, dict) else answer
    return [part for one in answer for part in parts(one)]


def far(found, exact):
    """The largest difference, as a part of the largest value."""
    found, exact = found.detach().cpu(), exact.detach().cpu()
    wide = torch.complex128 if exact.is_complex() else torch.float64
    if not exact.numel():
        return 0.0
    return float((found.to(wide) - exact.to(wide)).abs().max() / exact.abs().max().clamp_min(1e-30))
