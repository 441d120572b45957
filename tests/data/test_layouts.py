"""Which layout a folder has."""

from pathlib import Path

import pytest

from ovs3d.data.layouts import read_scene, scene_folder
from ovs3d.errors import UserError
from tests.data.scene_writer import write_colmap, write_llff, write_transforms


def test_layouts_in_order_of_preference(tmp_path: Path) -> None:
    scene = write_colmap(tmp_path, 3)
    assert read_scene(scene).source == scene / "sparse" / "0"
    write_llff(scene, 3)
    assert read_scene(scene).source == scene / "poses_bounds.npy"
    write_transforms(scene, 3)
    assert read_scene(scene).source == scene / "transforms.json"


def test_a_json_file_may_be_named(tmp_path: Path) -> None:
    scene = write_transforms(tmp_path, 3)
    other = (scene / "transforms.json").rename(scene / "other.json")
    assert len(read_scene(other).views) == 3
    assert scene_folder(other) == scene
    with pytest.raises(UserError, match=r"no file .*transforms\.json"):
        read_scene(scene / "transforms.json")


def test_unknown_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no data folder .*absent"):
        read_scene(tmp_path / "absent")
    with pytest.raises(UserError, match=r"no transforms\.json, no poses_bounds\.npy and no COLMAP model"):
        read_scene(tmp_path)
