"""Bad input to `ns-train`: exit status 2, one sentence, and nothing written."""

import json
import shutil
import sys
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from nerfstudio.scripts import train as host

from ovs3d.checkpoints import model_shapes
from ovs3d.errors import UserError
from ovs3d.trainer import OVS3DTrainerConfig
from tests.end_to_end.box_scene import CLASSES, write_features, write_scene
from tests.end_to_end.runs import small_config, train


@pytest.fixture
def config(scene_folder: Path, features_folder: Path, tmp_path: Path) -> OVS3DTrainerConfig:
    """A good configuration for a test to spoil; its run would go to `tmp_path`/outputs."""
    return small_config(scene_folder, features_folder, tmp_path / "outputs", (2, 4))


def refused(config: OVS3DTrainerConfig, capsys: pytest.CaptureFixture[str]) -> str:
    """Trains, and returns the one sentence with which that is refused."""
    with pytest.raises(SystemExit) as stopped:
        train(config)
    assert stopped.value.code == 2
    sentence = capsys.readouterr().err.strip()
    assert sentence.endswith(".") and "\n" not in sentence
    assert not config.output_dir.exists()
    return sentence


def test_missing_data_folder(config: OVS3DTrainerConfig, tmp_path: Path, capsys) -> None:
    config.data = tmp_path / "nowhere"
    assert str(config.data) in refused(config, capsys)


def test_folder_without_a_scene(config: OVS3DTrainerConfig, tmp_path: Path, capsys) -> None:
    config.data, config.classes = tmp_path, ("room", "door")
    assert "transforms.json" in refused(config, capsys)


def test_scene_without_classes(config: OVS3DTrainerConfig, scene_folder: Path, tmp_path: Path, capsys) -> None:
    config.data = shutil.copytree(scene_folder, tmp_path / "copy", ignore=shutil.ignore_patterns("labels", "*.txt"))
    assert "--classes" in refused(config, capsys)


@pytest.mark.parametrize(
    ("classes", "named"),
    [
        (("room",), "only the class 'room'"),
        (("room", ""), "entry 2"),
        (("room", "door", "Room"), "'Room' again"),
        (("room", "door: a | "), "'door'"),
        (("room", "red bo"), "red box"),
    ],
    ids=["single", "empty", "duplicate", "empty prompt", "misspelt"],
)
def test_bad_classes(classes: tuple[str, ...], named: str, config: OVS3DTrainerConfig, capsys) -> None:
    config.classes = classes
    assert named in refused(config, capsys)


def test_damaged_photograph(config: OVS3DTrainerConfig, scene_folder: Path, tmp_path: Path, capsys) -> None:
    config.data = shutil.copytree(scene_folder, tmp_path / "copy")
    photo = config.data / "images" / "view_05.png"
    photo.write_bytes(photo.read_bytes()[:200])
    assert "view_05.png" in refused(config, capsys)


def test_space_of_the_words_is_that_of_the_features(
    config: OVS3DTrainerConfig, scene_folder: Path, tmp_path: Path, capsys
) -> None:
    config.features = write_features(tmp_path / "other", scene_folder, space="two-hot-v1")
    sentence = refused(config, capsys)
    assert "one-hot-v1" in sentence and "two-hot-v1" in sentence


def test_missing_features_of_a_training_view(
    config: OVS3DTrainerConfig, scene_folder: Path, tmp_path: Path, capsys
) -> None:
    config.features = write_features(tmp_path / "partial", scene_folder)
    (config.features / "view_00.npy").unlink()  # A held-out view, whose features no run needs.
    (config.features / "view_03.npy").unlink()
    assert "view_03" in refused(config, capsys)


def test_features_of_another_size_than_promised(
    config: OVS3DTrainerConfig, scene_folder: Path, tmp_path: Path, capsys
) -> None:
    config.features = write_features(tmp_path / "other", scene_folder)
    meta = json.loads((config.features / "meta.json").read_text())
    (config.features / "meta.json").write_text(json.dumps({**meta, "levels": ["one", "two", "three"]}))
    sentence = refused(config, capsys)
    assert "view_01.npy" in sentence and "[3, h, w, 6]" in sentence


def test_missing_weights_name_the_bundled_encoder(
    config: OVS3DTrainerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "empty"))
    config.features = None
    sentence = refused(config, capsys)
    assert "tiny-clip" in sentence and config.encoder in sentence


@pytest.mark.parametrize("cache", ["file", "file/cache", "/proc/cache"])
def test_cache_that_cannot_be_made(cache: str, config: OVS3DTrainerConfig, tmp_path: Path, capsys) -> None:
    (tmp_path / "file").touch()
    config.features, config.teachers, config.encoder = None, ("clip-dense",), "tiny-clip"
    config.pipeline.datamanager.feature_cache = tmp_path / cache
    sentence = refused(config, capsys)
    assert str(tmp_path / cache) in sentence and "--pipeline.datamanager.feature-cache" in sentence


