"""One small scene and one trained run, shared by all tests that do not change them."""

from pathlib import Path

import pytest

from ovs3d.scene import Scene
from ovs3d.trainer import OVS3DTrainerConfig
from tests.end_to_end.box_scene import write_features, write_scene
from tests.end_to_end.runs import LOGGED_STEPS, small_config, train


@pytest.fixture(scope="session")
def scene_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Coloured boxes in a room, with labels."""
    return write_scene(tmp_path_factory.mktemp("scene") / "boxes")


@pytest.fixture(scope="session")
def features_folder(scene_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One-hot features of the scene in the exchange format."""
    return write_features(tmp_path_factory.mktemp("features") / "one-hot", scene_folder)


@pytest.fixture(scope="session")
def trained(scene_folder: Path, features_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> OVS3DTrainerConfig:
    """The configuration of a finished run: enough steps to learn the scene; its geometry alone is kept as well."""
    config = small_config(scene_folder, features_folder, tmp_path_factory.mktemp("outputs"))
    config.save_only_latest_checkpoint = False
    train(config)
    return config


@pytest.fixture(scope="session")
def run(trained: OVS3DTrainerConfig) -> Path:
    """Folder of the trained run."""
    return trained.get_base_dir()


@pytest.fixture(scope="session")
def patch_run(scene_folder: Path, features_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a short run with a patch encoder, logged by tensorboard; its last step evaluates."""
    config = small_config(scene_folder, features_folder, tmp_path_factory.mktemp("patch-outputs"), LOGGED_STEPS)
    config.teachers, config.dino = ("files", "dino"), "tiny-dino"
    config.steps_per_eval_image = config.steps_per_eval_all_images = LOGGED_STEPS[1] - 1
    train(config)
    return config.get_base_dir()


@pytest.fixture(scope="session")
def scene(run: Path) -> Scene:
    """The trained run, opened."""
    return Scene.load(run)
