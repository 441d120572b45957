"""Cameras of another image size, for protocols that fix one."""

import torch
from nerfstudio.cameras.cameras import Cameras


def resized(camera: Cameras, height: int, width: int) -> Cameras:
    """The same view in `height` x `width` pixels; both axes are scaled on their own.

    nerfstudio's `rescale_output_resolution` rounds sizes in its own way and cannot be told both of them.

    Args:
        camera: a `Cameras` of length 1; it stays as it is.
        height: in pixels.
        width: in pixels.
    """
    x, y = width / camera.width.float(), height / camera.height.float()
    return Cameras(
        camera_to_worlds=camera.camera_to_worlds,
        fx=camera.fx * x,
        fy=camera.fy * y,
        cx=camera.cx * x,
        cy=camera.cy * y,
        width=torch.full_like(camera.width, width),
        height=torch.full_like(camera.height, height),
        distortion_params=camera.distortion_params,
        camera_type=camera.camera_type,
        metadata=camera.metadata,
    )
