"""The plane sweep on a textured wall with a box before it, whose distances are known in closed form."""

import math

import pytest
import torch
from nerfstudio.cameras.cameras import Cameras, CameraType

from ovs3d import plane_sweep
from ovs3d.plane_sweep import PosedViews, neighbours, sweep

HEIGHT, WIDTH, FOCAL = 48, 64, 60.0
WALL, BOX = 1.6, 0.9
"""Depths of the wall and of the front of the box, which covers |x| < 0.2, |y| < 0.2."""


def texture(x: torch.Tensor, y: torch.Tensor, seed: int) -> torch.Tensor:
    """A sum of waves without a period, in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    frequency = 14.0 * torch.randn(24, 2, generator=generator)
    phase = 2.0 * math.pi * torch.rand(24, generator=generator)
    waves = torch.sin(x[..., None] * frequency[:, 0] + y[..., None] * frequency[:, 1] + phase)
    return (0.5 + 0.08 * waves.sum(dim=-1)).clamp(0.0, 1.0)


def make_views(flat: bool = False, wall: float = WALL) -> tuple[PosedViews, torch.Tensor]:
    """Nine cameras side by side that look along -z, and the true distances along their rays."""
    row, column = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
    local = torch.stack([(column - WIDTH / 2) / FOCAL, -(row - HEIGHT / 2) / FOCAL, -torch.ones_like(row)], dim=-1)
    poses, grey, distances = [], [], []
    for x in (-0.15, 0.0, 0.15):
        for y in (-0.15, 0.0, 0.15):
            on_box = local * BOX + torch.tensor([x, y, 0.0])
            hit = (on_box[..., :2].abs() < 0.2).all(dim=-1)
            points = torch.where(hit[..., None], on_box, local * wall + torch.tensor([x, y, 0.0]))
            colours = [texture(points[..., 0], points[..., 1], seed) for seed in (0, 1)]
            grey.append(torch.full_like(row, 0.5) if flat else torch.where(hit, colours[1], colours[0]))
            distances.append(local.norm(dim=-1) * torch.where(hit, BOX, wall))
            poses.append(torch.cat([torch.eye(3), torch.tensor([[x], [y], [0.0]])], dim=1))
    views = PosedViews(
        grey=torch.stack(grey),
        directions=(local / local.norm(dim=-1, keepdim=True)).expand(9, -1, -1, -1),
        poses=torch.stack(poses),
        intrinsics=torch.tensor([FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2]).expand(9, -1),
        distortion=torch.zeros(9, 6),
    )
    return views, torch.stack(distances)


def test_distances_of_wall_and_box_are_found() -> None:
    views, true = make_views()
    found = sweep(views)
    known = found > 0.0
    error = ((found - true).abs() / true)[known]
    assert known.float().mean() > 0.6
    assert error.median() < 0.01 and (error < 0.03).float().mean() > 0.9
    box = true < 1.2
    assert (known & box).sum() > 0.4 * box.sum(), "the box is found too"


def test_nothing_is_known_without_texture() -> None:
    assert not sweep(make_views(flat=True)[0]).any()


def test_nothing_is_claimed_beyond_the_range() -> None:
    found = sweep(make_views(wall=40.0)[0])
    assert not (found > 0.9 * plane_sweep.FARTHEST).any()


def test_lone_answers_are_not_confirmed() -> None:
    views, true = make_views()
    others = neighbours(views.poses)[4].tolist()
    distances = true.clone()
    kept = plane_sweep.confirmed(views, distances, 4, others)
    assert (kept > 0.0).float().mean() > 0.8 and torch.equal(kept[kept > 0.0], true[4][kept > 0.0])
    distances[4] *= 1.2
    assert not plane_sweep.confirmed(views, distances, 4, others).any()


def test_neighbours_lie_beside_and_look_the_same_way() -> None:
    turned = torch.diag(torch.tensor([-1.0, 1.0, -1.0]))
    centres = torch.tensor([0.0, 0.001, 0.15, -0.2, 0.15, 3.0])
    poses = torch.zeros(6, 3, 4)
    poses[:, :, :3], poses[:, 0, 3] = torch.eye(3), centres
    poses[4, :, :3] = turned
    order = neighbours(poses)[0].tolist()
    assert order[:2] == [2, 3] and 0 not in order and len(order) == 5


def test_correlation_ignores_exposure() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 1, 12, 12, generator=generator)
    same, opposite = plane_sweep.correlation(image, 0.5 * image + 0.3), plane_sweep.correlation(image, 1.0 - image)
    assert same.min() > 0.95 and opposite.max() < -0.95
    assert not plane_sweep.correlation(image, torch.full_like(image, 0.4)).round(decimals=3).any()


@pytest.mark.parametrize("distortion", [[0.0] * 6, [0.1, -0.05, 0.01, 0.0, 0.003, -0.002]])
def test_projection_inverts_the_cameras_rays(distortion: list[float]) -> None:
    generator = torch.Generator().manual_seed(1)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator)).Q
    turn = turn * torch.linalg.det(turn)
    pose = torch.cat([turn, torch.tensor([[0.3], [-0.2], [0.5]])], dim=1)
    camera = Cameras(
        pose[None], fx=50.0, fy=55.0, cx=33.0, cy=23.0, width=WIDTH, height=HEIGHT,
        distortion_params=torch.tensor([distortion]), camera_type=CameraType.PERSPECTIVE,
    )  # fmt: skip
    rays = camera.generate_rays(0, keep_shape=True)
    views = PosedViews(
        grey=torch.zeros(1, HEIGHT, WIDTH),
        directions=rays.directions[None],
        poses=pose[None],
        intrinsics=torch.tensor([[50.0, 55.0, 33.0, 23.0]]),
        distortion=torch.tensor([distortion]),
    )
    place, inside = views.project(0, views.local(0, 0, torch.full((2, 1, 1), 0.5)))
    assert inside.all()
    row, column = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
    expected = torch.stack([column / WIDTH, row / HEIGHT], dim=-1) * 2.0 - 1.0
    torch.testing.assert_close(place, expected.expand(2, -1, -1, -1), atol=2e-3, rtol=0.0)
    _, behind = views.project(0, -views.local(0, 0, torch.full((2, 1, 1), 0.5)))
    assert not behind.any()


def test_points_are_seen_from_another_camera_as_the_host_would_move_them() -> None:
    generator = torch.Generator().manual_seed(2)
    turns = torch.linalg.qr(torch.randn(2, 3, 3, generator=generator)).Q
    poses = torch.cat([turns, torch.randn(2, 3, 1, generator=generator)], dim=-1)
    directions = torch.randn(2, HEIGHT, WIDTH, 3, generator=generator)
    views = PosedViews(torch.zeros(2, HEIGHT, WIDTH), directions, poses, torch.ones(2, 4), torch.zeros(2, 6))
    distance = 2.5
    world = poses[0, :, 3] + distance * directions[0]
    expected = (world - poses[1, :, 3]) @ poses[1, :, :3] / distance
    local = views.local(0, 1, torch.full((1, 1, 1), 1.0 / distance))[:, 0]
    torch.testing.assert_close(local.permute(1, 2, 0), expected, atol=1e-5, rtol=1e-5)
