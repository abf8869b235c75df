"""README says what is so: its examples run."""

import re

import pytest
from conftest import ROOT

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_the_examples_run(number, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where they write
    names = {}
    exec(compile(BLOCKS[number], f"README example {number}", "exec"), names)
    shapes = {"y": (2, 6, 4, 8, 8, 5), "z": (1, 1, 64, 64), "energy": (1, 12, 32, 32, 20), "paths": (1, 81, 32, 32)}
    assert {name: names[name].shape for name in shapes if name in names} == {
        n: s for n, s in shapes.items() if n in names
    }


def test_there_are_examples_for_layers_models_features_studies_speech_dna_looking_inside_scans_and_training():
    assert len(BLOCKS) == 10
