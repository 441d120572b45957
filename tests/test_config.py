"""The method specifications: registered, importable in any order, and safe to write and read."""

import subprocess
import sys
from copy import deepcopy
from importlib import metadata
from pathlib import Path

import pytest
import tyro
import yaml
from nerfstudio.configs.method_configs import AnnotatedBaseConfigUnion
from nerfstudio.plugins.types import MethodSpecification

from ovs3d.config import ovs3d_method, ovs3d_paper_method, ovs3d_tiny_method
from ovs3d.safe_yaml import load_config
from ovs3d.trainer import OVS3DTrainerConfig

METHODS = {"ovs3d": ovs3d_method, "ovs3d-tiny": ovs3d_tiny_method, "ovs3d-paper": ovs3d_paper_method}


def config_of(method: MethodSpecification) -> OVS3DTrainerConfig:
    assert isinstance(method.config, OVS3DTrainerConfig)
    return method.config


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_registered_under_their_names(name: str) -> None:
    (entry,) = [e for e in metadata.entry_points(group="nerfstudio.method_configs") if e.name == name]
    assert entry.load() is METHODS[name]
    assert config_of(METHODS[name]).method_name == name


@pytest.mark.parametrize("name", METHODS)
def test_configuration_survives_its_file(name: str, tmp_path: Path) -> None:
    config = deepcopy(config_of(METHODS[name]))
    config.data, config.classes, config.timestamp = Path("data/room"), ("a red apple", "wall: a wall | paint"), "now"
    text = yaml.dump(config)
    assert yaml.load(text, Loader=yaml.Loader) == config
    (tmp_path / "config.yml").write_text(text)
    assert load_config(tmp_path / "config.yml") == config


def test_groups_of_the_model_have_an_optimizer_each() -> None:
    from nerfstudio.data.scene_box import SceneBox
    from torch import ones

    for method in METHODS.values():
        config = deepcopy(config_of(method))
        model_config = config.pipeline.model
        model_config.plane_resolutions, model_config.latent_resolutions = (4,), (4,)
        model_config.texture_log2_size = 6
        model_config.proposal_resolution, model_config.classes = 4, ("a", "b")
        model = model_config.setup(scene_box=SceneBox(ones(2, 3)), num_train_data=1)
        groups = model.get_param_groups()
        assert set(groups) == set(config.optimizers)
        grouped = [parameter for group in groups.values() for parameter in group]
        # Every parameter is in one group and no more, but for the host's empty one.
        trainable = {id(p) for p in model.parameters() if p.numel() > 0}
        assert len(grouped) == len(trainable) and {id(p) for p in grouped} == trainable


def test_viewer_listens_to_this_machine_alone() -> None:
    assert all(config_of(method).viewer.websocket_host == "127.0.0.1" for method in METHODS.values())


@pytest.mark.parametrize("name", METHODS)
def test_held_out_views_are_scored_inside_the_semantic_stage(name: str) -> None:
    config = config_of(METHODS[name])
    semantic_steps = config.max_num_iterations - config.geometry_steps
    for interval in (config.steps_per_eval_all_images, config.steps_per_eval_image):
        # The host evaluates at multiples of the interval; `ovs3d reclass` trains the semantic steps alone.
        assert interval < semantic_steps
        assert config.geometry_steps // interval * interval + interval < config.max_num_iterations


@pytest.mark.parametrize("name", METHODS)
def test_help_of_ns_train_lists_our_flags(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        tyro.cli(AnnotatedBaseConfigUnion, args=[name, "--help"])
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    flags = ("--classes", "--encoder", "--dino", "--teachers", "--features", "--geometry-steps", "--load-geometry")
    assert all(flag in printed for flag in flags)


def test_flags_are_parsed_into_the_configuration() -> None:
    arguments = ["ovs3d-tiny", "--data", "data/room", "--classes", "a red cone", "floor: floor | ground"]
    config = tyro.cli(AnnotatedBaseConfigUnion, args=[*arguments, "--encoder", "tiny-clip", "--teachers", "clip-dense"])
    assert isinstance(config, OVS3DTrainerConfig)
    assert config.classes == ("a red cone", "floor: floor | ground") and config.data == Path("data/room")
    assert config.encoder == "tiny-clip" and config.teachers == ("clip-dense",)
    assert config.pipeline.model.plane_resolutions == config_of(ovs3d_tiny_method).pipeline.model.plane_resolutions


def test_backbone_survives_flag_and_file(tmp_path: Path) -> None:
    config = tyro.cli(AnnotatedBaseConfigUnion, args=["ovs3d", "--pipeline.model.backbone", "tcnn"])
    (tmp_path / "config.yml").write_text(yaml.dump(config))
    read = load_config(tmp_path / "config.yml")
    assert isinstance(read, OVS3DTrainerConfig) and read.pipeline.model.backbone == "tcnn"


@pytest.mark.slow
@pytest.mark.parametrize("order", ["ovs3d.data.dataparser, ovs3d.config", "ovs3d.config, ovs3d.data.dataparser"])
def test_modules_of_the_entry_points_import_in_any_order(order: str) -> None:
    code = (
        f"import {order}; from nerfstudio.configs.method_configs import all_methods;"
        "assert {'ovs3d', 'ovs3d-tiny', 'ovs3d-paper'} <= set(all_methods)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # The host catches a plugin that fails to load, and only prints that.
    assert "Error" not in done.stdout and "Traceback" not in done.stderr
