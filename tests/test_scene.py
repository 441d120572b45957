"""Opening a run: what is no run of ours is named."""

import subprocess
import sys
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from types import ModuleType

import pytest
import torch
import yaml
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.configs.method_configs import all_methods

import ovs3d
from ovs3d import opened_run
from ovs3d.config import ovs3d_tiny_method
from ovs3d.errors import UserError
from ovs3d.model import OVS3DModel
from ovs3d.scene import Scene
from ovs3d.trainer import OVS3DTrainerConfig


def write_run(folder: Path, step: int = 7) -> OVS3DModel:
    """Writes a run of a few cells, whose semantics begin at step 5, without any data."""
    base = ovs3d_tiny_method.config
    assert isinstance(base, OVS3DTrainerConfig)
    config = deepcopy(base)
    model_config = config.pipeline.model
    model_config.classes, model_config.geometry_steps = ("a", "b"), 5
    model_config.proposal_resolution, model_config.plane_resolutions = 4, (4,)
    model_config.texture_resolutions, model_config.texture_log2_size = (8,), 6
    model_config.latent_resolutions, model_config.feature_dim, model_config.patch_dim = (4,), 3, 0
    model = model_config.setup(scene_box=None, num_train_data=0)
    model.text.copy_(torch.eye(3)[:2])
    (folder / "nerfstudio_models").mkdir(parents=True)
    (folder / "config.yml").write_text(yaml.dump(config))
    save(folder, model, step)
    return model


def save(folder: Path, model: OVS3DModel, step: int, prefix: str = "_model.") -> None:
    state = {f"{prefix}{name}": value for name, value in model.state_dict().items()}
    torch.save({"step": step, "pipeline": state}, folder / "nerfstudio_models" / f"step-{step:09d}.ckpt")


@pytest.mark.parametrize("prefix", ["_model.", "_model.module."], ids=["one process", "several"])
def test_newest_checkpoint_is_loaded_for_evaluation(prefix: str, tmp_path: Path) -> None:
    model = write_run(tmp_path)
    with torch.no_grad():
        model.proposal.grid.fill_(3.0)
    save(tmp_path, model, 12, prefix)
    scene = Scene.load(tmp_path)
    assert scene.classes == ("a", "b") and not scene.model.training
    assert scene.model.step == 13 and scene.model.in_semantics
    own = scene.model.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("step", [2, 4], ids=["before its end", "at its end"])
def test_run_that_stopped_in_its_geometry_is_not_segmented(step: int, tmp_path: Path) -> None:
    model = write_run(tmp_path, step=0)
    model.text.zero_()  # As it is until the semantic stage begins.
    save(tmp_path, model, step)
    scene = Scene.load(tmp_path / "config.yml")
    camera = Cameras(torch.eye(4)[None, :3], fx=4.0, fy=4.0, cx=2.0, cy=2.0, width=4, height=4)
    with pytest.raises(UserError, match="geometry stage"):
        scene.segment(camera)
    rgb, depth = scene.look(camera)
    assert rgb.shape == (4, 4, 3) and depth.shape == (4, 4) and rgb.min() >= 0.0 and depth.min() > 0.0


def test_run_whose_features_are_gone_still_shows_its_own_classes(tmp_path: Path) -> None:
    write_run(tmp_path)
    scene = Scene.load(tmp_path)
    scene.config.pipeline.datamanager.teachers = ("files",)
    scene.config.pipeline.datamanager.features = tmp_path / "gone"
    camera = Cameras(torch.eye(4)[None, :3], fx=4.0, fy=4.0, cx=2.0, cy=2.0, width=4, height=4)
    assert scene.segment(camera).labels.shape == (4, 4)
    assert scene.render(camera).shape[1] == 3 * 4
    with pytest.raises(UserError, match="gone, whose features"):
        scene.relevancy(["a"], camera)


