"""COLMAP models."""

from pathlib import Path

import numpy as np
import pytest

from ovs3d.data.colmap import find_colmap, read_colmap
from ovs3d.errors import UserError
from tests.data.scene_writer import FOCAL, image_name, make_cameras, write_colmap


def read(folder: Path):
    model = find_colmap(folder)
    assert model is not None
    return read_colmap(folder, model)


def test_poses_lead_back_to_the_original_world(tmp_path: Path) -> None:
    posed = read(write_colmap(tmp_path, 4))
    assert posed.applied_transform is not None
    applied = np.concatenate([posed.applied_transform, [[0, 0, 0, 1]]])
    for view, camera in zip(posed.views, make_cameras(4), strict=True):
        original = np.linalg.inv(applied) @ view.pose
        np.testing.assert_allclose(original[:3, 3], camera.position, atol=1e-9)
        np.testing.assert_allclose(original[:3, 0], camera.right, atol=1e-9)
        np.testing.assert_allclose(original[:3, 1], -camera.down, atol=1e-9)
        assert view.intrinsics.fx == FOCAL


def test_split_lists(tmp_path: Path) -> None:
    scene = write_colmap(tmp_path, 4)
    (scene / "test_list.txt").write_text(f"{image_name(2)}\n\n")
    posed = read(scene)
    assert posed.held_out == {scene / "images" / image_name(2)} and posed.train is None


def test_no_model_and_bad_models(tmp_path: Path) -> None:
    assert find_colmap(tmp_path) is None
    scene = write_colmap(tmp_path / "s", 3)
    (scene / "images" / image_name(1)).unlink()
    with pytest.raises(UserError, match=rf"{image_name(1)}, not found"):
        read(scene)
    (scene / "sparse" / "0" / "cameras.txt").write_text("1 PINHOLE ten 32 1 1 1 1\n")
    with pytest.raises(UserError, match="cannot be read as a COLMAP model"):
        read(scene)
    (scene / "sparse" / "0" / "cameras.txt").write_text("1 FULL_OPENCV 48 32 40 40 24 16 0 0 0 0 0 0 0 0\n")
    with pytest.raises(UserError, match="cannot be read as a COLMAP model"):
        read(scene)
