"""Recordings of ScanNet and Replica."""

from pathlib import Path

import numpy as np
import pytest

from ovs3d.data.dataparser import OVS3DDataParserConfig
from ovs3d.data.distances import known_distance
from ovs3d.data.layouts import read_scene
from ovs3d.data.views import PosedViews
from ovs3d.errors import UserError
from tests.data.scene_writer import FOCAL, HEIGHT, WIDTH, make_cameras, write_replica, write_scannet


def check_poses(posed: PosedViews) -> None:
    """Every view has the pose of its own number, in OpenGL's axes."""
    cameras = make_cameras(12)
    for view in posed.views:
        camera = cameras[int(view.image.stem.split("_")[-1])]
        expected = np.stack([camera.right, -camera.down, -camera.forward, camera.position], axis=1)
        np.testing.assert_allclose(view.pose[:3], expected, atol=1e-9)


def test_scannet_frames_without_a_pose_are_left_out(tmp_path: Path) -> None:
    posed = read_scene(write_scannet(tmp_path))
    assert sorted(int(view.image.stem) for view in posed.views) == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    check_poses(posed)
    intrinsics = posed.views[0].intrinsics
    assert (intrinsics.fx, intrinsics.cx, intrinsics.cy) == (FOCAL, WIDTH / 2, HEIGHT / 2)
    assert posed.views[0].depth == tmp_path / "depth" / "0.png"


def test_replica_numbers_lead_to_their_poses(tmp_path: Path) -> None:
    posed = read_scene(write_replica(tmp_path))
    assert len(posed.views) == 6
    check_poses(posed)
    assert posed.views[0].intrinsics.fx == pytest.approx(WIDTH / 2), "a field of view of 90 degrees"


def test_depth_is_in_millimetres_also_where_it_is_smaller(tmp_path: Path) -> None:
    config = OVS3DDataParserConfig(data=write_scannet(tmp_path), classes=("a", "b"))
    outputs = config.setup().get_dataparser_outputs("train")
    distance = known_distance(outputs, 0, (HEIGHT, WIDTH))
    assert distance is not None
    assert distance.min() == pytest.approx(1.5 * outputs.dataparser_scale, rel=1e-3)


def test_depth_counts_where_all_have_it(tmp_path: Path) -> None:
    scene = write_scannet(tmp_path)
    (scene / "depth" / "7.png").unlink()
    assert all(view.depth is None for view in read_scene(scene).views)


def test_broken_recordings_are_named(tmp_path: Path) -> None:
    scene = write_scannet(tmp_path / "scannet")
    (scene / "pose" / "3.txt").write_text("1 0 0\n")
    with pytest.raises(UserError, match=r"pose/3\.txt cannot be read as numbers"):
        read_scene(scene)
    for path in (scene / "pose").iterdir():
        path.write_text("-inf -inf -inf -inf\n" * 4)
    with pytest.raises(UserError, match="no pose that is known"):
        read_scene(scene)
    replica = write_replica(tmp_path / "replica")
    lines = (replica / "traj_w_c.txt").read_text().splitlines()
    (replica / "traj_w_c.txt").write_text("\n".join(lines[:6]) + "\n")
    with pytest.raises(UserError, match=r"6 poses and none for .*rgb_10\.png"):
        read_scene(replica)
