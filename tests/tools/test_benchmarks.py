"""Benchmarks: turns, medians, and both training loops on a small scene."""

from pathlib import Path

import pytest

from tests.end_to_end.box_scene import write_scene
from tools.benchmarks.methods import nerfacto, ours
from tools.benchmarks.timing import Pairs, median_row, take_turns


def test_sides_take_turns_after_one_call_that_does_not_count() -> None:
    calls: list[str] = []
    pairs = take_turns(lambda: calls.append("a"), lambda: calls.append("b"), 3)
    assert "".join(calls) == "ab" * 4
    assert len(pairs.ours) == len(pairs.theirs) == 3 and min(pairs.ours + pairs.theirs) >= 0.0


def test_ratio_is_taken_within_a_turn() -> None:
    # The machine slows down to a half in the last turn: ratios do not notice.
    ratios = Pairs(ours=(1.0, 1.0, 2.0), theirs=(3.0, 4.0, 6.0)).ratios
    row = median_row("speed", ratios, 3.0, "x")
    assert row.value == pytest.approx(3.0) and row.reached and row.unit == "x"
    assert row.spread == pytest.approx(3.0**-0.5)


def test_median_is_not_moved_by_one_slow_turn() -> None:
    row = median_row("seconds", (1.0, 1.1, 9.0), 1.2, "s", higher_is_better=False)
    assert row.value == pytest.approx(1.1) and row.reached and len(row.seeds) == 3


@pytest.mark.slow
@pytest.mark.parametrize("method", [ours, nerfacto], ids=["ours", "nerfacto"])
def test_both_methods_train_on_the_same_data_without_network(method, tmp_path: Path) -> None:
    write_scene(tmp_path)
    loop = method(tmp_path, 48)
    before = loop.held_out_psnr()
    loop.iterate(15)
    assert loop.step == 15 and loop.held_out_psnr() > before
