"""Frames of videos: what each way to show a scene paints of a camera."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, UInt8
from nerfstudio.cameras.cameras import Cameras
from rich.progress import track
from torch import Tensor

from ovs3d.errors import UserError
from ovs3d.evaluation.figures import relevancy_to_rgb
from ovs3d.export.video import VideoWriter, side_by_side
from ovs3d.palette import class_colours, draw_legend, overlay
from ovs3d.pca import PrincipalColours
from ovs3d.query.ask import Query, sample_features
from ovs3d.query.result import to_bytes
from ovs3d.relevancy import unit

if TYPE_CHECKING:
    from ovs3d.scene import Scene

OVERLAY_ALPHA = 0.75
LEAST_SIDE = 16
"""Pixels of the long side of a picture that shows anything."""

Show = Literal["side-by-side", "overlay", "relevancy", "pca", "depth"]
Paint = Callable[[Cameras], UInt8[np.ndarray, "frame_h frame_w 3"]]
"""The frame of one camera."""


def write_video(paint: Paint, cameras: Cameras, video: VideoWriter) -> None:
    """Paints every camera into one video; an interrupted run leaves no file."""
    with video:
        for index in track(range(len(cameras)), description="Rendering"):
            video.add(paint(cameras[index : index + 1]))


def check_show(show: Show, has_query: bool, has_classes: bool) -> None:
    """Refuses what would not show what was asked for.

    Raises:
        UserError: `show` needs a query, or shows neither it nor the classes.
    """
    if show == "relevancy" and not has_query:
        raise UserError('--show relevancy shows that of one query: add --query "a red apple".')
    if show in ("pca", "depth") and (has_query or has_classes):
        shown = [kind for kind in get_args(Show) if kind not in ("pca", "depth")]
        raise UserError(f"--show {show} shows no words: leave --query and --classes out, or show {', '.join(shown)}.")


def check_numbers(frames: int, fps: int = 1, side: int = LEAST_SIDE) -> None:
    """Refuses a video without a frame, without a speed, or too small to be seen.

    Raises:
        UserError: a number is too small.
    """
    for flag, value, least in (("frames", frames, 1), ("fps", fps, 1), ("side", side, LEAST_SIDE)):
        if value < least:
            raise UserError(f"--{flag} {value} is less than {least}; give {least} or more.")


def painter(scene: "Scene", show: Show = "side-by-side", query: Query | None = None) -> Paint:
    """What paints the frames of one video: the scene's classes, or what is found of a query.

    Raises:
        UserError: see `check_show`; the query does not fit the scene; it has no semantics yet.
    """
    check_show(show, query is not None, False)
    if query is not None:
        return query_painter(scene, show, query)
    if show == "pca":
        return pca_painter(scene)
    colours, depth = class_colours(len(scene.classes)), DepthColours()

    def paint(camera: Cameras) -> UInt8[np.ndarray, "frame_h frame_w 3"]:
        """The classes from one camera."""
        result = scene.segment(camera, with_scores=False)
        if show == "depth":
            return depth(result.depth)
        rgb = to_bytes(result.rgb.numpy())
        painted = overlay(rgb, result.labels.numpy(), colours, OVERLAY_ALPHA)
        if show == "side-by-side":
            painted = side_by_side([rgb, painted, depth(result.depth)], ["colour", "segmentation", "depth"])
        return np.concatenate([painted, draw_legend(list(result.classes), colours, painted.shape[1])])

    return paint


def query_painter(scene: "Scene", show: Show, query: Query) -> Paint:
    """What is found of a query: between colour and confidence, over the darkened colour, or the confidence alone."""
    question = scene.ask(query)

    def paint(camera: Cameras) -> UInt8[np.ndarray, "frame_h frame_w 3"]:
        """What is found from one camera."""
        result = scene.answer(question, camera)
        if show == "side-by-side":
            return result.picture
        if show == "relevancy":
            return result.heat
        return result.highlighted

    return paint


def pca_painter(scene: "Scene") -> Paint:
    """Features as colours, which stay the same from frame to frame; black where nothing is."""
    colours = PrincipalColours.fit(sample_features(scene))

    def paint(camera: Cameras) -> UInt8[np.ndarray, "frame_h frame_w 3"]:
        """The features from one camera."""
        rows = map(unit, scene.feature_rows(camera))
        return np.concatenate([to_bytes((colours(each) * each.any(dim=-1, keepdim=True)).numpy()) for each in rows])

    return paint


class DepthColours:
    """Depth as colours, near red and far blue, black where nothing is: of one range for all frames, or they flicker."""

    def __init__(self) -> None:
        self.limits: tuple[float, float] | None = None

    def __call__(self, depth: Float[Tensor, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
        """The first depth map that shows anything sets the range."""
        if self.limits is None and depth.isfinite().any():
            self.limits = depth_limits(depth[depth.isfinite()])
        low, high = self.limits or (0.0, 1.0)
        return relevancy_to_rgb((high - depth.numpy()) / (high - low))


def depth_limits(depth: Float[Tensor, "*n"]) -> tuple[float, float]:
    """Least and greatest depth that get a colour of their own: a little beyond what the first frame shows."""
    low, high = torch.quantile(depth.flatten(), torch.tensor([0.02, 0.98])).tolist()
    return 0.7 * low, 1.4 * high + 1e-6
