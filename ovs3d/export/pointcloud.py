"""Labelled points: rendered views fused on a grid of voxels, and written as PLY."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64, Shaped, UInt8
from plyfile import PlyData, PlyElement
from scipy.sparse import coo_matrix, csr_matrix
from scipy.spatial import KDTree

from ovs3d.errors import UserError
from ovs3d.export.views import RenderedView
from ovs3d.files import whole_file

VOXEL_PIXELS = 2.0
"""Side of a voxel in widths of a pixel at the median depth."""
MIN_VIEWS = 2
"""A voxel that fewer views see holds no point: what is really there is seen again."""
MIN_NEIGHBOURS = 4
"""A point with fewer others within two voxels is an outlier; inside a surface there are about twelve."""
NORMAL_STEP = 2
"""Pixels to either side between which the slope of a surface is taken."""
GRAZING = 0.1
"""Least cosine between a surface's normal and the ray; below, a pixel lies on the edge of something."""
NO_AGREEMENT = "No two training views of the run agree on a surface; train its geometry for more steps."


@dataclass(frozen=True)
class LabelledPoints:
    """Points on the surfaces of a scene, in the coordinates and units of its data."""

    points: Float[np.ndarray, "points 3"]
    normals: Float[np.ndarray, "points 3"]
    """Unit vectors that point to where the surface was seen from."""
    rgb: UInt8[np.ndarray, "points 3"]
    labels: Int64[np.ndarray, " points"]
    """Index of the class."""
    confidence: Float32[np.ndarray, " points"]
    """In [0, 1]: the label's probability, averaged over the pixels merged into the point; 0 counts for a pixel of which
    another class is the best."""
    voxel: float
    """Side of the voxels that pixels were merged in."""
    pixels: csr_matrix
    """[points, views]: how many pixels of each view were merged into each point."""


def voxel_size(views: Sequence[RenderedView]) -> float:
    """`VOXEL_PIXELS` widths of a pixel at the median depth.

    Raises:
        UserError: no pixel has a depth.
    """
    widths = np.concatenate([view.depth[view.depth > 0.0] / view.focal[0] for view in views])
    if len(widths) == 0:
        raise UserError("The run shows no surface in any of its training views; train its geometry for more steps.")
    return VOXEL_PIXELS * float(np.median(widths))


def fuse(views: Sequence[RenderedView]) -> LabelledPoints:
    """Merges the pixels of all views that fall into one voxel into one point.

    Places, normals and colours are averaged, and the label is the class whose pixels have the greatest summed
    probability, so that every point has one label whichever view it is seen from.

    Raises:
        UserError: the views show no surface that two of them agree on.
    """
    voxel = voxel_size(views)
    pixels = [_pixels(view, number) for number, view in enumerate(views)]
    points, normals, rgb, labels, confidence, numbers = (np.concatenate(column) for column in zip(*pixels, strict=True))
    if len(points) == 0:
        raise UserError(NO_AGREEMENT)
    cells = _cells(points, voxel)
    _, cell = np.unique(cells, return_inverse=True)
    pixels_of = coo_matrix((np.ones(len(cell), np.int64), (cell, numbers)), shape=(cell.max() + 1, len(views))).tocsr()
    kept = np.diff(pixels_of.indptr) >= min(MIN_VIEWS, len(views))
    label, probability = _vote(cell, labels, confidence)
    size = np.bincount(cell)
    middle, normal, colour = (_sums(cell, column)[kept] for column in (points, normals, rgb))
    merged = LabelledPoints(
        points=middle / size[kept, None],
        normals=normal / np.linalg.norm(normal, axis=-1, keepdims=True).clip(1e-12),
        rgb=(colour / size[kept, None]).round().astype(np.uint8),
        labels=label[kept],
        confidence=(probability / size)[kept].astype(np.float32),
        voxel=voxel,
        pixels=pixels_of[kept],
    )
    cloud = select(merged, in_company(merged.points, 2.0 * voxel))
    if len(cloud.points) == 0:
        raise UserError(NO_AGREEMENT)
    return cloud


def select(cloud: LabelledPoints, chosen: Bool[np.ndarray, " points"]) -> LabelledPoints:
    """The chosen points."""
    return LabelledPoints(
        points=cloud.points[chosen],
        normals=cloud.normals[chosen],
        rgb=cloud.rgb[chosen],
        labels=cloud.labels[chosen],
        confidence=cloud.confidence[chosen],
        voxel=cloud.voxel,
        pixels=cloud.pixels[chosen],
    )


