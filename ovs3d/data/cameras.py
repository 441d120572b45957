"""Cameras of another image size."""

import torch
from jaxtyping import Int
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor


def smaller_size(cameras: Cameras, view: int, side: int) -> tuple[int, int]:
    """(rows, columns) of a photograph whose long side is at most `side`; it does not grow."""
    height, width = int(cameras.height[view]), int(cameras.width[view])
    scale = min(1.0, side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def resized(cameras: Cameras, height: int | Int[Tensor, "views 1"], width: int | Int[Tensor, "views 1"]) -> Cameras:
    """The same views in `height` x `width` pixels, one size or one for each; both axes are scaled on their own.

    nerfstudio's `rescale_output_resolution` rounds sizes in its own way and cannot be told both of them.
    """
    x, y = width / cameras.width.float(), height / cameras.height.float()
    return Cameras(
        camera_to_worlds=cameras.camera_to_worlds,
        fx=cameras.fx * x,
        fy=cameras.fy * y,
        cx=cameras.cx * x,
        cy=cameras.cy * y,
        width=torch.zeros_like(cameras.width) + width,
        height=torch.zeros_like(cameras.height) + height,
        distortion_params=cameras.distortion_params,
        camera_type=cameras.camera_type,
        metadata=cameras.metadata,
    )
