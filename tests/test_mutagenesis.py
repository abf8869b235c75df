"""Every substitution and every derivative, against models answered again by hand; tracks that browsers draw."""

import numpy as np
import pytest
import strategies
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sigconv import explain, models
from sigconv.readers import bedgraph
from sigconv.transforms import dna


class Scores(nn.Module):
    """Outputs that are sums of weights by letter and place, of tokens or channels; drops half while it is trained."""

    def __init__(self, outputs, length, seed=0, squeezed=False):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(outputs, 4, length, generator=generator, dtype=torch.float64))
        self.drop, self.squeezed, self.most = nn.Dropout(), squeezed, 0

    def forward(self, x):
        self.most = max(self.most, len(x))
        x = x if x.is_floating_point() else dna.one_hot(x, dtype=torch.float64)
        out = torch.einsum("bcl,ocl->bo", self.drop(x.to(self.weight.dtype)), self.weight)
        return out[:, 0] if self.squeezed else out


def tokens(n, length, seed=0, most=4):
    return torch.randint(0, most, (n, length), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


@given(n=st.integers(1, 4), length=st.integers(1, 7), size=st.integers(1, 40), channels=st.booleans())
@strategies.examples(40)
def test_changes_are_those_of_each_sequence_answered_again(n, length, size, channels):
    model, x = Scores(1, length), tokens(n, length, most=5)
    change = explain.mutagenesis(model, dna.one_hot(x) if channels else x, batch_size=size)
    assert change.shape == (n, 4, length)
    assert change.dtype == torch.float64
    assert model.most <= size
    assert model.training
    model.eval()
    for row in range(n):
        for letter in range(4):
            for place in range(length):
                other = x[row : row + 1].clone()
                other[0, place] = letter
                expected = float((model(other) - model(x[row : row + 1])).detach())
                assert float(change[row, letter, place]) == pytest.approx(expected, abs=1e-12)
                if letter == x[row, place]:
                    assert change[row, letter, place] == 0


def test_a_network_of_either_input_changes_alike_and_is_left_as_it_was():
    torch.manual_seed(0)
    net, x = models.build("dna:deepbind", classes=1, dropout=0.5).train(), tokens(3, 30)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    change = explain.mutagenesis(net, x)
    torch.testing.assert_close(explain.mutagenesis(net, dna.one_hot(x), batch_size=17), change, rtol=0, atol=1e-5)
    torch.testing.assert_close(explain.mutagenesis(net, dna.decode(x)), change, rtol=0, atol=0)
    arrays = explain.mutagenesis(net, x.numpy())
    assert isinstance(arrays, np.ndarray)
    np.testing.assert_array_equal(arrays, change.numpy())
    assert all(module.training for module in net.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(x, tokens(3, 30))


def test_the_answer_is_the_one_that_is_meant():
    x, model = tokens(3, 6), Scores(3, 6)
    one, two = (explain.mutagenesis(model, x, target=target) for target in (0, 2))
    mixed = explain.mutagenesis(model, x, target=[0, 2, 0], batch_size=5)
    expected = torch.stack([one[0], two[1], one[2]])
    torch.testing.assert_close(mixed, expected, rtol=1e-5, atol=1e-5)  # other batches, other sums
    pair = Scores(2, 6)
    difference = explain.mutagenesis(pair, x, target=1) - explain.mutagenesis(pair, x, target=0)
    torch.testing.assert_close(explain.mutagenesis(pair, x), difference, rtol=0, atol=1e-12)
    squeezed = explain.mutagenesis(Scores(3, 6, squeezed=True), x)
    torch.testing.assert_close(squeezed, one, rtol=0, atol=1e-12)


def test_importance_is_what_the_other_letters_would_lose_and_a_track():
    model, x = Scores(1, 5).eval(), torch.tensor([[0, 1, 4, 3, 2]])
    found = explain.importance(explain.mutagenesis(model, x), x)
    weight = model.weight.detach()[0]
    for place, letter in enumerate(x[0].tolist()):
        if letter == 4:
            assert found[0, place].isnan()
        else:
            others = (weight[:, place].sum() - weight[letter, place]) / 3
            assert float(found[0, place]) == pytest.approx(float(weight[letter, place] - others), abs=1e-12)


def test_tracks_are_written_for_browsers(tmp_path):
    model, x = Scores(1, 5).float(), torch.tensor([[0, 1, 4, 3, 2]])
    losses = explain.importance(explain.mutagenesis(model, x), x)[0]
    bedgraph.write(tmp_path / "a.bedGraph", [("chr1", 100, losses), ("chr2", 7, explain.saliency(model, x)[0])])
    rows = [line.split("\t") for line in (tmp_path / "a.bedGraph").read_text().splitlines()]
    assert [(row[0], int(row[1])) for row in rows if row[0] == "chr1"] == [("chr1", i) for i in (100, 101, 103, 104)]
    np.testing.assert_allclose([float(row[3]) for row in rows[:4]], losses[~losses.isnan()], rtol=1e-6)
    assert int(rows[-1][2]) == 12


def test_vz1_saliency_is_the_signed_derivative_of_the_answer():
    torch.manual_seed(0)
    for ndim in (1, 2, 3):
        net = nn.Sequential(nn.Flatten(), nn.Linear(2 * 4**ndim, 6), nn.Tanh(), nn.Dropout(), nn.Linear(6, 3)).double()
        x = torch.randn(4, 2, *[4] * ndim, dtype=torch.float64)
        target = torch.tensor([0, 2, 1, 1])
        found = explain.saliency(net, x, target)
        assert found.shape == x.shape
        assert net.training
        assert x.grad is None
        assert all(p.grad is None for p in net.parameters())
        net.eval()
        step = 1e-6 * torch.randn(x.shape, dtype=torch.float64)
        with torch.no_grad():
            rise = (net(x + step) - net(x - step)).gather(1, target[:, None]).sum() / 2
        assert float((found * step).sum()) == pytest.approx(float(rise), rel=1e-5)


def test_vz1_saliency_of_tokens_is_that_of_the_letters_that_are_there():
    model, x = Scores(1, 6).float(), tokens(3, 6, most=5)
    whole = explain.saliency(model, dna.one_hot(x))
    found = explain.saliency(model, x)
    assert (found.shape, found.dtype) == (x.shape, torch.float32)
    for row in range(3):
        for place in range(6):
            letter = int(x[row, place])
            assert found[row, place] == (0 if letter == 4 else whole[row, letter, place])
    arrays = explain.saliency(model, dna.one_hot(x).numpy())
    np.testing.assert_array_equal(arrays, whole.numpy())


@pytest.mark.parametrize("call", [explain.mutagenesis, explain.saliency])
def test_answers_that_cannot_be_meant_are_one_line(call):
    x = tokens(3, 6)
    for model, options, message in [
        (Scores(3, 6), {}, "the model has 3 outputs: target= says which"),
        (Scores(3, 6), {"target": 3}, "target 3 is not one of the model's outputs, 0 to 2"),
        (Scores(3, 6), {"target": [0, 1]}, r"target int64 \(2,\) is not a class, nor one for each of 3 items"),
        (Scores(3, 6), {"target": 0.5}, "target 0.5 is not a class, nor one for each of"),
        (nn.Identity(), {}, "expected floating"),
    ]:
        with pytest.raises(ValueError, match=message) as error:
            call(model, x, **options)
        assert "\n" not in str(error.value)


def test_inputs_that_cannot_be_meant_are_one_line():
    with pytest.raises(ValueError, match=r"rule 'guidde' is not one of"):
        explain.saliency(Scores(1, 6), tokens(1, 6), rule="guidde")
    with pytest.raises(ValueError, match=r"x of shape \(1, 1, 6\) holds integers"):
        explain.saliency(Scores(1, 6), tokens(1, 6)[None])
    with pytest.raises(ValueError, match="batch_size 0 must be at least 1"):
        explain.mutagenesis(Scores(1, 6), tokens(1, 6), batch_size=0)
    with pytest.raises(ValueError, match=r"are not \(batch, 4, length\)"):
        explain.importance(torch.zeros(2, 3, 4), ["ACGT"] * 2)