def in_company(points: Float[np.ndarray, "points 3"], radius: float) -> Bool[np.ndarray, " points"]:
    """Which points have `MIN_NEIGHBOURS` others within `radius`."""
    # The point itself is its own first neighbour; a missing one is infinitely far.
    distance, _ = KDTree(points).query(points, k=MIN_NEIGHBOURS + 1, distance_upper_bound=radius)
    return np.isfinite(distance[:, -1])


def surface_normals(view: RenderedView) -> Float[np.ndarray, "h w 3"]:
    """Unit normals towards the camera, from differences of back-projected pixels; NaN where a depth is unknown."""
    points = np.pad(view.back_project(), ((NORMAL_STEP,) * 2, (NORMAL_STEP,) * 2, (0, 0)), mode="edge")
    step = 2 * NORMAL_STEP
    down = points[step:, NORMAL_STEP:-NORMAL_STEP] - points[:-step, NORMAL_STEP:-NORMAL_STEP]
    right = points[NORMAL_STEP:-NORMAL_STEP, step:] - points[NORMAL_STEP:-NORMAL_STEP, :-step]
    normals = np.cross(down, right)  # Right, down, forwards: down x right is towards the camera.
    normals *= np.sign(np.linalg.det(view.rotation))
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    return normals / np.where(length > 0.0, length, np.nan)


def _pixels(view: RenderedView, number: int) -> tuple[Shaped[np.ndarray, "pixels *_"], ...]:
    """Points, normals, colours, labels, confidences and the view's number of the pixels that show a surface."""
    points, normals = view.back_project(), surface_normals(view)
    rays = points - view.position
    facing = -(rays * normals).sum(axis=-1) / np.linalg.norm(rays, axis=-1)
    seen = facing > GRAZING  # False for NaN.
    numbers = np.full(int(seen.sum()), number)
    return points[seen], normals[seen], view.rgb[seen], view.labels[seen], view.confidence[seen], numbers


def _cells(points: Float[np.ndarray, "points 3"], voxel: float) -> Int64[np.ndarray, " points"]:
    """One number for each voxel."""
    places = np.floor((points - points.min(axis=0)) / voxel).astype(np.int64)
    sides = places.max(axis=0) + 1
    return (places[:, 0] * sides[1] + places[:, 1]) * sides[2] + places[:, 2]


def _sums(cell: Int64[np.ndarray, " points"], values: Shaped[np.ndarray, "points 3"]) -> Float[np.ndarray, "cells 3"]:
    return np.stack([np.bincount(cell, weights=column) for column in values.T], axis=-1)


def _vote(
    cell: Int64[np.ndarray, " points"],
    labels: Int64[np.ndarray, " points"],
    confidence: Float32[np.ndarray, " points"],
) -> tuple[Int64[np.ndarray, " cells"], Float[np.ndarray, " cells"]]:
    """The label of the greatest summed confidence in each cell, and that sum."""
    span = int(labels.max(initial=0)) + 1
    pairs, pair = np.unique(cell * span + labels, return_inverse=True)
    sums = np.bincount(pair, weights=confidence)
    order = np.lexsort((sums, pairs // span))  # By cell, and in a cell the greatest sum last.
    last = np.append(np.diff(pairs[order] // span) > 0, True)
    winners = order[last]
    return pairs[winners] % span, sums[winners]


def write_ply(path: Path, cloud: LabelledPoints) -> None:
    """Writes a binary PLY of x y z, nx ny nz, red green blue, label and confidence, for each point."""
    vertices = np.empty(
        len(cloud.points),
        dtype=[(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
        + [(name, "u1") for name in ("red", "green", "blue")]
        + [("label", "<i4"), ("confidence", "<f4")],
    )
    columns: Iterable[np.ndarray] = (*cloud.points.T, *cloud.normals.T, *cloud.rgb.T, cloud.labels, cloud.confidence)
    for name, column in zip(vertices.dtype.names or (), columns, strict=True):
        vertices[name] = column
    with whole_file(path) as draft:
        PlyData([PlyElement.describe(vertices, "vertex")], byte_order="<").write(draft)