@pytest.mark.parametrize("fault", [UserError("The disk is full."), ValueError("a fault of ours")], ids=["user", "ours"])
def test_run_that_fails_in_its_set_up_leaves_no_folder(
    fault: Exception, config: OVS3DTrainerConfig, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def fail(*_: object) -> None:
        assert (config.get_base_dir() / "config.yml").is_file()
        raise fault

    monkeypatch.setattr("ovs3d.data.datamanager.open_teachers", fail)
    with pytest.raises(SystemExit if isinstance(fault, UserError) else ValueError) as stopped:
        train(config)
    assert list(config.output_dir.iterdir()) == []
    if isinstance(stopped.value, SystemExit):
        assert stopped.value.code == 2 and capsys.readouterr().err == "The disk is full.\n"


def test_teachers_that_do_not_fit_together(config: OVS3DTrainerConfig, capsys) -> None:
    config.features, config.teachers = None, ("telepathy",)
    assert "telepathy" in refused(config, capsys)


def test_features_from_files_without_their_folder(config: OVS3DTrainerConfig, capsys) -> None:
    config.features, config.teachers = None, ("files",)
    assert "--features FOLDER" in refused(config, capsys)


def test_vocabulary_cut_short(config: OVS3DTrainerConfig, scene_folder: Path, tmp_path: Path, capsys) -> None:
    config.features = write_features(tmp_path / "cut", scene_folder)
    path = config.features / "vocabulary.npz"
    path.write_bytes(path.read_bytes()[:-30])
    assert str(path) in refused(config, capsys)


@pytest.mark.parametrize("levels", [(2,), (0, -1)])
def test_level_that_the_teacher_does_not_have(levels: tuple[int, ...], config: OVS3DTrainerConfig, capsys) -> None:
    config.pipeline.datamanager.levels = levels
    sentence = refused(config, capsys)
    assert f"levels {levels[-1]} is no level of labels: choose 0 (coarse), 1 (fine)" in sentence


def test_photographs_that_would_not_shrink(config: OVS3DTrainerConfig, capsys) -> None:
    config.pipeline.datamanager.crops_scale_down = 0
    assert "crops-scale-down 0 is less than 1" in refused(config, capsys)


def test_backbone_that_cannot_run_here(config: OVS3DTrainerConfig, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config.pipeline.model.backbone = "tcnn"
    assert "--pipeline.model.backbone planes" in refused(config, capsys)


def test_geometry_longer_than_the_run(config: OVS3DTrainerConfig, capsys) -> None:
    config.geometry_steps = 5
    assert "--geometry-steps 5" in refused(config, capsys)


@pytest.mark.parametrize("load", [False, True])
def test_geometry_of_less_than_no_step(config: OVS3DTrainerConfig, run: Path, load: bool, capsys) -> None:
    config.geometry_steps, config.load_geometry = -1, run if load else None
    assert "--geometry-steps -1 is less than 0" in refused(config, capsys)


def test_checkpoint_that_is_not_there(config: OVS3DTrainerConfig, tmp_path: Path, capsys) -> None:
    config.load_dir = tmp_path
    assert str(tmp_path) in refused(config, capsys)


def test_checkpoint_cut_short(config: OVS3DTrainerConfig, run: Path, tmp_path: Path, capsys) -> None:
    whole = sorted((run / "nerfstudio_models").iterdir())[-1].read_bytes()
    (tmp_path / "step-000000001.ckpt").write_bytes(whole[: len(whole) // 2])
    config.load_dir = tmp_path
    assert "step-000000001.ckpt" in refused(config, capsys)


def test_geometry_of_a_checkpoint_cut_short(config: OVS3DTrainerConfig, run: Path, tmp_path: Path, capsys) -> None:
    config.load_geometry = shutil.copytree(run, tmp_path / "cut")
    for path in (config.load_geometry / "nerfstudio_models").iterdir():
        path.write_bytes(path.read_bytes()[:1000])
    assert str(config.load_geometry / "nerfstudio_models") in refused(config, capsys)


@pytest.mark.parametrize("change", ["classes", "planes"])
def test_checkpoint_of_another_model(config: OVS3DTrainerConfig, tmp_path: Path, change: str, capsys) -> None:
    config.prepare()
    state = {f"_model.{name}": torch.zeros(shape) for name, shape in model_shapes(config.pipeline.model).items()}
    torch.save({"step": 1, "pipeline": state}, tmp_path / "step-000000001.ckpt")
    config.load_dir = tmp_path
    config.prepare()  # The model itself goes on.
    if change == "classes":
        config.classes = (*CLASSES, "door")
    else:
        config.pipeline.model.plane_resolutions = (8, 16)
    sentence = refused(config, capsys)
    assert {"classes": "text", "planes": "radiance.planes"}[change] in sentence
    assert "step-000000001.ckpt" in sentence and "--load-geometry" in sentence


def test_geometry_of_a_run_that_is_not_there(config: OVS3DTrainerConfig, tmp_path: Path, capsys) -> None:
    config.load_geometry = tmp_path / "gone"
    assert "gone" in refused(config, capsys)


def test_earlier_run_of_the_same_name_is_left_intact(
    config: OVS3DTrainerConfig, run: Path, tmp_path: Path, capsys
) -> None:
    config.output_dir = run.parents[2]
    before = {path: path.stat().st_mtime_ns for path in config.output_dir.rglob("*")}
    config.data = tmp_path / "nowhere"
    with pytest.raises(SystemExit):
        train(config)
    assert {path: path.stat().st_mtime_ns for path in config.output_dir.rglob("*")} == before


def test_command_line_itself(scene_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["ns-train", "ovs3d-tiny", "--data", str(scene_folder), "--classes", "one word"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as stopped:
        host.entrypoint()
    assert stopped.value.code == 2
    assert "only the class 'one word'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_fixture_itself_is_good(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "scene", views=4)
    config = small_config(scene, write_features(tmp_path / "features", scene), tmp_path / "outputs", (1, 2))
    train(config)
    assert config.get_checkpoint_dir().is_dir()
