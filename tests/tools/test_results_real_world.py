"""The rows of the real-world results, from runs on disk; what is not there is skipped."""

import json
import shutil
from pathlib import Path

import pytest

from ovs3d.evaluation.results import ResultRow
from tools.results_real_world import ENCODER_ERROR, ResultsRealWorld, encoder_row

ROOM = Path("data/room")


def write_run(root: Path, name: str, seconds: float, **scores: object) -> None:
    """A run that is complete, as the tool leaves it."""
    folder = root / name / "ovs3d-tiny" / "seed-0"
    (folder / "eval").mkdir(parents=True)
    (folder / "done").touch()
    (folder / "eval" / "eval.json").write_text(json.dumps(scores))
    (folder / "training.json").write_text(json.dumps({"seconds": seconds}))


@pytest.fixture
def results(tmp_path: Path) -> ResultsRealWorld:
    """Complete runs of everything, on scenes that are there."""
    for name in ("kitchen", "fox", "yard"):
        (tmp_path / name).mkdir()
        shutil.copyfile(ROOM / "transforms.json", tmp_path / name / "transforms.json")
    root = tmp_path / "runs"
    write_run(root, "kitchen-photographs", 1.0, psnr=20.0, depth={"abs_rel": 0.2, "median": 0.1})
    write_run(root, "kitchen-sensor", 1.0, psnr=21.0, depth={"abs_rel": 0.1, "median": 0.05})
    write_run(root, "fox", 400.0, psnr=24.0, depth=None)
    write_run(root, "room-transforms", 1.0, psnr=28.0, segmentation={"miou": 0.94})
    write_run(root, "room-3d-ovs-layout", 1.0, psnr=28.0, segmentation={"miou": 0.92})
    write_run(root, "yard", 1.0, psnr=25.0, segmentation={"miou": 0.9}, depth={"abs_rel": 0.2, "median": 0.04})
    (root / "room-3d-ovs").mkdir()
    return ResultsRealWorld(data=tmp_path, yard=tmp_path / "yard", root=root)


def named(rows: list[ResultRow]) -> dict[str, ResultRow]:
    return {row.name: row for row in rows}


def test_rows_are_those_of_the_runs_and_nothing_is_trained_again(results: ResultsRealWorld) -> None:
    kitchen = named(list(results.kitchen()))
    assert kitchen["kitchen without sensor depth, PSNR"].value == 20.0
    assert kitchen["kitchen with sensor depth, depth error, median"].value == pytest.approx(5.0)
    fox = named(list(results.fox()))
    assert fox["fox at 240 px, PSNR"].reached and fox["fox at 240 px, training"].reached is False
    layout = named(list(results.layout()))
    assert layout["difference of the two layouts"].value == pytest.approx(2.0)
    assert layout["difference of the two layouts"].reached is False
    assert named(list(results.far_background()))["yard with a far background, mIoU"].value == 0.9


def test_what_is_not_there_is_skipped_and_named(
    results: ResultsRealWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results.data = results.yard = tmp_path / "nowhere"
    assert [*results.kitchen(), *results.fox(), *results.far_background()] == []
    printed = "".join(capsys.readouterr().out.split())
    assert "nowhere/kitchen/transforms.json" in printed and "nowhere/fox/transforms.json" in printed


@pytest.mark.slow
def test_crops_of_a_real_architecture_equal_open_clips() -> None:
    row = encoder_row(ROOM)
    assert row.value is not None and row.value <= ENCODER_ERROR and row.reached
