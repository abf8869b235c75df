"""Directions of waves: unit vectors over half of the sphere, a wave and its opposite being one; frames."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from torch import Tensor

from sigconv import nd

GOLDEN = (1 + math.sqrt(5)) / 2


def directions(n: int, ndim: int) -> Tensor:
    """n directions spread evenly over half of the sphere in ndim dimensions: float64 (n, ndim) unit vectors.

    One dimension has one direction. In two they are the angles kπ/n from axis 0 towards axis 1. In three, 6, 10 and 15
    are the vertex, face and edge axes of the icosahedron (31 all of them), 3 the axes themselves, and other numbers a
    spherical Fibonacci spiral. Beyond, points of a low-discrepancy sequence that have pushed each other apart.
    Deterministic. ValueError for more than one direction in one dimension.

    >>> directions(2, 2)
    tensor([[1.0000e+00, 0.0000e+00],
            [6.1232e-17, 1.0000e+00]], dtype=torch.float64)
    >>> directions(6, 3).shape
    torch.Size([6, 3])

    Source: C.3.
    """
    n, ndim = nd.count(n, "directions"), nd.count(ndim, "ndim")
    if ndim == 1:
        if n > 1:
            raise ValueError(f"directions {n}: one dimension has 1")
        found = np.ones((1, 1))
    elif ndim == 2:
        angles = np.arange(n) * np.pi / n
        found = np.stack([np.cos(angles), np.sin(angles)], 1)
    elif n == ndim:
        found = np.eye(ndim)
    elif ndim == 3:
        found = _icosahedral(n) if n in (6, 10, 15, 31) else _spiral(n)
    else:
        found = _apart(n, ndim)
    return torch.from_numpy(found)


def _icosahedral(n: int) -> np.ndarray:
    """Axes through the vertices, faces and edges of the icosahedron."""
    signs = np.array(list(itertools.product((1.0, -1.0), repeat=2)))
    points = [np.roll((0, a, b * GOLDEN), turn) for turn in range(3) for a, b in signs]
    vertices = _half(np.array(points))
    near = math.cos(math.radians(70))  # neighbours are 63.4 degrees apart
    both = np.concatenate([vertices, -vertices])
    pairs = [(i, j) for i, j in itertools.combinations(range(12), 2) if both[i] @ both[j] > near - 1e-9]
    edges = _half(np.array([both[i] + both[j] for i, j in pairs]))
    joined = set(pairs)
    faces = [t for t in itertools.combinations(range(12), 3) if all(p in joined for p in itertools.combinations(t, 2))]
    centres = _half(np.array([both[list(face)].sum(0) for face in faces]))
    return {6: vertices, 10: centres, 15: edges, 31: np.concatenate([vertices, centres, edges])}[n]


def _half(points: np.ndarray) -> np.ndarray:
    """Unit vectors, one of each opposite pair: the one whose last coordinate that is not zero is positive."""
    points = points / np.linalg.norm(points, axis=1, keepdims=True)
    points = np.where(np.abs(points) < 1e-12, 0.0, points)
    kept: list[np.ndarray] = []
    for point in points:
        last = point[np.flatnonzero(point)[-1]]
        point = point if last > 0 else -point
        if not any(np.allclose(point, other) for other in kept):
            kept.append(point)
    return np.array(kept)


def _spiral(n: int) -> np.ndarray:
    """Spherical Fibonacci on the upper half."""
    i = np.arange(n)
    z = (i + 0.5) / n
    around = i * math.pi * (3 - math.sqrt(5))
    flat = np.sqrt(1 - z * z)
    return np.stack([flat * np.cos(around), flat * np.sin(around), z], 1)


def _apart(n: int, ndim: int, rounds: int = 200) -> np.ndarray:
    """Points of a generalised golden sequence, on the sphere, that push one another and their opposites away."""
    from scipy.special import ndtri

    root = 1.5
    for _ in range(60):
        root = (1 + root) ** (1 / (ndim + 1))
    steps = root ** -np.arange(1, ndim + 1)
    points = ndtri((0.5 + np.outer(np.arange(1, n + 1), steps)) % 1)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    step = 0.5 / n
    for turn in range(rounds):
        others = np.concatenate([points, -points])
        apart = points[:, None] - others[None]
        far = np.linalg.norm(apart, axis=2)
        push = (apart / np.where(far < 1e-9, np.inf, far)[..., None] ** 3).sum(1)
        push -= (push * points).sum(1, keepdims=True) * points
        points = points + step * (1 - turn / rounds) * push / max(np.linalg.norm(push, axis=1).max(), 1e-12)
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    return np.where(points[:, -1:] < 0, -points, points)


def frame(u: Tensor) -> Tensor:
    """An orthonormal frame whose first column is u: (…, ndim) unit vectors -> (…, ndim, ndim), the same each time.

    A reflection that takes the first axis to u, its sign chosen so that it never divides by nearly nothing.

    >>> frame(torch.tensor([0.0, 1.0]))
    tensor([[0., 1.],
            [1., 0.]])
    """
    ndim = u.shape[-1]
    eye = torch.eye(ndim, dtype=u.dtype, device=u.device)
    sign = torch.where(u[..., :1] > 0, -1.0, 1.0).to(u)  # reflect to -u where u is near the first axis, then turn it
    v = sign * u - eye[0]
    length = v.square().sum(-1, keepdim=True).unsqueeze(-1)
    reflection = eye - 2 * v.unsqueeze(-1) * v.unsqueeze(-2) / length
    first = torch.cat([sign, torch.ones_like(u[..., 1:])], -1).unsqueeze(-2)
    return reflection * first
