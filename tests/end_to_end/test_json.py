"""`--json`: one document on stdout with the numbers and what was written, and nothing else there."""

import json
from pathlib import Path

import pytest

from ovs3d.cli.main import main


def document(command: list[str], capsys: pytest.CaptureFixture[str]) -> dict:
    assert main([*command, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_eval(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = document(["eval", str(run), "--out", str(tmp_path)], capsys)
    written = json.loads(Path(report["written"]["numbers"]).read_text())
    assert report["segmentation"] == written["segmentation"] and report["psnr"] == written["psnr"]
    assert Path(report["written"]["figures"]).is_dir() and report["written"]["masks"] is None


def test_render(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = document(["render", str(run), "--out", str(tmp_path / "a.mp4"), "--frames", "2"], capsys)
    assert report["frames"] == 2 and Path(report["written"]["video"]).is_file()


def test_query(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = document(["query", str(run), "red box", "--out", str(tmp_path)], capsys)
    views = {row["view"] for row in report["views"]}
    assert report["query"] == "red box" and views == {"view_00", "view_08", report["best_view"]}
    assert all(Path(path).exists() for path in report["written"].values())


def test_export(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = document(["export", str(run), "--what", "masks", "points", "--out", str(tmp_path)], capsys)
    assert {Path(path).name for path in report["written"]} == {"classes.json", "held-out", "points.ply"}
    assert all(Path(path).exists() for path in report["written"])


def test_extract_and_prompts(scene_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extract = ["extract", str(scene_folder), "--teachers", "dino", "--dino", "tiny-dino", "--cache", str(tmp_path)]
    assert document(extract, capsys)["teachers"]["dino"]["views"] == 10
    figure = tmp_path / "prompts.png"
    prompts = ["prompts", "--data", str(scene_folder), "--encoder", "tiny-clip", "--views", "1", "--out", str(figure)]
    report = document(prompts, capsys)
    assert report["written"] == {"figure": str(figure)} and figure.is_file() and isinstance(report["warnings"], list)


def test_reclass_tells_its_run_and_an_error_of_the_host(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--output-dir", str(tmp_path), "--timestamp", "again"]
    report = document(["reclass", str(run), "--classes", "room", "red box", *where], capsys)
    assert (Path(report["run"]) / "config.yml").is_file()
    assert main(["reclass", str(run), "--classes", "room", "unicorn", "--json"]) == 2
    printed = capsys.readouterr()
    error = json.loads(printed.out)["error"]
    assert "unicorn" in error and error in printed.err
