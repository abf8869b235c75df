"""Checkpoints: whole or not there, whatever stops the writing; and any damage is noticed."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

import sigconv
from sigconv.train import checkpoint

STATE = {
    "weights": {"a": torch.randn(3, 4, generator=torch.Generator().manual_seed(0)), "empty": torch.zeros(0, 2)},
    "half": torch.ones(2, dtype=torch.bfloat16),
    "flag": torch.tensor(True),
    "list": [1, 2.5, "text", None, True, float("inf")],
    3: {"step": torch.tensor(7)},
}


def same(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b and type(a) is type(b)


def test_a_checkpoint_holds_what_was_put_in(tmp_path):
    assert same(checkpoint.load(checkpoint.save(tmp_path / "c-1", STATE)), STATE)
    checkpoint.save(tmp_path / "c-1", {"other": 1})
    assert checkpoint.load(tmp_path / "c-1") == {"other": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["c-1"]
    with pytest.raises(TypeError, match="not set"):
        checkpoint.save(tmp_path / "c-2", {"bad": {1, 2}})
    assert [path.name for path in tmp_path.iterdir()] == ["c-1"]


@examples(200)
@given(st.data())
def test_r17_any_flipped_bit_is_noticed(tmp_path_factory, data):
    path = checkpoint.save(tmp_path_factory.mktemp("flip") / "c-1", STATE)
    file = path / data.draw(st.sampled_from(["state.safetensors", "commit.json"]))
    content = bytearray(file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"checkpoint '.*c-1' cannot be used") as caught:
        checkpoint.load(path)
    assert "\n" not in str(caught.value)


def test_f14_f18_checkpoints_are_ordered_by_number_and_a_newer_format_is_said_to_be_one(tmp_path, monkeypatch):
    for number in (9, 10, 1):
        checkpoint.save(tmp_path / f"cnn-{number}", {})
    checkpoint.save(tmp_path / "cnn-two-3", {})
    assert [path.name for path in checkpoint.numbered(tmp_path, "cnn")] == ["cnn-10", "cnn-9", "cnn-1"]
    monkeypatch.setattr(checkpoint, "FORMAT", 999)
    checkpoint.save(tmp_path / "cnn-11", {})
    monkeypatch.undo()
    with pytest.raises(
        ValueError,
        match=rf"written by sigconv {sigconv.__version__} in format 999; this is sigconv .*, which reads format 2",
    ):
        checkpoint.load(tmp_path / "cnn-11")
