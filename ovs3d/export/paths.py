"""Camera paths for videos."""

import json
from pathlib import Path

import numpy as np
import torch
from nerfstudio.cameras.camera_paths import get_path_from_json
from nerfstudio.cameras.cameras import Cameras
from scipy.interpolate import make_interp_spline
from scipy.spatial.transform import Rotation, Slerp

from ovs3d.data.cameras import resized, smaller_size
from ovs3d.errors import UserError
from ovs3d.scene import Scene

NO_PATH = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, ArithmeticError)
"""All that nerfstudio's reader raises on files that are no camera paths, or have no camera."""


def camera_path(scene: Scene, path: str, frames: int, side: int = 800) -> Cameras:
    """The cameras of a video.

    Args:
        scene: where to.
        path: "orbit", a closed path through the training cameras; "held-out", the held-out cameras one after another;
            or a file, see `path_from_file`.
        frames: of an orbit.
        side: longest side of a picture in pixels, unless the photographs are smaller; a file has a size of its own.

    Raises:
        UserError: the file is no camera path, or the held-out photographs are of several sizes.
    """
    if path == "orbit":
        cameras = smooth_path(scene.train_outputs.cameras, frames)
    elif path == "held-out":
        cameras = scene.held_out_outputs.cameras
    else:
        return path_from_file(Path(path))
    if len({(int(height), int(width)) for height, width in zip(cameras.height, cameras.width, strict=True)}) > 1:
        raise UserError("The held-out photographs are of several sizes, which no video can show; use --path orbit.")
    return resized(cameras, *smaller_size(cameras, 0, side))


def frames_per_second(path: str) -> float | None:
    """The speed that a camera path file asks for, by its number of cameras and its `seconds`; None where it names none.

    Args:
        path: as of `camera_path`, which has read it.
    """
    if path in ("orbit", "held-out"):
        return None
    content = json.loads(Path(path).read_text())
    seconds = content.get("seconds")
    return len(content["camera_path"]) / seconds if isinstance(seconds, int | float) and seconds > 0 else None


def path_from_file(path: Path) -> Cameras:
    """A camera path that nerfstudio's viewer wrote.

    Raises:
        UserError: the file is missing or is no camera path.
    """
    try:
        content = json.loads(path.read_text())
        cameras = get_path_from_json(content)
        if min(int(cameras.width.min()), int(cameras.height.min())) < 1 or not cameras.fx.isfinite().all():
            raise ValueError("its pictures have no pixel, or no angle of view")
        return cameras
    except NO_PATH as error:
        raise UserError(
            f"{path} is no camera path ({error}); give orbit, held-out, or a file from ns-viewer's render tab."
        ) from error


def smooth_path(cameras: Cameras, frames: int, stops: int = 10) -> Cameras:
    """A closed path through `stops` of the training cameras, each next to the last: always inside what was seen.

    An orbit about a centre leaves the captured space wherever the photographer did not walk a circle; this does not.
    """
    positions = cameras.camera_to_worlds[:, :, 3]
    centred = positions - positions.mean(dim=0)
    flat = centred @ torch.linalg.eigh(centred.T @ centred).eigenvectors[:, 1:]  # The two widest directions.
    order = torch.atan2(flat[:, 1], flat[:, 0]).argsort()
    chosen = order[torch.linspace(0, len(order) - 1, min(stops, len(order))).round().long()]
    closed = torch.cat([chosen, chosen[:1]]).cpu()
    poses, count = cameras.camera_to_worlds.cpu(), len(closed)
    at = np.linspace(0, count - 1, frames, endpoint=False)  # The first frame is not shown again at the end.
    turns = Slerp(np.arange(count), Rotation.from_matrix(poses[closed, :, :3].numpy()))(at).as_matrix()
    places = make_interp_spline(np.arange(count), poses[closed, :, 3].numpy(), k=1)(at)
    path = cameras[torch.zeros(frames, dtype=torch.long)]  # All frames through the lens of the first photograph.
    path.camera_to_worlds = torch.from_numpy(np.concatenate([turns, places[:, :, None]], axis=-1)).float()
    return path
