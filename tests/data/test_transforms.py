"""`transforms.json` of nerfstudio and instant-ngp, good and bad."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nerfstudio.cameras.cameras import CameraType

from ovs3d.data.transforms import read_transforms
from ovs3d.errors import UserError
from tests.data.scene_writer import FOCAL, HEIGHT, WIDTH, image_name, make_cameras, transforms_meta, write_transforms


def read(folder: Path, meta: Any) -> Any:
    (folder / "transforms.json").write_text(meta if isinstance(meta, str) else json.dumps(meta))
    return read_transforms(folder / "transforms.json")


def test_views_are_sorted_by_file_name(tmp_path: Path) -> None:
    posed = read_transforms(write_transforms(tmp_path, 4) / "transforms.json")
    assert [view.image.name for view in posed.views] == [image_name(i) for i in range(4)]
    for view, camera in zip(posed.views, make_cameras(4), strict=True):
        np.testing.assert_allclose(view.pose[:3, 3], camera.position)
        np.testing.assert_allclose(view.pose[:3, 2], -camera.forward)
    assert posed.train is None and posed.held_out is None and posed.camera_type == CameraType.PERSPECTIVE


def test_instant_ngp_leaves_much_out(tmp_path: Path) -> None:
    meta = transforms_meta(make_cameras(2))
    angle = 2 * math.atan(WIDTH / (2 * FOCAL))
    frames = [{**frame, "file_path": frame["file_path"].removesuffix(".png")} for frame in meta["frames"]]
    write_transforms(tmp_path, 2)
    posed = read(tmp_path, {"camera_angle_x": angle, "aabb_scale": 4, "frames": frames})
    intrinsics = posed.views[0].intrinsics
    assert (intrinsics.width, intrinsics.height) == (WIDTH, HEIGHT)
    assert (intrinsics.cx, intrinsics.cy) == (WIDTH / 2, HEIGHT / 2)
    assert intrinsics.fx == pytest.approx(FOCAL) and intrinsics.fy == pytest.approx(FOCAL)
    angle_y = 2 * math.atan(HEIGHT / (2 * 30.0))
    both = read(tmp_path, {"camera_angle_x": angle, "camera_angle_y": angle_y, "frames": frames})
    assert both.views[0].intrinsics.fy == pytest.approx(30.0)


def test_distortion_and_intrinsics_of_single_frames(tmp_path: Path) -> None:
    meta = transforms_meta(make_cameras(2))
    write_transforms(tmp_path, 2)
    meta["frames"][0].update(fl_x=50.0, k1=0.2, p2=0.1)
    meta.update(k1=0.3, k2=-0.1, camera_model="OPENCV_FISHEYE")
    posed = read(tmp_path, meta)
    assert posed.camera_type == CameraType.FISHEYE
    assert posed.views[0].intrinsics.distortion == (0.3, -0.1, 0.0, 0.0, 0.0, 0.0)
    assert posed.views[1].intrinsics.distortion == (0.2, -0.1, 0.0, 0.0, 0.0, 0.1)
    assert posed.views[1].intrinsics.fx == 50.0 and posed.views[1].intrinsics.fy == FOCAL


def test_listed_splits(tmp_path: Path) -> None:
    names = [f"images/{image_name(i)}" for i in range(4)]
    scene = write_transforms(tmp_path, 4, train_filenames=names[:2], val_filenames=names[2:3], test_filenames=names[3:])
    posed = read_transforms(scene / "transforms.json")
    assert posed.train == {tmp_path / name for name in names[:2]}
    assert posed.held_out == {tmp_path / names[3]}


@pytest.mark.parametrize("lists", [{"test_filenames": []}, {"val_filenames": []}])
def test_empty_list_holds_out_nothing(lists: dict, tmp_path: Path) -> None:
    assert read_transforms(write_transforms(tmp_path, 3, **lists) / "transforms.json").held_out == frozenset()


def test_several_missing_images_are_counted(tmp_path: Path) -> None:
    scene = write_transforms(tmp_path, 5)
    for i in (1, 3, 4):
        (scene / "images" / image_name(i)).unlink()
    with pytest.raises(UserError, match=rf"{image_name(1)} and 2 more, not found"):
        read_transforms(scene / "transforms.json")


def changed_frame(**changes: Any) -> dict[str, Any]:
    meta = transforms_meta(make_cameras(3))
    meta["frames"][0].update(changes)
    return meta


def changed(**changes: Any) -> dict[str, Any]:
    meta = {**transforms_meta(make_cameras(3)), **changes}
    return {key: value for key, value in meta.items() if value is not None}


SHEAR = (np.eye(4) + 0.1 * np.eye(4, k=1)).tolist()
MIRROR = np.diag([1.0, -1.0, 1.0, 1.0]).tolist()


@pytest.mark.parametrize(
    ("meta", "parts"),
    [
        ("{", ["cannot be read as JSON"]),
        ("[]", ["holds a list"]),
        ("[" * 100_000, ["cannot be read as JSON"]),
        ({}, ["lists no images"]),
        ({"frames": []}, ["lists no images"]),
        ({"frames": [{}]}, ["frame 0", "no 'file_path'"]),
        (changed_frame(transform_matrix=None), ["frame 0", "'transform_matrix'", "4x4"]),
        (changed_frame(transform_matrix=[[1, 2], [3]]), ["4x4"]),
        (changed_frame(transform_matrix=[[float("nan")] * 4] * 4), ["finite"]),
        (changed_frame(transform_matrix=[[10**400] * 4] * 4), ["finite"]),
        (changed_frame(transform_matrix=MIRROR), ["not a rotation"]),
        (changed_frame(transform_matrix=SHEAR), ["frame 0", "not a rotation"]),
        (changed_frame(file_path=f"images/{image_name(0)}"), [image_name(0), "twice"]),
        (changed_frame(w=WIDTH + 1), [image_name(2), f"{WIDTH}x{HEIGHT}", f"{WIDTH + 1}x{HEIGHT}"]),
        (changed_frame(fl_x="wide"), ["frame 0", "'wide'", "fl_x"]),
        (changed_frame(mask_path="mask.png"), ["'mask_path' in 1 of 3 frames"]),
        (changed_frame(depth_file_path="depth.png"), ["'depth_file_path' in 1 of 3 frames"]),
        (changed(fl_x=None, fl_y=None), ["focal length"]),
        (changed(fl_x=-1.0), ["focal length"]),
        (changed(fl_x=10**400), ["1000", "fl_x", "finite"]),
        (changed(fl_x=None, camera_angle_x=0), ["0 as 'camera_angle_x'", "above 0"]),
        (changed(fl_x=None, camera_angle_x=4.0), ["focal length"]),
        (changed(w=HEIGHT, h=WIDTH), [f"{WIDTH}x{HEIGHT} pixels as stored", f"{HEIGHT}x{WIDTH}", "no EXIF"]),
        (changed(camera_model=["OPENCV"]), ["['OPENCV']", "use one of"]),
        (changed(camera_model="PANORAMA"), ["'PANORAMA'", "OPENCV"]),
        (changed(distortion_params=[0.0]), ["distortion_params"]),
        (changed(orientation_override="left"), ["'left'", "up"]),
        (changed(applied_transform=[1, 2]), ["applied_transform"]),
        (changed(applied_transform=[[0.0] * 4] * 3), ["applied_transform", "flattens"]),
        (changed(applied_scale=0), ["0 as 'applied_scale'", "above 0"]),
        (changed(applied_scale=-2.0), ["-2 as 'applied_scale'"]),
        (changed(fisheye_crop_radius="x"), ["'x' as 'fisheye_crop_radius'"]),
        (changed(test_filenames=["images/nothing.png"]), ["images/nothing.png", "test_filenames"]),
        (changed(train_filenames="all"), ["train_filenames", "not a list"]),
    ],
)
def test_bad_files(tmp_path: Path, meta: Any, parts: list[str]) -> None:
    write_transforms(tmp_path, 3)
    with pytest.raises(UserError) as caught:
        read(tmp_path, meta)
    message = str(caught.value)
    assert all(part in message for part in [*parts, str(tmp_path)])
    assert message.endswith(".") and "\n" not in message


def test_missing_depth_maps_are_named(tmp_path: Path) -> None:
    meta = transforms_meta(make_cameras(3))
    for frame in meta["frames"]:
        frame["depth_file_path"] = "depth/" + Path(frame["file_path"]).name
    write_transforms(tmp_path, 3)
    with pytest.raises(UserError, match=rf"depth_file_path .*depth/{image_name(0)} and 2 more"):
        read(tmp_path, meta)
