"""What the field shows of the training views: depth, colour and classes, in the coordinates and units of the data."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64, UInt8
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from rich.progress import track

from ovs3d.data.cameras import resized, smaller_size
from ovs3d.data.splits import spread_evenly
from ovs3d.errors import UserError
from ovs3d.opened_run import OpenedRun
from ovs3d.plane_sweep import FARTHEST

OPENGL_TO_OPENCV = np.diag([1.0, -1.0, -1.0])
"""Turns the axes right, up, backwards into right, down, forwards."""
MAX_PIXELS = 80_000_000
"""Of all views, were they square; fusing them takes about 100 bytes each."""


@dataclass(frozen=True)
class RenderedView:
    """One pinhole view. Pixel (i, j) is centred at (j + .5, i + .5)."""

    rotation: Float[np.ndarray, "3 3"]
    """Camera to world, columns right, down, forwards (OpenCV)."""
    position: Float[np.ndarray, "3"]
    focal: tuple[float, float]
    """fx, fy in pixels."""
    centre: tuple[float, float]
    """cx, cy in pixels."""
    depth: Float32[np.ndarray, "h w"]
    """Along the optical axis; 0 where unknown."""
    rgb: UInt8[np.ndarray, "h w 3"]
    labels: Int64[np.ndarray, "h w"]
    """Index of the best class."""
    confidence: Float32[np.ndarray, "h w"]
    """Probability of the best class, in [0, 1]."""

    def back_project(self) -> Float[np.ndarray, "h w 3"]:
        """World-space point of every pixel; NaN where the depth is unknown."""
        rays = pixel_rays(self.depth.shape, self.focal, self.centre)
        depth = np.where(self.depth > 0.0, self.depth, np.nan)
        return (rays * depth[..., None]) @ self.rotation.T + self.position


def pixel_rays(
    size: tuple[int, ...], focal: tuple[float, float], centre: tuple[float, float]
) -> Float[np.ndarray, "h w 3"]:
    """Vectors of depth 1 through the middles of the pixels of a picture of `size` = (h, w), in the camera's axes."""
    height, width = size
    x = (np.arange(width) + 0.5 - centre[0]) / focal[0]
    y = (np.arange(height) + 0.5 - centre[1]) / focal[1]
    return np.stack([*np.meshgrid(x, y), np.ones((height, width))], axis=-1)


def poses_in_data(
    poses: Float[np.ndarray, "views 3 4"], transform: Float[np.ndarray, "3 4"], scale: float
) -> tuple[Float[np.ndarray, "views 3 3"], Float[np.ndarray, "views 3"]]:
    """Undoes what the dataparser did to the world: rotations and positions of camera-to-world poses in the data's own.

    Args:
        poses: in the training world, which is `scale` times `transform` of the data's.
        transform: `dataparser_transform`.
        scale: `dataparser_scale`.
    """
    inverse = np.linalg.inv(transform[:, :3])
    return inverse @ poses[:, :, :3], (poses[:, :, 3] / scale - transform[:, 3]) @ inverse.T


def small_pinholes(cameras: Cameras, side: int) -> Cameras:
    """The cameras without lens distortion, at most `side` pixels on the long side."""
    sizes = torch.tensor([smaller_size(cameras, view, side) for view in range(len(cameras))])
    small = resized(cameras, sizes[:, :1], sizes[:, 1:])
    small.distortion_params, small.camera_type = None, torch.full_like(small.camera_type, CameraType.PERSPECTIVE.value)
    return small


def chosen_views(outputs: DataparserOutputs, count: int) -> list[int]:
    """At most `count` of the views, spread evenly."""
    return spread_evenly(min(count, len(outputs.cameras)), len(outputs.cameras))


def render_views(run: OpenedRun, count: int, side: int) -> Iterator[RenderedView]:
    """Renders `count` of the training views, spread evenly, as pinhole views in the data's coordinates.

    The confidence is the softmax of the classes' cosines at the temperature that the field was trained with
    (`rendered_temperature`). What lies beyond the range of the plane sweep has no depth: no parallax tells it.

    Args:
        run: a trained one.
        count: at most so many views.
        side: longest side of the views in pixels, at most that of the photographs.

    Raises:
        UserError: the run has no semantics yet, or `count` or `side` is too small.
    """
    if count < 2 or side < 16:
        raise UserError(f"{count} views of {side} pixels show no shape; give at least 2 views of at least 16 pixels.")
    outputs = run.train_outputs
    if min(count, len(outputs.cameras)) * side * side > MAX_PIXELS:
        raise UserError(f"{count} views of {side} pixels are too many pixels; give fewer --views or a smaller --side.")
    cameras = small_pinholes(outputs.cameras[torch.tensor(chosen_views(outputs, count))], side)
    for index in track(range(len(cameras)), description="Rendering"):
        yield _render(run, cameras[index : index + 1], outputs)


def _render(run: OpenedRun, camera: Cameras, outputs: DataparserOutputs) -> RenderedView:
    result = run.segment(camera)
    assert result.scores is not None
    scale = outputs.dataparser_scale
    rotations, positions = poses_in_data(
        camera.camera_to_worlds.double().numpy(), outputs.dataparser_transform.double().numpy(), scale
    )
    focal, centre = (camera.fx.item(), camera.fy.item()), (camera.cx.item(), camera.cy.item())
    confidence = (result.scores / run.config.pipeline.model.rendered_temperature).softmax(dim=-1).amax(dim=-1)
    distance = np.where(result.depth.numpy() < FARTHEST, result.depth.numpy() / scale, 0.0)
    depth = distance / np.linalg.norm(pixel_rays(distance.shape, focal, centre), axis=-1)
    return RenderedView(
        rotation=rotations[0] @ OPENGL_TO_OPENCV,
        position=positions[0],
        focal=focal,
        centre=centre,
        depth=depth.astype(np.float32),
        rgb=(result.rgb * 255.0).round().byte().numpy(),
        labels=result.labels.numpy(),
        confidence=confidence.float().numpy(),
    )
