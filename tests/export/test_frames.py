"""Frames of videos: panels, colours and one depth range for all; what runs show is in tests/end_to_end."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from nerfstudio.cameras.cameras import Cameras

from ovs3d.errors import UserError
from ovs3d.export import frames
from ovs3d.export.frames import OVERLAY_ALPHA, DepthColours, Paint, Show, check_show, depth_limits, painter, write_video
from ovs3d.export.video import VideoWriter, read_frames
from ovs3d.palette import class_colours
from ovs3d.views import Segmentation

CLASSES = ("red box", "room")
HEIGHT, WIDTH, BAR = 30, 64, 16


class FakeScene:
    """The left half is class 0, the right half class 1; all is mid grey, and as far away as the camera's focal length.

    The top row shows nothing.
    """

    classes = CLASSES

    def __init__(self) -> None:
        self.depths: list[float] = []

    def segment(self, camera: Cameras, with_scores: bool) -> Segmentation:
        far = camera.fx.item()
        self.depths.append(far)
        labels = torch.zeros(HEIGHT, WIDTH, dtype=torch.int64)
        labels[:, WIDTH // 2 :], labels[0] = 1, -1
        depth = torch.linspace(0.5 * far, far, WIDTH).repeat(HEIGHT, 1)
        depth[0] = torch.inf
        return Segmentation(labels, None, torch.full((HEIGHT, WIDTH, 3), 0.5), depth, CLASSES)


def cameras(*depths: float) -> Cameras:
    poses = torch.eye(4)[None, :3].repeat(len(depths), 1, 1)
    return Cameras(poses, fx=torch.tensor(depths)[:, None], fy=1.0, cx=1.0, cy=1.0, width=WIDTH, height=HEIGHT)


def paint_of(scene: Any, show: Show = "side-by-side") -> Paint:
    return getattr(painter, "__wrapped__", painter)(scene, show)  # The fake is not what is annotated.


def test_depth_limits_leave_out_a_few_and_leave_room() -> None:
    depth = torch.ones(50, 40)
    depth[0, :4], depth[1, :4] = 100.0, 0.001
    low, high = depth_limits(depth)
    assert low == pytest.approx(0.7) and high == pytest.approx(1.4, abs=1e-4)


def test_frame_has_three_panels_over_a_legend() -> None:
    frame = paint_of(FakeScene())(cameras(2.0))
    assert frame.dtype == np.uint8 and frame.shape[1] == 3 * WIDTH
    panels = frame[BAR : BAR + HEIGHT]
    assert (panels[:, :WIDTH] == 128).all(), "the first panel is the colour"
    colours = class_colours(2)
    expected = [(1.0 - OVERLAY_ALPHA) * 128 + OVERLAY_ALPHA * colours[i].astype(float) for i in (0, 1)]
    np.testing.assert_allclose(panels[15, WIDTH + 10], expected[0], atol=2)
    np.testing.assert_allclose(panels[15, WIDTH + 50], expected[1], atol=2)
    assert (panels[0, WIDTH : 2 * WIDTH] == 128).all(), "no class is painted where nothing is"
    shades = panels[15, 2 * WIDTH :].astype(int)
    assert (shades == panels[3, 2 * WIDTH :]).all() and (shades[0] != shades[-1]).any()
    assert (panels[0, 2 * WIDTH :] == 0).all(), "depth is black where nothing is"
    legend = frame[BAR + HEIGHT :].reshape(-1, 3)
    assert all((legend == colour).all(axis=1).any() for colour in colours)


def test_overlay_and_depth_are_panels_of_the_whole() -> None:
    whole, camera = paint_of(FakeScene())(cameras(2.0))[BAR : BAR + HEIGHT], cameras(2.0)
    painted = paint_of(FakeScene(), "overlay")(camera)
    assert np.array_equal(painted[:HEIGHT], whole[:, WIDTH : 2 * WIDTH]) and len(painted) > HEIGHT
    assert np.array_equal(paint_of(FakeScene(), "depth")(camera), whole[:, 2 * WIDTH :])


def test_video_has_a_frame_for_each_camera_and_one_depth_range(tmp_path: Path) -> None:
    scene = FakeScene()
    write_video(paint_of(scene, "depth"), cameras(1.0, 1.0, 2.0), VideoWriter(tmp_path / "a.mp4", 10))
    read = read_frames(tmp_path / "a.mp4").astype(int)
    assert scene.depths == [1.0, 1.0, 2.0] and len(read) == 3
    assert np.abs(read[0] - read[1]).mean() < 5.0
    assert np.abs(read[0] - read[2]).mean() > 40.0, "what is further off looks so"


def test_features_are_painted_a_few_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    features = torch.randn(HEIGHT, WIDTH, 5, generator=torch.Generator().manual_seed(0))
    features[0] = 0.0
    monkeypatch.setattr(frames, "sample_features", lambda scene: features[1:].flatten(0, 1))
    pictures = []
    for rows in (HEIGHT, 7):
        scene = SimpleNamespace(feature_rows=lambda camera, rows=rows: iter(features.split(rows)))
        pictures.append(paint_of(scene, "pca")(cameras(1.0)))
    assert pictures[0].shape == (HEIGHT, WIDTH, 3) and np.array_equal(*pictures)
    assert (pictures[0][0] == 0).all() and pictures[0][1:].std() > 20.0


def test_first_depth_that_shows_anything_sets_the_range() -> None:
    colours = DepthColours()
    assert (colours(torch.full((2, 2), torch.inf)) == 0).all() and colours.limits is None
    colours(torch.tensor([[1.0, torch.inf]]))
    assert colours.limits == pytest.approx((0.7, 1.4), abs=1e-4)
    colours(torch.tensor([[9.0, 9.0]]))
    assert colours.limits == pytest.approx((0.7, 1.4), abs=1e-4)


@pytest.mark.parametrize(
    ("show", "has_query", "has_classes"), [("relevancy", False, True), ("pca", True, False), ("depth", False, True)]
)
def test_what_would_not_be_shown_is_refused(show: Any, has_query: bool, has_classes: bool) -> None:
    with pytest.raises(UserError, match=f"--show {show}"):
        check_show(show, has_query, has_classes)


def test_interrupted_rendering_leaves_no_file(tmp_path: Path) -> None:
    scene = FakeScene()
    scene.segment = lambda camera, with_scores: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        write_video(paint_of(scene), cameras(1.0), VideoWriter(tmp_path / "a.mp4", 10))
    assert list(tmp_path.iterdir()) == []
