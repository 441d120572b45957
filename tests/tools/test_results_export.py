"""What exports are measured against: exact surfaces in the data's coordinates."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from plyfile import PlyData, PlyElement
from scipy.spatial.transform import Rotation

from ovs3d.data.layouts import read_scene
from tools.results.truth import Truth, exact_view
from tools.results_export import mesh_error, points_miou

ROOM = Path(__file__).parents[2] / "data" / "room"


@pytest.fixture
def truth() -> Truth:
    """A unit sphere of two halves, and a point without a label far away."""
    points = Rotation.random(20_000, rng=np.random.default_rng(0)).as_matrix()[:, 0]
    labels = (points[:, 2] > 0.0).astype(np.int64)
    return Truth(np.concatenate([points, [[0.0, 0.0, 9.0]]]), np.append(labels, -1))


def write_points(path: Path, points: np.ndarray, labels: np.ndarray) -> Path:
    vertices = np.array(
        [(*point, label) for point, label in zip(points, labels, strict=True)],
        dtype=[("x", "f4"), ("y", "f4"), ("z", "f4"), ("label", "i4")],
    )
    PlyData([PlyElement.describe(vertices, "vertex")]).write(path)
    return path


def test_miou_of_points_counts_the_nearest_true_labels(truth: Truth, tmp_path: Path) -> None:
    places = np.array([[0.0, 0.0, 1.1], [0.0, 0.1, 0.9], [0.0, 0.0, -1.0], [0.0, 0.3, -1.0], [0.0, 0.0, 8.0]])
    right = write_points(tmp_path / "right.ply", places, np.array([1, 1, 0, 0, 0]))
    assert points_miou(right, truth, ("lower", "upper")) == 1.0
    wrong = write_points(tmp_path / "wrong.ply", places, np.array([1, 0, 0, 0, 0]))
    assert points_miou(wrong, truth, ("lower", "upper")) == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_error_of_a_mesh_is_a_part_of_the_extent(truth: Truth, tmp_path: Path) -> None:
    assert truth.extent == pytest.approx(10.0, abs=0.01)
    trimesh.creation.icosphere(4, radius=1.2).export(tmp_path / "mesh.ply")
    assert mesh_error(tmp_path / "mesh.ply", truth) == pytest.approx(2.0, abs=0.05)


def test_exact_views_of_the_bundled_scene_agree() -> None:
    posed = read_scene(ROOM)
    first, second = (exact_view(posed.views[i], np.zeros((240, 320), np.int64)) for i in (0, 1))
    points = first.back_project().reshape(-1, 3)
    assert points[:, 2].min() == pytest.approx(0.0, abs=0.01), "the floor"
    local = (points - second.position) @ second.rotation
    pixels = local[:, :2] / local[:, 2:] * second.focal + second.centre
    column, row = np.floor(pixels).astype(int).T
    inside = (local[:, 2] > 0.0) & (column >= 0) & (column < 320) & (row >= 0) & (row < 240)
    assert inside.mean() > 0.2
    expected = second.depth[row[inside], column[inside]]
    assert np.mean(np.abs(expected - local[inside, 2]) < 0.03) > 0.6, "what both see is at one place"
