"""The page of races: with records and without, and what a record does not tell is not made up."""

import importlib.util
import json

import numpy as np
import pytest
from conftest import ROOT

from sigconv.benchmarks import _race
from sigconv.cli import bench


@pytest.fixture
def performance(tmp_path, monkeypatch):
    """The page's maker, which is no part of the package, with no records yet."""
    place = ROOT / "docs" / "_make" / "performance.py"
    spec = importlib.util.spec_from_file_location("docs_performance", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "KEPT", tmp_path / "results")
    return module


def record(**more):
    """What `sigconv bench --output` writes of a race of two and of one alone."""
    runners = {"ours": lambda: np.ones(3), "numpy": lambda: np.ones(3), "slow": lambda: np.ones(300_000)[:3]}
    cases = [_race.Case("three ones", runners, goal=1e-9), _race.Case("alone", {"ours": lambda: np.ones(2)}, goal=1e9)]
    cases.append(_race.Case("unlike", {"ours": lambda: np.ones(2), "numpy": lambda: np.zeros(2)}))
    results = [{"set": "pooling"} | _race.race(case, 2, "cpu").record() for case in cases]
    return {"results": results} | bench._machine({"device": "cpu", "repeats": 2}) | more


def page(performance, **records):
    for name, kept in records.items():
        performance.KEPT.mkdir(exist_ok=True)
        (performance.KEPT / f"{name}.json").write_text(json.dumps(kept))
    return performance.pages()["performance.md"]


def test_without_records_the_page_is_what_readme_says(performance):
    told = page(performance)
    assert told.startswith("# How fast\n")
    assert "## Records" not in told


def test_a_record_tells_its_device_versions_repeats_and_date(performance):
    kept = record(date="2031-05-06", device="A machine", threads=3, sigconv="9.8", torch="7.6", cost_table="abc")
    told = page(performance, laptop=kept)
    head = "A machine, 3 threads; sigconv 9.8, torch 7.6, cost table abc; 2031-05-06."
    assert f"### laptop\n\n`sigconv bench pooling`, medians of 2: {head}" in told


def test_a_day_that_is_not_recorded_is_not_made_up(performance):
    kept = record()
    assert ("date" in kept) != ("does not tell" in page(performance, some=kept))
    del kept["results"][0]["warnings"][:]
    kept.pop("date", None)
    assert "on a day that the record does not tell." in page(performance, some=kept)


def test_a_row_has_every_peer_the_best_in_bold_and_whether_the_goal_was_met(performance):
    kept = record()
    kept["results"][0]["runners"]["slow"]["median_ms"] = 1234.4
    kept["results"][0] |= {"peak_bytes": 7_200_000, "ratio": {"median": 1.5, "least": 0.5, "most": 2.5}}
    told = page(performance, some=kept)
    (line,) = [line for line in told.splitlines() if line.startswith("| three ones |")]
    ours, peak, peers, ratio, _, goal = [cell.strip() for cell in line.strip("|").split("|")[1:]]
    assert float(ours) == pytest.approx(kept["results"][0]["runners"]["ours"]["median_ms"], rel=0.01)
    assert (peak, ratio, goal) == ("7", "1.5 (0.5, 2.5)", "1e-09 met")
    assert peers.startswith("**numpy ")
    assert peers.endswith("slow 1.23e+03")


def test_ours_alone_has_no_ratio_and_what_was_pointed_out_is_shown(performance):
    told = page(performance, some=record())
    (line,) = [line for line in told.splitlines() if line.startswith("| alone |")]
    assert line.endswith("|  |  |  | 1e+09 not met |")
    assert "\n- unlike: numpy differs by 1.0e+00" in told


def test_bytes_a_second_their_part_of_a_copy_and_the_goal_of_it_are_shown_where_they_are_told(performance):
    kept = record(gpu={"driver_version": "1.2", "cuda": "13.0", "cudnn": 92000})
    kept["ceilings"] = {"copy_gb_per_s": 4321.0, "product_tflop_per_s": {"float32": 55.5}}
    kept["results"][0] |= {"gb_per_s": 3210.0, "of_copy": 0.743, "share_goal": 0.7, "share_met": True}
    told = page(performance, some=kept)
    assert "driver 1.2, CUDA 13.0, cuDNN 92000; copy 4.32e+03 GB/s, products float32 55.5 TFLOP/s." in told
    (line,) = [line for line in told.splitlines() if line.startswith("| three ones |")]
    assert line.endswith("| 3.21e+03, 74.3% | 1e-09 met, 70% of copy met |")
    kept["failures"] = [{"set": "haar", "case": "Haar 9-D", "error": "out of memory"}]
    assert "- haar, Haar 9-D failed: out of memory" in page(performance, some=kept)


def test_a_file_that_is_no_record_is_named(performance):
    with pytest.raises(ValueError, match=r"results/other.json is no record of `sigconv bench --output`"):
        page(performance, other={"results": [{}]})
