"""`ovs3d reclass`: what it gives the host to train, and where; tests/end_to_end trains it."""

import shutil
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from nerfstudio.scripts import train as host

from ovs3d.cli.main import main
from ovs3d.config import ovs3d_tiny_method
from ovs3d.trainer import OVS3DTrainerConfig


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Folder of a run that was resumed, with the viewer that `ns-train` has by default."""
    config = deepcopy(ovs3d_tiny_method.config)
    assert isinstance(config, OVS3DTrainerConfig)
    config.output_dir, config.experiment_name, config.timestamp = tmp_path / "outputs", "room", "old"
    config.load_dir, config.load_step, config.load_checkpoint = Path("before"), 5, Path("before/step.ckpt")
    config.save_config()
    config.get_checkpoint_dir().mkdir()
    torch.save({"step": 9, "pipeline": {}}, config.get_checkpoint_dir() / "step-000000009.ckpt")
    return config.get_base_dir()


def asked(monkeypatch: pytest.MonkeyPatch, run: Path, *flags: str) -> OVS3DTrainerConfig:
    """What the host is asked to train."""
    given: list[OVS3DTrainerConfig] = []
    monkeypatch.setattr(host, "main", given.append)
    assert main(["reclass", str(run), "--classes", "room", "door", "--timestamp", "new", *flags]) == 0
    return given[0]


def test_command_ends_when_training_does(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = asked(monkeypatch, old)
    assert config.is_viewer_enabled() and config.viewer.quit_on_train_completion


def test_new_run_starts_from_the_geometry_alone(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = asked(monkeypatch, old)
    assert config.load_geometry == old / "config.yml" and config.classes == ("room", "door")
    assert config.load_dir is None and config.load_step is None and config.load_checkpoint is None


@pytest.mark.parametrize("place", ["outputs/room/ovs3d-tiny/moved", "elsewhere/moved", "."])
def test_new_run_is_beside_the_old_one_where_that_lies_now(
    place: str, old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = tmp_path / "disk" / place
    shutil.copytree(old, moved)
    shutil.rmtree(old)
    assert asked(monkeypatch, moved).get_base_dir() == moved.resolve().parent / "new"
    monkeypatch.chdir(moved)
    assert asked(monkeypatch, Path(".")).get_base_dir() == moved.resolve().parent / "new"


def test_names_stay_in_the_folders_of_the_host(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = asked(monkeypatch, old)
    assert (config.experiment_name, config.method_name) == ("room", "ovs3d-tiny")
    elsewhere = asked(monkeypatch, old, "--output-dir", str(tmp_path / "other"))
    assert elsewhere.get_base_dir() == tmp_path / "other" / "room" / "ovs3d-tiny" / "new"


def test_name_of_the_old_run_is_refused(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reclass", str(old), "--classes", "room", "door", "--timestamp", "old"]) == 2
    assert "give another one" in capsys.readouterr().err
