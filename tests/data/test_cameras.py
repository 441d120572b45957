"""Cameras of another image size."""

import torch
from nerfstudio.cameras.cameras import Cameras

from ovs3d.data.cameras import resized


def test_rays_through_the_same_points_of_the_picture_are_the_same() -> None:
    pose = torch.tensor([[[1.0, 0, 0, 0.3], [0, 0.6, -0.8, 0.1], [0, 0.8, 0.6, 2.0]]])
    lens = torch.tensor([[0.1, -0.05, 0.0, 0.0, 0.01, 0.0]])
    camera = Cameras(pose, fx=50.0, fy=52.0, cx=33.0, cy=23.0, width=64, height=48, distortion_params=lens)
    small = resized(camera, 9, 16)
    assert (int(small.height), int(small.width)) == (9, 16) and (int(camera.height), int(camera.width)) == (48, 64)
    share = torch.tensor([[0.1, 0.2], [0.5, 0.5], [0.9, 0.7]])  # (y, x) as parts of the sides.
    index = torch.zeros(3, 1, dtype=torch.long)
    large_rays = camera.generate_rays(index, coords=share * torch.tensor([48.0, 64.0]))
    small_rays = small.generate_rays(index, coords=share * torch.tensor([9.0, 16.0]))
    torch.testing.assert_close(small_rays.directions, large_rays.directions, atol=1e-5, rtol=0.0)
    torch.testing.assert_close(small_rays.origins, large_rays.origins)
