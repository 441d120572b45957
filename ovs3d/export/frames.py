"""Frames of a segmentation video: colour, overlay and depth side by side over the legend."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from nerfstudio.cameras.cameras import Cameras
from rich.progress import track
from torch import Tensor

from ovs3d.evaluation.figures import relevancy_to_rgb
from ovs3d.export.video import VideoWriter, side_by_side
from ovs3d.palette import class_colours, draw_legend, overlay
from ovs3d.query.ask import Query
from ovs3d.scene import Scene, Segmentation

OVERLAY_ALPHA = 0.6


def write_video(scene: Scene, cameras: Cameras, path: Path, fps: int) -> None:
    """Renders every camera and writes one MP4; an interrupted run leaves no file."""
    depth_range: tuple[float, float] | None = None
    with VideoWriter(path, fps) as video:
        for index in track(range(len(cameras)), description="Rendering"):
            result = scene.segment(cameras[index : index + 1], with_scores=False)
            if depth_range is None:  # One range for all frames, or the depth panel flickers.
                depth_range = depth_limits(result.depth)
            video.add(compose(result, depth_range))


def write_query_video(scene: Scene, query: Query, cameras: Cameras, path: Path, fps: int) -> None:
    """Renders every camera with what is found of a query and its score; an interrupted run leaves no file."""
    question = scene.ask(query)
    with VideoWriter(path, fps) as video:
        for index in track(range(len(cameras)), description="Rendering"):
            video.add(scene.answer(question, cameras[index : index + 1]).picture)


def depth_limits(depth: Float[Tensor, "h w"]) -> tuple[float, float]:
    """Least and greatest depth that get a colour of their own: a little beyond what the first frame shows."""
    low, high = torch.quantile(depth.flatten(), torch.tensor([0.02, 0.98])).tolist()
    return 0.7 * low, 1.4 * high + 1e-6


def compose(result: Segmentation, depth_range: tuple[float, float]) -> UInt8[np.ndarray, "frame_h frame_w 3"]:
    """One frame."""
    rgb = (result.rgb * 255.0).round().byte().numpy()
    colours = class_colours(len(result.classes))
    painted = overlay(rgb, result.labels.numpy(), colours, OVERLAY_ALPHA)
    low, high = depth_range
    depth = relevancy_to_rgb((high - result.depth.numpy()) / (high - low))
    panels = side_by_side([rgb, painted, depth], ["colour", "segmentation", "depth"])
    legend = draw_legend(list(result.classes), colours, panels.shape[1])
    return np.concatenate([panels, legend])
