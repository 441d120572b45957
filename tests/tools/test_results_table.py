"""The rows of the main results: means, spreads and paired differences of runs on disk."""

import json
from pathlib import Path

import pytest

from ovs3d.evaluation.results import ResultRow
from tools.results.runs import Run
from tools.results.table import MainTable
from tools.results.variants import ORACLE_TOKENS, ORACLE_WINDOWS, Job


def write_run(folder: Path, miou: float, psnr: float = 28.0, best_2d: float = 0.5) -> Run:
    baseline = {"raw": best_2d - 0.1, "per view": best_2d}
    content = {"psnr": psnr, "segmentation": {"miou": miou}, "baseline_2d": baseline}
    (folder / "eval").mkdir(parents=True)
    (folder / "eval" / "eval.json").write_text(json.dumps(content))
    return Run(folder)


@pytest.fixture
def rows(tmp_path: Path) -> dict[str, ResultRow]:
    scores = {
        Job("room", 0): 0.9, Job("room", 1): 0.8, Job("other", 0): 0.7, Job("other", 1): 0.8,
        Job("room", 0, ORACLE_TOKENS): 0.95, Job("room", 1, ORACLE_TOKENS): 0.93, Job("room", 0, ORACLE_WINDOWS): 0.6,
        Job("room", 0, "without RDA"): 0.8, Job("other", 0, "without RDA"): 0.8,
    }  # fmt: skip
    runs = {job: write_run(tmp_path / f"{job.folder}-{job.seed}", miou) for job, miou in scores.items()}
    return {row.name: row for row in MainTable(runs, "room", ("other",), (0, 1)).rows()}


def test_mean_and_spread_are_over_seeds(rows: dict[str, ResultRow]) -> None:
    row = rows["bundled scene, mIoU"]
    assert row.value == pytest.approx(0.85) and row.seeds == (0, 1)
    assert row.spread == pytest.approx(0.005**0.5) and row.reached


def test_cut_is_the_part_of_the_error_that_is_removed(rows: dict[str, ResultRow]) -> None:
    # From 0.5 to 0.9 and to 0.8: 0.4 and 0.3 of an error of 0.5.
    assert rows["bundled scene, cut of the 2D error"].value == pytest.approx(0.7)
    assert rows["bundled scene, 2D baseline mIoU"].value == pytest.approx(0.5)


def test_ablations_are_paired_within_a_scene(rows: dict[str, ResultRow]) -> None:
    row = rows["without RDA: change of mIoU over 2 scenes"]
    assert row.value == pytest.approx((-0.1 + 0.1) / 2, abs=1e-12) and row.seeds == (0,)
    assert row.spread == pytest.approx((2 * 0.1**2) ** 0.5)


def test_single_runs_have_no_spread_and_missed_targets_say_so(rows: dict[str, ResultRow]) -> None:
    row = rows["bundled scene, mIoU with oracle windows (clip-crops)"]
    assert row.spread is None and row.seeds == (0,) and row.reached is False


def test_jobs_that_were_not_run_have_no_row(rows: dict[str, ResultRow]) -> None:
    assert not any(name.startswith("without FDA") for name in rows)
