"""The LLFF poses of 3D-OVS scenes."""

from pathlib import Path

import numpy as np
import pytest

from ovs3d.data.llff import find_images, opengl_poses, read_llff
from ovs3d.data.transforms import read_transforms
from ovs3d.errors import UserError
from tests.data.scene_writer import FOCAL, image_name, write_images, write_llff, write_transforms


def test_axes_by_hand() -> None:
    # A camera whose right is x, whose down is -z and which looks along +y stands upright in a world with z up.
    right, down, back, position = np.eye(3)[0], -np.eye(3)[2], -np.eye(3)[1], np.array([1.0, 2.0, 3.0])
    found = opengl_poses(np.stack([down, right, back, position], axis=1)[None])[0]
    np.testing.assert_array_equal(found.T, [right, np.eye(3)[2], back, position])


def test_same_views_as_from_transforms(tmp_path: Path) -> None:
    llff = read_llff(write_llff(tmp_path / "llff", 5))
    reference = read_transforms(write_transforms(tmp_path / "json", 5) / "transforms.json")
    assert len(llff.views) == 5
    for view, other in zip(llff.views, reference.views, strict=True):
        assert view.image.name == other.image.name
        assert view.intrinsics == other.intrinsics
        np.testing.assert_allclose(view.pose, other.pose, atol=1e-12)


def test_smaller_photographs_scale_the_focal_length(tmp_path: Path) -> None:
    scene = write_llff(tmp_path, 3)
    (scene / "images").rename(scene / "full")
    write_images(scene / "images_4", 3, (12, 8))
    write_images(scene / "images_2", 3, (24, 16))
    view = read_llff(scene).views[0]
    assert view.image.parent.name == "images_2"
    assert (view.intrinsics.fx, view.intrinsics.cx, view.intrinsics.cy) == (FOCAL / 2, 12, 8)


def test_bad_pose_files(tmp_path: Path) -> None:
    scene = write_llff(tmp_path, 4)
    rows = np.load(scene / "poses_bounds.npy")
    np.save(scene / "poses_bounds.npy", rows[:3])
    with pytest.raises(UserError, match=r"poses of 3 images but .*images holds 4"):
        read_llff(scene)
    np.save(scene / "poses_bounds.npy", rows[:, :15])
    with pytest.raises(UserError, match=r"shape \[4, 15\], not \[views, 17\]"):
        read_llff(scene)
    np.save(scene / "poses_bounds.npy", rows.astype(object), allow_pickle=True)
    with pytest.raises(UserError, match="cannot be read as an array"):
        read_llff(scene)
    rows[2, 0] = np.nan
    np.save(scene / "poses_bounds.npy", rows)
    with pytest.raises(UserError, match=r"frame 2.*finite"):
        read_llff(scene)


def test_images_of_another_shape_or_none(tmp_path: Path) -> None:
    scene = write_llff(tmp_path, 2)
    write_images(scene / "images", 2, (32, 48))
    with pytest.raises(UserError, match=rf"{image_name(0)} has 32x48 pixels but .* is for 48x32"):
        read_llff(scene)
    for path in (scene / "images").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="holds no images"):
        find_images(scene)
