"""What a run was trained on: lists of files that differ anywhere differ, what is in memory is known as it ever was."""

import hashlib

import pytest
import torch

from sigconv.datasets._parts import Arrays
from sigconv.train.fingerprint import fingerprint
from sigconv.transforms import augment


class Listed:
    """Files by name, all of one content."""

    classes = ("a", "b")

    def __init__(self, names, y):
        self.names, self.y = list(names), torch.as_tensor(y)

    def __len__(self):
        return len(self.names)

    def item(self, index, generator=None):
        return torch.zeros(1, 4), torch.tensor(0)


class Plain:
    """Items made when they are asked for, and nothing else."""

    def __init__(self, arrays):
        self.arrays, self.classes = arrays, arrays.classes

    def __len__(self):
        return len(self.arrays)

    def item(self, index, generator=None):
        return self.arrays.item(index, generator)


def wrapped(dataset, times):
    for _ in range(times):
        dataset = augment.Augmented(dataset, lambda x, generators: x)
    return dataset


@pytest.mark.parametrize("times", [0, 1, 2])
def test_lists_that_differ_beside_the_eight_items_are_told_apart(times):
    names = [f"{number}.wav" for number in range(100)]
    y = torch.arange(100) % 2
    swapped, other = [*names], y.clone()
    swapped[3], swapped[5] = names[5], names[3]
    other[3] = 0
    seen = [fingerprint(wrapped(Listed(*lists), times)) for lists in ((names, y), (swapped, y), (names, other))]
    assert len({one["sha256"] for one in seen}) == 3
    assert {one["items"] for one in seen} == {100}
    assert fingerprint(wrapped(Listed(names, y), times)) == seen[0]


def test_mixtures_are_known_by_the_lists_within():
    names = [f"{number}.wav" for number in range(100)]
    y = torch.zeros(100, dtype=torch.long)
    one, other = (augment.Mixup(Listed(order, y), 0.2) for order in (names, names[::-1]))
    assert fingerprint(one) != fingerprint(other)


def test_what_was_known_by_its_items_still_is():
    """By the definition that runs of before were begun with: they go on by it."""
    x, y = torch.arange(24.0).reshape(6, 1, 4), torch.tensor([0, 1, 0, 1, 1, 0])
    arrays = Arrays(x, y, ("a", "b"))
    found = hashlib.sha256(b"6 ['a', 'b']")
    found.update(b"torch.float32 (6, 1, 4) " + x.numpy().tobytes() + b"torch.int64 (6,) " + y.numpy().tobytes())
    assert fingerprint(arrays)["sha256"] == found.hexdigest()
    plain = Plain(arrays)
    found = hashlib.sha256(b"6 ['a', 'b']")
    for index in range(6):
        found.update(b"torch.float32 (1, 4) " + x[index].numpy().tobytes())
        found.update(b"torch.int64 () " + y[index].numpy().tobytes())
    assert fingerprint(plain)["sha256"] == found.hexdigest()
    assert fingerprint(wrapped(arrays, 1))["sha256"] == found.hexdigest(), "what is around data in memory, too"
