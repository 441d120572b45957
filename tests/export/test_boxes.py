"""Boxes about the connected parts of classes."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.spatial.transform import Rotation

from ovs3d.export.boxes import bounding_box, connected_parts, find_boxes, write_boxes
from ovs3d.export.pointcloud import LabelledPoints

STEP = 0.05


def surface(sides: tuple[float, float, float]) -> np.ndarray:
    """Points `STEP` apart on the surface of a box about the origin."""
    axes = [np.linspace(-side / 2, side / 2, round(side / STEP) + 1) for side in sides]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return grid[np.isclose(np.abs(grid), np.array(sides) / 2).any(axis=-1)]


def cloud(points: np.ndarray, labels: np.ndarray) -> LabelledPoints:
    return LabelledPoints(
        points=points,
        normals=np.zeros_like(points),
        rgb=np.zeros(points.shape, np.uint8),
        labels=labels,
        confidence=np.ones(len(points), np.float32),
        voxel=STEP,
        pixels=csr_matrix((len(points), 1), dtype=np.int64),
    )


def turned(sides: tuple[float, float, float], turn: np.ndarray, centre: list[float]) -> np.ndarray:
    return surface(sides) @ turn.T + np.array(centre)


def test_box_of_a_turned_cuboid_is_that_cuboid() -> None:
    turn = Rotation.from_euler("xyz", [0.4, -0.7, 1.1]).as_matrix()
    box = bounding_box(turned((0.4, 1.2, 0.8), turn, [1.0, 2.0, -3.0]), 0)
    np.testing.assert_allclose(box.extent, [1.2, 0.8, 0.4], atol=1e-6)
    np.testing.assert_allclose(box.centre, [1.0, 2.0, -3.0], atol=1e-6)
    np.testing.assert_allclose(np.abs(box.axes.T @ turn[:, [1, 2, 0]]), np.eye(3), atol=1e-6)
    assert np.linalg.det(box.axes) == pytest.approx(1.0)


def test_flat_parts_have_flat_boxes() -> None:
    flat = surface((0.4, 1.2, 0.8)) * [0.0, 1.0, 1.0]
    np.testing.assert_allclose(bounding_box(flat, 0).extent, [1.2, 0.8, 0.0], atol=1e-6)


def test_two_cubes_of_a_class_give_two_boxes_and_crumbs_none() -> None:
    first = turned((0.8, 0.8, 0.8), np.eye(3), [0.0, 0.0, 0.0])
    second = turned((0.4, 0.4, 0.4), Rotation.from_euler("z", 0.5).as_matrix(), [2.0, 0.0, 0.0])
    crumb, other = first[:6] + 5.0, turned((0.4, 0.6, 0.4), np.eye(3), [0.0, 3.0, 0.0])
    parts = (second, first, crumb, other)
    labels = np.repeat([1, 1, 1, 3], [len(part) for part in parts])
    boxes = find_boxes(cloud(np.concatenate(parts), labels), 5)
    assert [(box.label, box.points) for box in boxes] == [(1, len(first)), (1, len(second)), (3, len(other))]
    np.testing.assert_allclose(boxes[0].extent, 0.8, atol=1e-6)
    np.testing.assert_allclose(boxes[1].centre, [2.0, 0.0, 0.0], atol=1e-6)


def test_parts_equal_those_of_flood_filling() -> None:
    points = np.random.default_rng(0).random((60, 3))
    near = np.linalg.norm(points[:, None] - points, axis=-1) <= 0.2
    reachable = np.linalg.matrix_power(near.astype(float), 60) > 0.0
    part = connected_parts(points, 0.2)
    assert part.max() > 2 and np.array_equal(part[:, None] == part, reachable)


def test_json_is_read_back(tmp_path: Path) -> None:
    boxes = find_boxes(cloud(surface((0.8, 0.6, 0.4)), np.ones(len(surface((0.8, 0.6, 0.4))), np.int64)), 2)
    write_boxes(tmp_path / "boxes.json", boxes, ["a wall", "Würfel"])
    (row,) = json.loads((tmp_path / "boxes.json").read_text(encoding="utf-8"))["boxes"]
    assert row["class"] == "Würfel" and row["label"] == 1 and row["points"] == boxes[0].points
    for name, values in (("centre", boxes[0].centre), ("axes", boxes[0].axes), ("extent", boxes[0].extent)):
        np.testing.assert_allclose(row[name], values)
