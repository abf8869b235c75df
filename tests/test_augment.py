"""Mixtures of items: what they are made of, that they are functions of (seed, epoch, index), and what is refused."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from strategies import examples
from torch import nn

from sigconv.datasets._parts import Arrays
from sigconv.train import Job, fit, seeds
from sigconv.transforms import augment
from sigconv.transforms.augment._mixing import boxes


def generators(count, epoch=1):
    return [seeds.generator(0, epoch, index) for index in range(count)]


def arrays(n=7, space=(6,), classes=3, dtype=torch.float32):
    x = torch.arange(n * 2 * int(np.prod(space)), dtype=torch.float64).reshape(n, 2, *space)
    return Arrays(x.to(dtype), torch.arange(n) % classes, "abcdefgh"[:classes])


class Jittered:
    """Items with randomness of their own, made one at a time: the least a data set must have."""

    classes = ("a", "b", "c")

    def __init__(self, n=7, space=(6,)):
        self.whole = arrays(n, space)

    def __len__(self):
        return len(self.whole)

    def item(self, index, generator):
        x, y = self.whole.item(index)
        return x + torch.randn(x.shape, generator=generator), y


def jitter(x, generators):
    return x + augment.normals(generators, x)


KINDS = {
    "mixup": lambda: augment.Mixup(arrays(), 0.7),
    "cutmix": lambda: augment.CutMix(arrays()),
    "half": lambda: augment.Mixup(arrays(), 0.7, share=0.5),
    "no batch": lambda: augment.Mixup(Jittered(), 0.7),
    "mixup of augmented": lambda: augment.Mixup(augment.Augmented(arrays(), jitter), 0.7),
    "augmented mixup": lambda: augment.Augmented(augment.Mixup(arrays(), 0.7), jitter),
    "cutmix of augmented": lambda: augment.CutMix(augment.Augmented(arrays(), jitter)),
    "mixup twice": lambda: augment.Mixup(augment.Mixup(arrays(), 0.7), 0.3),
}


@pytest.mark.parametrize("alpha", [0.2, 0.4, 1.0, 4.0])  # of less, too many lie nearer to 1 than numbers do
def test_weights_are_drawn_from_the_beta_distribution(alpha):
    found = augment.betas([seeds.generator(3, 0, index) for index in range(4000)], alpha)
    assert stats.kstest(found.numpy(), stats.beta(alpha, alpha).cdf).pvalue > 0.01
    assert stats.kstest(found.numpy(), stats.beta(2 * alpha + 0.5, alpha).cdf).pvalue < 1e-6


@pytest.mark.parametrize("alpha", [1e-6, 1e-3, 1e3, 1e9])
def test_extreme_alphas_give_weights_all_the_same(alpha):
    found = augment.betas(generators(500), alpha)
    assert bool(((found >= 0) & (found <= 1)).all())
    assert found.std() == pytest.approx(0.5, abs=0.05) if alpha < 1 else found.std() < 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_an_item_is_the_same_alone_in_any_batch_and_in_any_order(kind):
    data, other = KINDS[kind](), KINDS[kind]()
    x, y = data.batch(torch.arange(7), generators(7))
    for index in reversed(range(7)):
        alone = other.item(index, seeds.generator(0, 1, index))
        assert torch.equal(alone[0], x[index])
        assert torch.equal(alone[1], y[index])
    some = torch.tensor([5, 2])
    part = other.batch(some, seeds.Generators(0, 1, some.tolist()))
    assert torch.equal(part[0], x[some])
    assert not torch.equal(data.batch(torch.arange(7), generators(7, epoch=2))[0], x)


def weights_and_partners(data, epochs=200):
    """(item, its weight, its partner, the partner's weight) of items whose labels are their numbers."""
    for epoch in range(epochs):
        x, y = data.batch(torch.arange(len(data)), generators(len(data), epoch))
        for index in range(len(data)):
            yield index, x[index], y[index]


def test_a_mixture_is_the_weighted_mean_of_two_items_and_of_their_labels():
    plain = arrays(5, classes=5, dtype=torch.float64)
    partners = torch.zeros(5, 5)
    for index, x, y in weights_and_partners(augment.Mixup(plain, 1.0)):
        assert y.sum() == pytest.approx(1.0)
        assert (y > 0).sum() <= 2
        torch.testing.assert_close(x, torch.tensordot(y, plain.x, 1))
        partners[index] += y > 0
    others = partners[~torch.eye(5, dtype=bool)]
    assert stats.chisquare(others.numpy()).pvalue > 0.001  # every other item is as likely a partner
    assert others.sum() == pytest.approx(1000 * 4 / 5, abs=50)  # and so is the item itself


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.3, 0.2, 0.4), (1.0, 1.0, 1.0)])
def test_share_is_the_part_of_the_items_that_are_mixed(share, low, high):
    plain = Arrays(torch.randn(50, 3, 4), torch.arange(50), [str(k) for k in range(50)])
    x, y = augment.Mixup(plain, 1.0, share=share).batch(torch.arange(50).repeat(20), generators(1000))
    mixed = (y.amax(1) < 1).double()
    untouched = (x == plain.x.repeat(20, 1, 1)).flatten(1).all(1)
    assert low - 0.04 <= mixed.mean() <= high + 0.01  # a fiftieth are mixed with themselves
    assert torch.equal(untouched, mixed == 0)


