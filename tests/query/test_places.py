"""Where in space something is."""

from pathlib import Path

import numpy as np
import torch
from plyfile import PlyData
from scipy.sparse import csr_matrix

from ovs3d.export.pointcloud import LabelledPoints
from ovs3d.query.places import Places
from ovs3d.query.score import Judgement

STEP = 0.1


def cube(middle: tuple[float, float, float], count: int) -> np.ndarray:
    """`count`^3 points of a lattice about `middle`."""
    axis = STEP * (np.arange(count) - (count - 1) / 2)
    return np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3) + np.array(middle)


def places(mask_small: bool = True, mask_large: bool = True) -> Places:
    """Two cubes; the second view shows most of the small one."""
    small, large = cube((0.0, 0.0, 0.0), 4), cube((5.0, 0.0, 0.0), 6)
    points = np.concatenate([small, large])
    pixels = np.repeat([[1, 9], [4, 0]], [len(small), len(large)], axis=0)
    cloud = LabelledPoints(
        points=points,
        normals=np.zeros_like(points),
        rgb=np.zeros(points.shape, np.uint8),
        labels=np.zeros(len(points), np.int64),
        confidence=np.ones(len(points), np.float32),
        voxel=STEP,
        pixels=csr_matrix(pixels),
    )
    mask = np.repeat([mask_small, mask_large], [len(small), len(large)])
    found = torch.from_numpy(mask)
    return Places("a cube", Judgement(found.float(), None, found), cloud, ("first", "second"))


def test_parts_have_boxes_and_the_largest_comes_first() -> None:
    both = places()
    assert [box.points for box in both.boxes] == [6**3, 4**3]
    assert both.centroid is not None
    np.testing.assert_allclose(both.centroid, [5.0, 0.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(both.boxes[1].extent, 3 * STEP, atol=1e-9)
    assert all(box.label is None for box in both.boxes)


def test_best_view_is_that_of_most_pixels_of_what_was_found() -> None:
    assert places(mask_large=False).best_view == "second"
    assert places(mask_small=False).best_view == "first"


def test_a_crumb_is_seen_though_it_has_no_box() -> None:
    whole = places()
    judged = Judgement(whole.judged.scores, None, torch.arange(len(whole.judged.mask)) < 2)
    crumb = Places("a crumb", judged, whole.cloud, whole.views)
    assert crumb.boxes == [] and crumb.centroid is None and crumb.best_view == "second"


def test_nothing_has_no_place(tmp_path: Path) -> None:
    nothing = places(False, False)
    assert nothing.boxes == [] and nothing.centroid is None and nothing.best_view is None


def test_found_points_are_saved(tmp_path: Path) -> None:
    places(mask_large=False).save(tmp_path / "points.ply")
    assert len(PlyData.read(tmp_path / "points.ply")["vertex"]) == 4**3
