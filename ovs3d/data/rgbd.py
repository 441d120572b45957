"""Reads RGB-D recordings as they are published: ScanNet's exported frames, and Replica as Semantic-NeRF renders it.

Both keep camera-to-world poses with the axes of OpenCV, right, down, forwards, and depth in millimetres.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from ovs3d.data.images import image_size, list_images
from ovs3d.data.transforms import views_from_meta
from ovs3d.data.views import PosedViews
from ovs3d.errors import UserError

OPENCV_TO_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
TRAJECTORY = "traj_w_c.txt"
REPLICA_FIELD_OF_VIEW = 90.0
"""Of the width, in degrees (arXiv 2103.15875)."""


def find_rgbd(folder: Path) -> Callable[[Path], PosedViews] | None:
    """What reads the recording in `folder`, or None where there is none."""
    if (folder / "color").is_dir() and (folder / "pose").is_dir():
        return read_scannet
    if (folder / "rgb").is_dir() and (folder / TRAJECTORY).is_file():
        return read_replica
    return None


def read_scannet(folder: Path) -> PosedViews:
    """Reads `color/N.jpg`, `pose/N.txt`, `intrinsic/intrinsic_color.txt`, and `depth/N.png` where all frames have one.

    Frames whose pose was lost, which ScanNet writes as infinities, are left out.

    Raises:
        UserError: a file is missing or cannot be read, or every pose was lost.
    """
    matrix = read_numbers(folder / "intrinsic" / "intrinsic_color.txt", (4, 4))
    intrinsics = {"fl_x": matrix[0, 0], "fl_y": matrix[1, 1], "cx": matrix[0, 2], "cy": matrix[1, 2]}
    frames = []
    for image in list_images(folder / "color"):
        pose = read_numbers(folder / "pose" / f"{image.stem}.txt", (4, 4))
        if np.isfinite(pose).all():
            frames.append(frame_of(image, pose, folder / "depth" / f"{image.stem}.png"))
    if not frames:
        raise UserError(f"{folder / 'pose'} has no pose that is known; give frames whose poses are finite.")
    return to_views(folder, frames, intrinsics)


def read_replica(folder: Path) -> PosedViews:
    """Reads `rgb/rgb_N.png`, row N of `traj_w_c.txt`, and `depth/depth_N.png` where all frames have one.

    Raises:
        UserError: the poses cannot be read, or a picture has none.
    """
    poses = read_numbers(folder / TRAJECTORY, (-1, 4, 4))
    frames = []
    for image in list_images(folder / "rgb"):
        number = re.search(r"[0-9]+$", image.stem)
        if number is None or int(number[0]) >= len(poses):
            raise UserError(f"{folder / TRAJECTORY} has {len(poses)} poses and none for {image}; remove the picture.")
        depth = folder / "depth" / f"depth_{number[0]}.png"
        frames.append(frame_of(image, poses[int(number[0])], depth))
    if not frames:
        raise UserError(f"{folder / 'rgb'} holds no pictures; put the frames there.")
    width, height = image_size(folder / frames[0]["file_path"])
    focal = 0.5 * width / np.tan(0.5 * np.radians(REPLICA_FIELD_OF_VIEW))
    return to_views(folder, frames, {"fl_x": focal, "fl_y": focal, "cx": 0.5 * width, "cy": 0.5 * height})


def read_numbers(path: Path, shape: tuple[int, ...]) -> Float64[np.ndarray, "..."]:
    """A text file of numbers in this shape."""
    try:
        return np.loadtxt(path, dtype=np.float64).reshape(shape)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as numbers of shape {shape} ({error}); export it again.") from error


def frame_of(image: Path, pose: Float64[np.ndarray, "4 4"], depth: Path) -> dict[str, Any]:
    """A frame of nerfstudio's form."""
    folder = image.parents[1]
    known = {"depth_file_path": str(depth.relative_to(folder))} if depth.is_file() else {}
    matrix = (pose @ OPENCV_TO_OPENGL).tolist()
    return {"file_path": str(image.relative_to(folder)), "transform_matrix": matrix, **known}


def to_views(folder: Path, frames: list[dict[str, Any]], intrinsics: dict[str, float]) -> PosedViews:
    """Frames of one camera; depth counts only where all of them have it."""
    if not all("depth_file_path" in frame for frame in frames):
        frames = [{name: value for name, value in frame.items() if name != "depth_file_path"} for frame in frames]
    numbers = {name: float(value) for name, value in intrinsics.items()}
    return views_from_meta({"camera_model": "OPENCV", **numbers, "frames": frames}, folder, folder)
