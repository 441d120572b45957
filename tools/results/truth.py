"""The exact surface of a generated scene, with exact labels.

It is read from the files of the scene alone, in its own coordinates, so that a wrong change of them shows.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64
from PIL import Image

from ovs3d.data.labels import find_labels, load_label_map
from ovs3d.data.layouts import read_scene
from ovs3d.data.views import View
from ovs3d.export.views import OPENGL_TO_OPENCV, RenderedView

MILLIMETRES = 1e-3


@dataclass(frozen=True)
class Truth:
    """The surface that the exact depth of all views shows."""

    points: Float[np.ndarray, "points 3"]
    labels: Int64[np.ndarray, " points"]
    """Index of the class, -1 where there is no label."""

    @property
    def extent(self) -> float:
        """Longest side of the surface's box along the axes."""
        return float(np.ptp(self.points, axis=0).max())


def exact_view(view: View, labels: Int64[np.ndarray, "h w"]) -> RenderedView:
    """What a perfect field would show of a view with exact depth."""
    assert view.depth is not None
    lens = view.intrinsics
    depth = np.asarray(Image.open(view.depth)).astype(np.float32) * np.float32(MILLIMETRES)
    return RenderedView(
        rotation=view.pose[:3, :3] @ OPENGL_TO_OPENCV,
        position=view.pose[:3, 3],
        focal=(lens.fx, lens.fy),
        centre=(lens.cx, lens.cy),
        depth=depth,
        rgb=np.zeros((*depth.shape, 3), np.uint8),
        labels=labels,
        confidence=np.ones_like(depth),
    )


def read_truth(data: Path, classes: tuple[str, ...]) -> Truth:
    """Back-projects the exact depth of all views of a scene in the layout of data/README.md."""
    posed = read_scene(data)
    files = find_labels(data, [view.image for view in posed.views])
    points, labels = [], []
    for view, path in zip(posed.views, files.paths, strict=True):
        size = (view.intrinsics.height, view.intrinsics.width)
        label = load_label_map(path, files.names, classes, size)
        assert label is not None, f"{view.image} has no label"
        place = exact_view(view, label).back_project()
        known = np.isfinite(place[..., 0])
        points.append(place[known])
        labels.append(label[known])
    return Truth(np.concatenate(points), np.concatenate(labels))


def spread_out(truth: Truth, voxel: float) -> Truth:
    """One point a class in every voxel of that side, so that what is photographed often or nearby counts no more."""
    cells = np.floor(truth.points / voxel).astype(np.int64)
    _, first = np.unique(np.concatenate([cells, truth.labels[:, None]], axis=1), axis=0, return_index=True)
    return Truth(truth.points[first], truth.labels[first])
