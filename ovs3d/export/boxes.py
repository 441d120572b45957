"""Oriented 3D boxes of the things that a class is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int64
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree
from trimesh.bounds import oriented_bounds

from ovs3d.evaluation.report import write_json
from ovs3d.export.pointcloud import LabelledPoints

REACH = 3.0
"""Voxels between two points of one class up to which they belong to one thing."""
MIN_POINTS = 20
MIN_PART = 0.05
"""A part with fewer points than this part of its class's largest is dropped."""


@dataclass(frozen=True)
class OrientedBox:
    """The box of least volume about a connected part of a class."""

    label: int | None
    """Index of the class; None where what was found has none."""
    centre: Float[np.ndarray, "3"]
    axes: Float[np.ndarray, "3 3"]
    """A rotation, whose columns are the box's axes."""
    extent: Float[np.ndarray, "3"]
    """Lengths along the axes, the longest first."""
    points: int
    """Of the part."""


def find_boxes(cloud: LabelledPoints, classes: int) -> list[OrientedBox]:
    """The boxes of all classes, by class and then by number of points, the largest first."""
    labels = range(classes)
    return [box for label in labels for box in boxes_about(cloud.points[cloud.labels == label], cloud.voxel, label)]


def boxes_about(points: Float[np.ndarray, "points 3"], voxel: float, label: int | None = None) -> list[OrientedBox]:
    """Boxes about the connected parts of points that lie about `voxel` apart, the part of most points first."""
    if len(points) == 0:
        return []
    part = connected_parts(points, REACH * voxel)
    sizes = np.bincount(part)
    least = max(MIN_POINTS, MIN_PART * sizes.max())
    return [bounding_box(points[part == index], label) for index in np.argsort(-sizes) if sizes[index] >= least]


def connected_parts(points: Float[np.ndarray, "points 3"], reach: float) -> Int64[np.ndarray, " points"]:
    """Numbers of the parts that points fall into if those within `reach` of each other belong together."""
    pairs = KDTree(points).query_pairs(reach, output_type="ndarray")
    graph = coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(points), len(points)))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def bounding_box(points: Float[np.ndarray, "points 3"], label: int | None) -> OrientedBox:
    """The box of least volume about at least four points."""
    to_box, lengths = oriented_bounds(points)
    order = np.argsort(-lengths, kind="stable")
    rotation = to_box[:3, :3][order]
    rotation[2] *= np.sign(np.linalg.det(rotation))
    return OrientedBox(
        label=label,
        centre=-to_box[:3, :3].T @ to_box[:3, 3],
        axes=rotation.T.copy(),
        extent=lengths[order],
        points=len(points),
    )


def write_boxes(path: Path, boxes: Sequence[OrientedBox], classes: Sequence[str]) -> None:
    """Writes the boxes as JSON, under the field `boxes`, with the names of their classes."""
    rows = []
    for box in boxes:
        assert box.label is not None
        rows.append({"class": classes[box.label], "label": box.label, **box_record(box)})
    write_json(path, {"boxes": rows})


def box_record(box: OrientedBox) -> dict[str, Any]:
    """A box without its class, for JSON."""
    return {"centre": box.centre, "axes": box.axes, "extent": box.extent, "points": box.points}
