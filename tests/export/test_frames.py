"""Frames of the video: panels, colours and one depth range for all."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from ovs3d.export import frames as module
from ovs3d.export.frames import OVERLAY_ALPHA, compose, depth_limits, write_video
from ovs3d.export.video import read_frames
from ovs3d.palette import class_colours
from ovs3d.scene import Segmentation

CLASSES = ("red box", "room")


def make_result(height: int = 30, width: int = 64, depth: float = 2.0) -> Segmentation:
    """The left half is class 0, the right half class 1; all is mid grey."""
    labels = torch.zeros(height, width, dtype=torch.int64)
    labels[:, width // 2 :] = 1
    return Segmentation(
        labels=labels,
        scores=torch.zeros(height, width, 2),
        rgb=torch.full((height, width, 3), 0.5),
        depth=torch.linspace(0.5 * depth, depth, width).expand(height, width),
        classes=CLASSES,
    )


def test_depth_limits_leave_out_a_few_and_leave_room() -> None:
    depth = torch.ones(50, 40)
    depth[0, :4], depth[1, :4] = 100.0, 0.001
    low, high = depth_limits(depth)
    assert low == pytest.approx(0.7) and high == pytest.approx(1.4, abs=1e-4)


def test_frame_has_three_panels_over_a_legend() -> None:
    result = make_result()
    frame = compose(result, (0.5, 3.0))
    assert frame.dtype == np.uint8 and frame.shape[1] == 3 * 64
    bar = 16  # Titles stand above the panels.
    panels = frame[bar : bar + 30]
    assert (panels[:, :64] == 128).all(), "the first panel is the colour"
    colours = class_colours(2)
    expected = [(1.0 - OVERLAY_ALPHA) * 128 + OVERLAY_ALPHA * colours[i].astype(float) for i in (0, 1)]
    np.testing.assert_allclose(panels[15, 64 + 10], expected[0], atol=2)
    np.testing.assert_allclose(panels[15, 64 + 50], expected[1], atol=2)
    shades = panels[15, 128:].astype(int)
    assert (shades == panels[3, 128:]).all() and (shades[0] != shades[-1]).any()
    legend = frame[bar + 30 :].reshape(-1, 3)
    assert all((legend == colour).all(axis=1).any() for colour in colours)


class FakeScene:
    """Renders the same picture, further away with every camera."""

    def __init__(self) -> None:
        self.depths: list[float] = []

    def segment(self, camera: list[float], with_scores: bool) -> Segmentation:
        self.depths.extend(camera)
        return make_result(depth=camera[0])


def record(scene: Any, path: Path) -> None:
    """Writes a video of three views at depths 1, 2 and 4; lists of numbers stand for cameras."""
    write = getattr(write_video, "__wrapped__", write_video)  # The fakes are not what the annotations say.
    write(cast(Any, scene), cast(Any, [1.0, 2.0, 4.0]), path, 10)


def test_video_has_a_frame_for_each_camera_and_one_depth_range(tmp_path: Path, monkeypatch) -> None:
    ranges = []
    monkeypatch.setattr(module, "compose", lambda result, limits: ranges.append(limits) or compose(result, limits))
    scene = FakeScene()
    record(scene, tmp_path / "a.mp4")
    assert scene.depths == [1.0, 2.0, 4.0] and len(read_frames(tmp_path / "a.mp4")) == 3
    assert len(set(ranges)) == 1 and ranges[0] == depth_limits(make_result(depth=1.0).depth)


def test_interrupted_rendering_leaves_no_file(tmp_path: Path) -> None:
    scene = FakeScene()
    scene.segment = lambda camera, with_scores: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        record(scene, tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []
