"""What the top-level flags mean for the nested configuration."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch

from ovs3d import preflight
from ovs3d.config import ovs3d_tiny_method
from ovs3d.data.dataparser import OVS3DDataParserConfig
from ovs3d.errors import UserError
from ovs3d.schedulers import StageSchedulerConfig
from ovs3d.teachers.text import PHOTO_TEMPLATES
from ovs3d.trainer import GEOMETRY_GROUPS, OVS3DTrainerConfig
from tests.end_to_end.box_scene import CLASSES, DIM, write_features, write_scene


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("flags")
    scene = write_scene(root / "scene", views=4)
    return scene, write_features(root / "features", scene)


@pytest.fixture
def config(folders: tuple[Path, Path]) -> OVS3DTrainerConfig:
    base = ovs3d_tiny_method.config
    assert isinstance(base, OVS3DTrainerConfig)
    config = deepcopy(base)
    config.data, config.features = folders
    config.max_num_iterations, config.geometry_steps = 100, 60
    return config


def test_sizes_come_from_the_features(config: OVS3DTrainerConfig) -> None:
    config.prepare()
    model = config.pipeline.model
    assert (model.feature_dim, model.scales, model.patch_dim) == (DIM, 2, 0)
    assert model.classes == CLASSES and config.pipeline.prompts == tuple((name,) for name in CLASSES)
    assert config.teachers == config.pipeline.datamanager.teachers == ("files",)


def test_classes_are_kept_for_every_reader(config: OVS3DTrainerConfig) -> None:
    config.classes = ("a box: red box | blue box", "room")
    config.prepare()
    parser = config.pipeline.datamanager.dataparser
    assert isinstance(parser, OVS3DDataParserConfig)
    assert parser.classes == config.classes == ("a box: red box | blue box", "room: room")
    assert config.pipeline.prompts == (("red box", "blue box"), ("room",))
    assert config.pipeline.model.classes == ("a box", "room")


def test_templates_are_written_out_for_every_reader(config: OVS3DTrainerConfig, monkeypatch) -> None:
    monkeypatch.setattr("ovs3d.preflight.embed_classes", lambda *_: None)
    config.templates = ("photo", "{} on a table")
    config.prepare()
    assert config.templates == (*PHOTO_TEMPLATES, "{} on a table") == config.pipeline.datamanager.templates
    config.prepare()
    assert config.templates == (*PHOTO_TEMPLATES, "{} on a table")


def test_every_schedule_gets_the_borders_of_its_stage(config: OVS3DTrainerConfig) -> None:
    config.prepare()
    for name, group in config.optimizers.items():
        schedule = group["scheduler"]
        assert isinstance(schedule, StageSchedulerConfig)
        assert (schedule.start, schedule.stop) == ((0, 60) if name in GEOMETRY_GROUPS else (60, 100))
    assert config.pipeline.model.geometry_steps == 60


def test_preparing_twice_changes_nothing(config: OVS3DTrainerConfig) -> None:
    config.prepare()
    once = deepcopy(config)
    config.prepare()
    assert config == once


def test_seed_of_the_table_is_that_of_the_machine(config: OVS3DTrainerConfig) -> None:
    config.machine.seed = 41
    config.prepare()
    assert config.pipeline.seed == 41


def test_user_errors_end_the_program_before_the_run_has_a_name(
    config: OVS3DTrainerConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    config.geometry_steps = 101
    with pytest.raises(UserError, match="--geometry-steps 101"):
        config.prepare()
    with pytest.raises(SystemExit) as stopped:
        config.set_timestamp()
    assert stopped.value.code == 2 and "--geometry-steps 101" in capsys.readouterr().err
    assert config.timestamp == "{timestamp}"


@pytest.fixture
def geometry(config: OVS3DTrainerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OVS3DTrainerConfig:
    """The configuration of a finished run in `tmp_path`, whose geometry `config` is to use."""
    geometry = deepcopy(config)
    geometry.prepare()
    parser = geometry.pipeline.datamanager.dataparser
    parser.setup().get_dataparser_outputs("train").save_dataparser_transform(tmp_path / "dataparser_transforms.json")
    monkeypatch.setattr(preflight, "read_geometry", lambda run: (run / "config.yml", geometry))
    config.load_geometry = tmp_path
    return geometry


def test_geometry_of_the_same_world_fits(config: OVS3DTrainerConfig, geometry: OVS3DTrainerConfig) -> None:
    config.prepare()
    assert (config.geometry_steps, config.max_num_iterations) == (0, 40)


def test_geometry_of_another_world_is_refused(config: OVS3DTrainerConfig, geometry: OVS3DTrainerConfig) -> None:
    config.pipeline.datamanager.dataparser.auto_scale_poses = False  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(UserError, match="another world"):
        config.prepare()


def test_geometry_that_has_seen_the_held_out_views_is_refused(
    config: OVS3DTrainerConfig, geometry: OVS3DTrainerConfig
) -> None:
    geometry.pipeline.datamanager.dataparser.protocol = "paper"  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(UserError, match=r"view_00\.png, which is held out"):
        config.prepare()
    config.pipeline.datamanager.dataparser.protocol = "paper"  # pyright: ignore[reportAttributeAccessIssue]
    config.prepare()


def test_geometry_is_refused_where_no_step_is_left(
    config: OVS3DTrainerConfig, geometry: OVS3DTrainerConfig, tmp_path: Path
) -> None:
    config.geometry_steps = 100
    with pytest.raises(
        UserError, match=f"100 leaves no step .* ns-train ovs3d-tiny --data .* --load-geometry {tmp_path}"
    ):
        config.prepare()


def test_backbone_is_that_of_the_loaded_geometry(
    config: OVS3DTrainerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    geometry = deepcopy(config)
    geometry.pipeline.model.backbone = "tcnn"
    monkeypatch.setattr(preflight, "read_geometry", lambda run: (run, geometry))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config.load_geometry = tmp_path
    with pytest.raises(UserError, match="backbone tcnn"):  # Taken over, and checked after that.
        config.prepare()
    assert config.pipeline.model.backbone == "tcnn"
