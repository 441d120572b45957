"""Points: back-projected surfaces, their normals and labels, and the file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from plyfile import PlyData

from ovs3d.errors import UserError
from ovs3d.export.pointcloud import fuse, in_company, surface_normals, voxel_size, write_ply
from tests.export.synthetic import FOCAL, sphere_view, sphere_views


def test_normals_of_a_sphere_point_outwards() -> None:
    view = sphere_view(np.array([1.5, -2.0, 1.0]))
    normals, points = surface_normals(view), view.back_project()
    inside = np.isfinite(normals[..., 0]) & np.isfinite(points[..., 0])
    assert inside.sum() > 500
    assert np.quantile((normals * points).sum(axis=-1)[inside], 0.05) > 0.98
    np.testing.assert_allclose(np.linalg.norm(normals[inside], axis=-1), 1.0)


def test_mirrored_cameras_have_normals_towards_themselves() -> None:
    view = sphere_view(np.array([1.5, -2.0, 1.0]))
    mirrored = replace(view, rotation=np.diag([1.0, 1.0, -1.0]) @ view.rotation, position=view.position * [1, 1, -1])
    normals, points = surface_normals(mirrored), mirrored.back_project()
    assert np.nanquantile((normals * points).sum(axis=-1), 0.05) > 0.98


def test_voxel_is_two_pixels_wide_at_the_median_depth() -> None:
    view = sphere_view(np.array([0.0, 0.0, 3.0]))
    flat = replace(view, depth=np.full_like(view.depth, 4.5))
    assert voxel_size([flat]) == pytest.approx(2.0 * 4.5 / FOCAL)


def test_views_of_a_sphere_fuse_to_that_sphere() -> None:
    cloud = fuse(sphere_views())
    radius = np.linalg.norm(cloud.points, axis=-1)
    assert len(cloud.points) > 1500 and np.abs(radius - 1.0).max() < 0.1 * cloud.voxel
    assert ((cloud.normals * cloud.points).sum(axis=-1) / radius).min() > 0.95
    off_the_border = np.abs(cloud.points[:, 2]) > cloud.voxel
    above = cloud.points[:, 2] > 0.0
    assert np.array_equal(cloud.labels[off_the_border], above[off_the_border].astype(int))
    assert np.array_equal(cloud.rgb[off_the_border, 0] == 200, above[off_the_border])
    np.testing.assert_allclose(cloud.confidence[off_the_border], 0.8, atol=1e-6)
    assert above.mean() == pytest.approx(0.5, abs=0.05)


def test_votes_are_weighed_by_their_probability() -> None:
    view = sphere_view(np.array([0.0, 0.0, 3.0]))
    sure, unsure = np.full_like(view.depth, 0.9), np.full_like(view.depth, 0.3)
    views = [
        replace(view, labels=np.full_like(view.labels, label), confidence=confidence)
        for label, confidence in ((2, sure), (5, unsure), (5, unsure))
    ]
    cloud = fuse(views)
    assert (cloud.labels == 2).all(), "0.9 outweighs 0.3 + 0.3"
    np.testing.assert_allclose(cloud.confidence, 0.9 / 3, atol=1e-6)
    views[1] = replace(views[1], confidence=sure)
    assert (fuse(views).labels == 5).all()


def test_what_one_view_alone_sees_is_left_out() -> None:
    views = sphere_views()
    views[3].depth[20:40, 30:50] *= 0.5  # Floats before the sphere.
    cloud = fuse(views)
    assert np.abs(np.linalg.norm(cloud.points, axis=-1) - 1.0).max() < 0.1 * cloud.voxel


def test_points_know_the_pixels_that_they_were_merged_from() -> None:
    views = sphere_views()
    cloud = fuse(views)
    assert cloud.pixels.shape == (len(cloud.points), len(views))
    assert cloud.pixels.getnnz(axis=1).min() >= 2
    places = np.stack([view.position for view in views])
    above = cloud.points[:, 2] > 0.9
    shows_most = int(np.argmax(cloud.pixels[above].sum(axis=0)))
    assert places[shows_most, 2] == places[:, 2].max(), "the top is best seen from above"


def test_lonely_points_are_found() -> None:
    grid = np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0), [0.0]), axis=-1).reshape(-1, 3)
    company = in_company(np.concatenate([grid, [[2.5, 2.5, 9.0], [2.5, 2.6, 9.0]]]), 2.1)
    assert company[:-2].all() and not company[-2:].any()


def test_emptiness_is_told() -> None:
    view = sphere_view(np.array([0.0, 0.0, 3.0]))
    with pytest.raises(UserError, match="no surface"):
        fuse([replace(view, depth=np.zeros_like(view.depth))] * 2)
    far = replace(view, position=np.array([0.0, 0.0, 50.0]))
    with pytest.raises(UserError, match="agree"):
        fuse([view, far])


def test_ply_is_read_back(tmp_path: Path) -> None:
    cloud = fuse(sphere_views(8))
    write_ply(tmp_path / "points.ply", cloud)
    vertices = PlyData.read(tmp_path / "points.ply")["vertex"]
    for names, values in (
        (("x", "y", "z"), cloud.points),
        (("nx", "ny", "nz"), cloud.normals),
        (("red", "green", "blue"), cloud.rgb),
        (("label",), cloud.labels[:, None]),
        (("confidence",), cloud.confidence[:, None]),
    ):
        np.testing.assert_allclose(np.stack([vertices[name] for name in names], axis=-1), values, rtol=1e-6, atol=1e-6)
    assert vertices["label"].dtype.kind == "i" and list(tmp_path.iterdir()) == [tmp_path / "points.ply"]
