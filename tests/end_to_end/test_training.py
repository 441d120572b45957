"""`ns-train` from photographs and words to a checkpoint."""

import math
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from nerfstudio.plugins.types import MethodSpecification

from ovs3d.config import ovs3d_method, ovs3d_paper_method
from ovs3d.evaluation.protocols import evaluate
from ovs3d.scene import Scene
from ovs3d.spaces import load_encoder
from ovs3d.trainer import OVS3DTrainerConfig
from tests.end_to_end.box_scene import CLASSES
from tests.end_to_end.runs import GEOMETRY_STEPS, LOGGED_STEPS, STEPS, checkpoint, small_config, train

SHORT = (12, 20)


@pytest.mark.slow
def test_words_are_learnt(scene: Scene) -> None:
    results = evaluate(scene)
    assert results["psnr"] > 15.0
    assert results["segmentation"]["miou"] > 0.8
    assert results["segmentation"]["absent"] == []


def test_words_are_asked_with_the_templates_of_the_run(scene_folder: Path, tmp_path: Path) -> None:
    config = small_config(scene_folder, None, tmp_path, LOGGED_STEPS)
    config.encoder, config.teachers, config.templates = "tiny-clip", ("clip-dense",), ("photo",)
    train(config)
    scene = Scene.load(config.get_base_dir())
    found, bare = (encoder.encode_text(["red box"]) for encoder in (scene.text_encoder, load_encoder("tiny-clip")))
    torch.testing.assert_close(found[0], scene.model.text[scene.classes.index("red box")])
    assert float(found @ bare.T) < 0.999


def test_checkpoint_is_small_safe_and_without_encoders(run: Path) -> None:
    state = checkpoint(run)
    assert state["step"] == STEPS - 1
    parts = {".".join(name.split(".")[:2]) for name in state["pipeline"]}
    # The host's models carry an empty parameter that tells their device.
    known = {"proposal", "radiance", "semantic", "text", "device_indicator_param"}
    assert parts == {f"_model.{name}" for name in known}
    file = run / "nerfstudio_models" / f"step-{STEPS - 1:09d}.ckpt"
    numbers = sum(value.numel() for value in state["pipeline"].values())
    assert file.stat().st_size < 3 * 4 * numbers + 200_000, "the fields, Adam's two averages, and little else"
    torch.testing.assert_close(state["pipeline"]["_model.text"], torch.eye(6)[: len(CLASSES)])


def test_semantics_leave_geometry_exactly_as_it_was(run: Path) -> None:
    middle = torch.load(run / "nerfstudio_models" / f"step-{GEOMETRY_STEPS:09d}.ckpt", weights_only=True)["pipeline"]
    end = checkpoint(run)["pipeline"]
    for name, value in middle.items():
        if name.startswith(("_model.proposal", "_model.radiance")):
            assert torch.equal(value, end[name]), name
    assert not torch.equal(
        middle["_model.semantic.feature_head.0.weight"], end["_model.semantic.feature_head.0.weight"]
    )


def test_one_seed_gives_one_result(scene_folder: Path, features_folder: Path, tmp_path: Path) -> None:
    states = []
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        config = small_config(scene_folder, features_folder, tmp_path / name, SHORT, seed)
        train(config)
        states.append(checkpoint(config.get_base_dir())["pipeline"])
    first, same, other = states
    assert all(torch.equal(value, same[name]) for name, value in first.items())
    assert not all(torch.equal(value, other[name]) for name, value in first.items())


@pytest.mark.parametrize("stop", [8, 16], ids=["in-geometry", "in-semantics"])
def test_resumed_run_ends_at_its_last_step(
    stop: int, scene_folder: Path, features_folder: Path, tmp_path: Path
) -> None:
    first = small_config(scene_folder, features_folder, tmp_path / "first", (min(12, stop), stop))
    train(first)
    again = small_config(scene_folder, features_folder, tmp_path / "again", SHORT)
    again.load_dir = first.get_checkpoint_dir()
    seen = count_steps(again)
    assert seen == list(range(stop, 20))
    state = checkpoint(again.get_base_dir())
    assert state["step"] == 19 and again.max_num_iterations == 20
    assert Scene.load(again.get_base_dir()).model.in_semantics


def count_steps(config: OVS3DTrainerConfig) -> list[int]:
    """Trains, and returns the steps whose loss was computed; every loss must be finite."""
    from ovs3d.pipeline import OVS3DPipeline

    steps, original = [], OVS3DPipeline.get_train_loss_dict

    def counted(self, step):
        result = original(self, step)
        steps.append(step)
        assert all(math.isfinite(float(value)) for value in result[1].values())
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OVS3DPipeline, "get_train_loss_dict", counted)
        train(config)
    return steps


def test_run_that_is_finished_is_not_resumed(
    run: Path, scene_folder: Path, features_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = small_config(scene_folder, features_folder, tmp_path)
    config.load_dir = run / "nerfstudio_models"
    with pytest.raises(SystemExit) as stopped:
        train(config)
    assert stopped.value.code == 2
    assert "--max-num-iterations" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_geometry_of_another_run_is_taken_over(
    run: Path, scene_folder: Path, features_folder: Path, tmp_path: Path
) -> None:
    config = small_config(scene_folder, features_folder, tmp_path, SHORT)
    config.load_geometry = run
    config.pipeline.model.hidden_dim = 48  # The other run's sizes win: they are those of its geometry.
    assert count_steps(config) == list(range(8))
    old, new = checkpoint(run)["pipeline"], checkpoint(config.get_base_dir())["pipeline"]
    geometry = [name for name in old if name.startswith(("_model.proposal", "_model.radiance"))]
    assert all(torch.equal(old[name], new[name]) for name in geometry)


@pytest.mark.slow
@pytest.mark.parametrize("method", [ovs3d_method, ovs3d_paper_method], ids=lambda method: method.config.method_name)
def test_full_sizes_train(
    method: MethodSpecification, scene_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OVS3D_CACHE", str(tmp_path / "cache"))
    config = deepcopy(method.config)
    assert isinstance(config, OVS3DTrainerConfig)
    config.data, config.output_dir, config.classes = scene_folder, tmp_path, ("a red ball", "a wooden wall")
    config.encoder, config.dino, config.vis = "tiny-clip", "tiny-dino", "tensorboard"
    config.machine.device_type, config.timestamp = "cpu", "run"
    config.geometry_steps, config.max_num_iterations = 1, 3
    assert count_steps(config) == [0, 1, 2]
    scene = Scene.load(config.get_base_dir())
    assert scene.segment(scene.held_out_outputs.cameras[0:1]).labels.unique().max() <= 1
