"""Photographs by name, and cameras of another image size."""

from pathlib import Path

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs

from ovs3d.views import photographs, resized


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


def outputs_of(*paths: str) -> DataparserOutputs:
    cameras = Cameras(
        torch.eye(4)[None, :3].repeat(len(paths), 1, 1), fx=5.0, fy=5.0, cx=2.0, cy=2.0, width=4, height=4
    )
    return DataparserOutputs([Path("copy") / Path(path).name for path in paths], cameras,
                             metadata={"full_size_filenames": [Path(path) for path in paths]})  # fmt: skip


def test_photographs_are_named_by_their_stems_or_by_their_paths_where_stems_repeat() -> None:
    found = photographs(outputs_of("scene/a.jpg", "scene/b.png"), outputs_of("scene/c.png"))
    assert list(found) == ["a", "b", "c"] and found["b"].path == Path("scene/b.png")
    twins = photographs(outputs_of("scene/left/1.png", "scene/right/1.png"))
    assert list(twins) == ["left/1", "right/1"] and twins["right/1"].path == Path("scene/right/1.png")
