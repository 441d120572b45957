"""`ovs3d demo`, which finds its run trained."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from nerfstudio.scripts import train as host

import ovs3d.config
from ovs3d.cli.demo import summarise
from ovs3d.cli.main import main
from ovs3d.evaluation import protocols
from ovs3d.scene import Scene
from ovs3d.trainer import OVS3DTrainerConfig

KEYS = {"miou", "macc", "pixel_accuracy", "psnr", "baseline_2d_miou"}


@pytest.fixture
def command(scene_folder: Path, tmp_path: Path) -> list[str]:
    """The command on the small scene; it writes to `tmp_path`/demo."""
    return ["demo", "--data", str(scene_folder), "--output-dir", str(tmp_path), "--frames", "2"]


def test_summary_has_the_best_baseline_and_none_for_what_was_not_measured() -> None:
    scores = {"miou": 0.5, "macc": 0.6, "pixel_accuracy": 0.7, "iou": {}}
    measured = {"psnr": 30.0, "segmentation": scores, "baseline_2d": {"raw/fine": 0.2, "raw/mean": 0.4}}
    assert summarise(measured) == {
        "miou": 0.5, "macc": 0.6, "pixel_accuracy": 0.7, "psnr": 30.0, "baseline_2d_miou": 0.4
    }  # fmt: skip
    assert summarise({"psnr": 30.0, "segmentation": None}) == dict.fromkeys(KEYS) | {"psnr": 30.0}


def test_demo_writes_what_it_says_on_the_best_device(
    command: list[str],
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    devices: list[str] = []
    load, baseline = Scene.load, protocols.baseline_2d

    def trained(config: OVS3DTrainerConfig) -> None:
        assert config.steps_per_save >= config.max_num_iterations, "half a run has no checkpoint"
        shutil.copytree(run, config.get_base_dir())

    def load_here(run: Path, device: str) -> Scene:
        devices.append(device)
        return load(run)

    def baseline_here(scene: Scene, device: str) -> dict[str, float]:
        devices.append(device)
        return baseline(scene)

    monkeypatch.setattr(host, "main", trained)
    monkeypatch.setattr(Scene, "load", load_here)
    monkeypatch.setattr(protocols, "baseline_2d", baseline_here)
    monkeypatch.setattr(ovs3d.config, "best_device", lambda: "cuda")
    assert main(command) == 0
    assert devices == ["cuda", "cuda"]
    summary: dict[str, Any] = json.loads((tmp_path / "demo" / "summary.json").read_text())
    assert set(summary) == KEYS | {"header", "seconds", "training_seconds", "peak_memory_gb"}
    assert all(summary[key] > 0.0 for key in set(summary) - {"header"})
    printed = capsys.readouterr().out.replace("\n", "")
    for place in ("ovs3d-tiny/seed-0", "segmentation.mp4", "figures"):
        assert (tmp_path / "demo" / place).exists() and str(tmp_path / "demo" / place) in printed


def test_video_without_frames_is_refused_before_training(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained: list[Any] = []
    monkeypatch.setattr(host, "main", trained.append)
    assert main([*command, "--frames", "0"]) == 2
    assert "--frames 0" in capsys.readouterr().err and trained == []


def test_interrupted_demo_does_not_score_an_earlier_one(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / "demo" / "ovs3d-tiny" / "seed-0" / "nerfstudio_models" / "step-000000020.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    assert main([*command, "--data", str(tmp_path / "nowhere")]) == 2
    assert checkpoint.exists() and "nowhere" in capsys.readouterr().err

    def interrupted(**_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(host, "train_loop", interrupted)
    assert main(command) == 2
    assert "has no checkpoint" in capsys.readouterr().err and not checkpoint.exists()
    assert not (tmp_path / "demo" / "summary.json").exists()
