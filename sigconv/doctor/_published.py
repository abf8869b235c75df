"""Golden answers that the lectures print, or that follow by hand: whole numbers and fractions all precisions hold."""

from __future__ import annotations

from typing import Any

S1 = (  # the matrix printed in the lecture
    (6, 3, 4, 4, 5, 0, 3),
    (4, 7, 4, 0, 4, 0, 4),
    (7, 0, 2, 3, 4, 5, 2),
    (3, 7, 5, 0, 3, 0, 7),
    (5, 8, 1, 2, 5, 4, 2),
    (8, 0, 1, 0, 6, 0, 0),
    (6, 4, 1, 3, 0, 4, 5),
)
KERNEL = ((1, 0, 1), (1, 0, 0), (0, 0, 2))

PUBLISHED: dict[str, dict[str, Any]] = {
    "lecture's correlation": {  # CV21, C.9
        "x": S1,
        "weight": KERNEL,
        "options": {},
        "y": (
            (18, 20, 21, 14, 16),
            (25, 7, 16, 3, 26),
            (14, 14, 21, 16, 13),
            (15, 15, 21, 2, 15),
            (16, 16, 7, 14, 23),
        ),
    },
    "lecture's convolution": {  # CV12, C.9
        "x": S1,
        "weight": KERNEL,
        "options": {"flip": True},
        "y": (
            (25, 9, 18, 16, 20),
            (18, 24, 20, 5, 20),
            (25, 10, 13, 12, 22),
            (16, 16, 22, 4, 14),
            (18, 23, 9, 11, 15),
        ),
    },
    "block with block": {  # CV25: a triangle
        "x": (1, 1, 1, 1),
        "weight": (1, 1, 1, 1),
        "options": {"padding": "full"},
        "y": (1, 2, 3, 4, 3, 2, 1),
    },
    "small Gaussian": {  # CV14: 1 4 6 4 1 over 16, of a step
        "x": (0, 0, 0, 0, 1, 1, 1, 1),
        "weight": (0.0625, 0.25, 0.375, 0.25, 0.0625),
        "options": {"flip": True},
        "y": (0.0625, 0.3125, 0.6875, 0.9375),
    },
    "3000 ones": {  # N5: sums in half precision stand still at 256 or 2048
        "x": (1,) * 3010,
        "weight": (1,) * 3000,
        "options": {},
        "y": (3000,) * 11,
    },
}
