"""Views in the coordinates of the data: undoing the training world, lenses, back-projection."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from nerfstudio.cameras.cameras import Cameras
from scipy.spatial.transform import Rotation

from ovs3d.export.views import OPENGL_TO_OPENCV, poses_in_data, small_pinholes
from tests.export.synthetic import sphere_view


def test_training_world_is_undone() -> None:
    generator = np.random.default_rng(0)
    turn, cameras = Rotation.random(rng=generator).as_matrix(), Rotation.random(5, rng=generator).as_matrix()
    positions, shift, scale = generator.normal(size=(5, 3)), generator.normal(size=3), 0.37
    trained = np.concatenate([turn @ cameras, scale * (positions @ turn.T + shift)[..., None]], axis=-1)
    rotations, found = poses_in_data(trained, np.column_stack([turn, shift]), scale)
    np.testing.assert_allclose(rotations, cameras, atol=1e-12)
    np.testing.assert_allclose(found, positions, atol=1e-12)


def test_pixels_of_a_sphere_lie_on_it() -> None:
    view = sphere_view(np.array([1.5, -2.0, 1.0]))
    points = view.back_project()
    seen = np.isfinite(points[..., 0])
    assert 0.1 < seen.mean() < 0.9 and (seen == (view.depth > 0.0)).all()
    np.testing.assert_allclose(np.linalg.norm(points[seen], axis=-1), 1.0, atol=1e-5)


def test_small_pinholes_see_through_the_same_places_of_the_picture() -> None:
    poses = torch.eye(4)[None, :3]
    camera = Cameras(
        poses, fx=80.0, fy=90.0, cx=42.0, cy=29.0, width=80, height=60, distortion_params=torch.full((1, 6), 0.1)
    )
    small = small_pinholes(camera, 40)
    assert (small.width.item(), small.height.item()) == (40, 30) and small.distortion_params is None
    straight = Cameras(poses, fx=80.0, fy=90.0, cx=42.0, cy=29.0, width=80, height=60)
    place = torch.tensor([[7.0, 11.0]])
    ours = small.generate_rays(0, coords=place).directions
    torch.testing.assert_close(ours, straight.generate_rays(0, coords=2.0 * place).directions)
    assert small_pinholes(camera, 400).width.item() == 80, "views do not grow"


def test_back_projection_agrees_with_the_rays_of_the_host() -> None:
    view = sphere_view(np.array([1.5, -2.0, 1.0]))
    pose = np.column_stack([view.rotation @ OPENGL_TO_OPENCV, view.position])
    height, width = view.depth.shape
    camera = Cameras(
        torch.from_numpy(pose).float()[None], view.focal[0], view.focal[1], *view.centre, width=width, height=height
    )
    rays = camera.generate_rays(0)
    ours = replace(view, depth=np.ones_like(view.depth)).back_project() - view.position
    ours /= np.linalg.norm(ours, axis=-1, keepdims=True)
    np.testing.assert_allclose(ours, rays.directions.numpy(), atol=1e-5)


@pytest.mark.parametrize("side", [30, 80])
def test_pinholes_keep_the_proportions_of_the_picture(side: int) -> None:
    camera = Cameras(torch.eye(4)[None, :3], fx=80.0, fy=80.0, cx=40.0, cy=30.0, width=80, height=60)
    small = small_pinholes(camera, side)
    assert small.width.item() == side and small.height.item() == round(side * 0.75)
    assert small.fx.item() == pytest.approx(side) and small.cx.item() == pytest.approx(side / 2)