def test_what_an_item_and_its_partner_draw_is_independent():
    """Of noise alone, with a weight near a half, a mixture has half the variance: shared draws would leave it all."""
    noise = augment.Augmented(Arrays(torch.zeros(4, 2000), torch.zeros(4).long(), "a"), jitter)
    x, _ = augment.Mixup(noise, 1e9).batch(torch.arange(4), generators(4))
    assert x.var(1).numpy() == pytest.approx(0.5, abs=0.08)
    twice = augment.Mixup(Arrays(torch.zeros(1, 2000), torch.zeros(1).long(), "a"), 1e9)  # its own partner, always
    assert torch.equal(twice.item(0, seeds.generator(0, 0, 0))[0], torch.zeros(2000))
    alone = augment.Mixup(augment.Augmented(twice.dataset, jitter), 1e9).item(0, seeds.generator(0, 0, 0))[0]
    assert alone.var().item() == pytest.approx(0.5, abs=0.08)
    assert not np.corrcoef(x.numpy())[~np.eye(4, dtype=bool)].max() > 0.1


@given(
    space=st.lists(st.integers(1, 7), min_size=1, max_size=4).map(tuple),
    volume=st.floats(0, 1),
    seed=st.integers(0, 2**30),
)
@examples(100)
def test_a_box_is_one_box_no_larger_than_asked_and_anywhere(space, volume, seed):
    inside = boxes(space, torch.tensor([volume], dtype=torch.float64), [torch.Generator().manual_seed(seed)])[0]
    assert inside.shape == space
    sides = [
        int(inside.any(tuple(a for a in range(len(space)) if a != axis)).sum()) if len(space) > 1 else int(inside.sum())
        for axis in range(len(space))
    ]
    assert int(inside.sum()) == (np.prod(sides) if inside.any() else 0)
    wanted = [round(n * volume ** (1 / len(space))) for n in space]
    assert all(side <= most for side, most in zip(sides, wanted, strict=True))


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_a_pasted_box_weighs_in_the_label_what_it_is_of_the_volume(ndim):
    plain = arrays(5, (5,) * ndim, classes=5)
    for index, x, y in weights_and_partners(augment.CutMix(plain), epochs=20):
        own = (x == plain.x[index]).double().mean().item()
        assert y[index] == pytest.approx(own)
        partner = int(torch.where(torch.arange(5) == index, -1.0, y).argmax())
        assert bool(((x == plain.x[index]) | (x == plain.x[partner])).all())
    corner = torch.stack([boxes((9,) * ndim, torch.tensor([0.2]), [seeds.generator(0, 0, k)])[0] for k in range(300)])
    assert corner.any(0).all()  # every place is met


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.float16, torch.float64])
def test_cutmix_takes_items_of_any_kind_and_keeps_it(dtype):
    x, y = augment.CutMix(arrays(5, dtype=dtype)).batch(torch.arange(5), generators(5))
    assert x.dtype == dtype
    assert y.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)


def test_floating_targets_are_mixed_as_x_is_and_labels_of_every_position_become_probabilities_there():
    data = Arrays(torch.arange(6.0)[:, None], 10 * torch.arange(6.0), ())
    x, y = augment.Mixup(data, 1.0).batch(torch.arange(6), generators(6))
    torch.testing.assert_close(10 * x[:, 0], y)
    maps = Arrays(torch.randn(4, 1, 5, 5), torch.randint(0, 3, (4, 5, 5)), "abc")
    x, y = augment.Mixup(maps, 1.0).batch(torch.arange(4), generators(4))
    assert y.shape == (4, 3, 5, 5)
    torch.testing.assert_close(y.sum(1), torch.ones(4, 5, 5))
    assert nn.CrossEntropyLoss(label_smoothing=0.1)(torch.randn(4, 3, 5, 5), y).isfinite()