def test_features_come_in_rows_that_make_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path)
    scene = Scene.load(tmp_path)
    camera = Cameras(torch.eye(4)[None, :3], fx=4.0, fy=4.0, cx=2.0, cy=2.0, width=4, height=5)
    whole = scene.features(camera)
    monkeypatch.setattr(opened_run, "PIXELS", 8)
    parts = list(scene.feature_rows(camera))
    assert [part.shape for part in parts] == [(2, 4, 3), (2, 4, 3), (1, 4, 3)]
    torch.testing.assert_close(torch.cat(parts), whole)
    assert torch.equal(scene.features(camera), torch.cat(parts)) and not whole.requires_grad


def test_run_whose_parts_have_other_sizes_says_how_to_go_on(tmp_path: Path) -> None:
    model = write_run(tmp_path)
    first = model.semantic.feature_head[0]
    assert isinstance(first, torch.nn.Linear)
    first.weight = torch.nn.Parameter(first.weight[:, :-3])
    save(tmp_path, model, 9)
    with pytest.raises(UserError, match=f"ovs3d reclass {tmp_path}") as stop:
        Scene.load(tmp_path)
    assert "\n" not in str(stop.value)


def test_what_is_no_run_of_ours_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        Scene.load(tmp_path / "nowhere")
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.yml").write_text(yaml.dump(all_methods["nerfacto"]))
    with pytest.raises(UserError, match="nerfacto"):
        Scene.load(other)


def test_run_whose_backbone_cannot_run_on_the_device_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "tinycudann", ModuleType("tinycudann"))
    text = (tmp_path / "config.yml").read_text()
    (tmp_path / "config.yml").write_text(text.replace("backbone: planes", "backbone: tcnn"))
    with pytest.raises(UserError, match="not on cpu"):
        Scene.load(tmp_path, "cpu")


def test_run_without_a_checkpoint_is_named(tmp_path: Path) -> None:
    write_run(tmp_path)
    for path in (tmp_path / "nerfstudio_models").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="no checkpoint"):
        Scene.load(tmp_path)


class Axes:
    """Words in a space of three numbers."""

    space, dim = "axes", 3

    def encode_text(self, words: Sequence[str]) -> torch.Tensor:
        return torch.stack([torch.eye(3)["xyz".index(word)] for word in words])


def camera_at(x: float) -> Cameras:
    pose = torch.eye(4)[None, :3].clone()
    pose[0, 0, 3] = x
    return Cameras(pose, fx=4.0, fy=4.0, cx=2.0, cy=2.0, width=4, height=4)


def test_words_are_asked_without_a_class_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path)
    scene = Scene.load(tmp_path)
    monkeypatch.setitem(vars(scene), "text_encoder", Axes())
    rendered: list[Cameras] = []
    render = scene.model.get_outputs_for_camera
    monkeypatch.setattr(scene.model, "get_outputs_for_camera", lambda camera: rendered.append(camera) or render(camera))
    found = scene.relevancy(["x", "z"], camera_at(0.0))
    assert found.shape == (4, 4, 2) and found.std() > 0.0
    scores = scene.segment(camera_at(0.0)).scores
    assert scores is not None
    torch.testing.assert_close(found[..., 0], scores[..., 0])  # The first class is x.
    assert len(rendered) == 2
    torch.testing.assert_close(scene.relevancy(["z"], camera_at(0.0))[..., 0], found[..., 1])
    assert len(rendered) == 2, "the same view is not rendered for another word"
    assert not torch.equal(scene.relevancy(["x"], camera_at(0.5))[..., 0], found[..., 0])
    assert len(rendered) == 3


def test_package_offers_the_scene_and_imports_nothing_heavy_before() -> None:
    program = (
        "import sys, ovs3d; assert not {'torch', 'numpy', 'nerfstudio'} & set(sys.modules); "
        "from ovs3d import Scene, Segmentation; import ovs3d.scene; assert Scene is ovs3d.scene.Scene"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    with pytest.raises(AttributeError, match="no attribute 'Map'"):
        ovs3d.Map  # noqa: B018 # pyright: ignore
