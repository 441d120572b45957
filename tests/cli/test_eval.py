"""`ovs3d eval`: what becomes of the baseline; the numbers are tested in tests/evaluation and tests/end_to_end."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ovs3d.cli.main import main
from ovs3d.errors import UserError
from ovs3d.evaluation import protocols
from ovs3d.scene import Scene

SCORES = {"miou": 0.5, "macc": 0.5, "fwiou": 0.5, "pixel_accuracy": 0.5, "iou": {"a": 0.5}, "absent": []}


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is measured of a run; the test may change it."""
    measured = {"psnr": 30.0, "ssim": 0.9, "depth": None, "segmentation": SCORES, "paper": {"miou_paper": 0.4}}
    run = SimpleNamespace(model=SimpleNamespace(has_semantics=True))
    monkeypatch.setattr(Scene, "load", lambda *_: run)
    monkeypatch.setattr(protocols, "evaluate", lambda *_, **__: measured)
    monkeypatch.setattr(protocols, "baseline_2d", lambda *_: {"raw/fine": 0.25})
    return measured


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """The command; it writes to `tmp_path`/eval."""
    (tmp_path / "config.yml").touch()
    return ["eval", str(tmp_path), "--baseline-2d"]


def test_baseline_stands_beside_the_numbers_of_the_run(
    command: list[str], results: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 0
    written = json.loads((tmp_path / "eval" / "eval.json").read_text())
    assert written["baseline_2d"] == {"raw/fine": 0.25} and written["segmentation"] == results["segmentation"]
    assert "error cut against it" in capsys.readouterr().out


def test_baseline_that_fails_costs_no_numbers(
    command: list[str], results: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise UserError("There are no weights.")

    monkeypatch.setattr(protocols, "baseline_2d", fail)
    assert main(command) == 2
    assert json.loads((tmp_path / "eval" / "eval.json").read_text())["segmentation"] == results["segmentation"]


def test_names_are_no_markup(
    command: list[str], results: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    iou = {"cup [red]": 0.1, "cup [blue]": 0.2, "[/red]": 0.3}
    results["segmentation"] = {**SCORES, "iou": iou}
    out = tmp_path / "[old]"
    assert main([*command, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in iou)
    assert "/[old]/eval.json" in "".join(printed.split())


def test_baseline_without_labels_is_not_dropped_silently(
    command: list[str], results: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    results["segmentation"] = None
    assert main([*command, "--json"]) == 0
    printed = capsys.readouterr()
    assert "The 2D teacher is not measured: there are no labels" in " ".join(printed.err.split())
    assert json.loads(printed.out)["written"]["figures"] is None, "figures show errors, which need labels"