@pytest.mark.parametrize("loss", [None, nn.CrossEntropyLoss(label_smoothing=0.1)])
def test_fit_learns_from_mixtures_the_same_each_time(loss):
    def trained():
        torch.manual_seed(0)
        model = nn.Linear(2, 3)
        y = torch.arange(60) % 3
        x = torch.tensor([[0.0, 2.0], [2.0, -1.0], [-2.0, -1.0]])[y] + 0.5 * torch.randn(60, 2)
        data = Arrays(x, y, "abc")
        rows = fit(model, augment.Mixup(data, 0.2), data, job=Job(device="cpu"), epochs=4, lr=0.1, loss=loss)
        return rows[-1]["valid_accuracy"], model.weight.detach()

    (accuracy, one), (_, other) = trained(), trained()
    assert accuracy > 0.9
    assert torch.equal(one, other)


def test_what_lies_inside_is_not_written_to_and_its_size_is_known():
    plain = arrays()
    before = plain.x.clone()
    for data in (augment.Mixup(plain), augment.CutMix(plain), augment.Augmented(plain, jitter)):
        data.batch(torch.arange(7), generators(7))
        assert (len(data), data.classes, data.nbytes) == (7, plain.classes, plain.nbytes)
    assert torch.equal(plain.x, before)
    assert augment.Mixup(Jittered()).nbytes == 0
    kept = augment.CutMix(Jittered(), 0.3, share=0.5)
    assert kept.to("cpu") is kept


def test_a_device_is_kept_to():
    moved = augment.CutMix(arrays(), 0.3, share=0.5).to("meta")
    assert (moved.dataset.x.device.type, moved.alpha, moved.share) == ("meta", 0.3, 0.5)
    assert augment.Mixup(arrays(), 0.3).to("meta").dataset.x.device.type == "meta"


REFUSED = {
    "alpha 0 must be a finite number above 0": lambda: augment.Mixup(arrays(), 0),
    "alpha -1 must be": lambda: augment.CutMix(arrays(), -1),
    "alpha nan must be": lambda: augment.Mixup(arrays(), float("nan")),
    "alpha inf must be": lambda: augment.betas(generators(1), float("inf")),
    r"share 1.5 is a part of the items: it must be between 0 and 1": lambda: augment.Mixup(arrays(), share=1.5),
    "share nan is a part": lambda: augment.CutMix(arrays(), share=float("nan")),
    r"x of torch.int64 has no weighted means": lambda: drawn(augment.Mixup(arrays(dtype=torch.int64))),
    r"label 2 cannot be mixed: it is not one of 2 classes": lambda: drawn(
        augment.Mixup(Arrays(torch.randn(3, 1), torch.arange(3), "ab"))
    ),
    r"label -100 cannot be mixed": lambda: drawn(augment.Mixup(Arrays(torch.randn(1, 1), torch.tensor([-100]), "ab"))),
    r"an item of shape \(2,\) has no space": lambda: drawn(
        augment.CutMix(Arrays(torch.randn(3, 2), torch.zeros(3).long(), "a"))
    ),
    r"targets \(\) of torch.float32 do not follow the volume": lambda: drawn(
        augment.CutMix(Arrays(torch.randn(3, 2, 4), torch.zeros(3), "a"))
    ),
    r"targets \(4,\) of torch.int64 do not follow": lambda: drawn(
        augment.CutMix(Arrays(torch.randn(3, 2, 4), torch.zeros(3, 4).long(), "a"))
    ),
}


def drawn(data):
    return data.batch(torch.arange(len(data)), generators(len(data)))


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_mixed_is_one_line(words):
    with pytest.raises(ValueError, match=words) as caught:
        REFUSED[words]()
    assert "\n" not in str(caught.value)


@pytest.mark.gpu
def test_mixtures_are_made_where_the_data_live():
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    for kind in (augment.Mixup, augment.CutMix):
        here, there = kind(arrays()), kind(arrays()).to("cuda")
        x, y = there.batch(torch.arange(7), generators(7))
        assert (x.device.type, y.device.type) == ("cuda", "cuda")
        expected = here.batch(torch.arange(7), generators(7))
        torch.testing.assert_close((x.cpu(), y.cpu()), expected)
