"""Distances from photographs alone: a plane sweep whose answers must agree between views.

Multi-view stereo in its plainest form (Collins 1996; COLMAP's patch match scores the same way): every pixel tries a row
of distances, is looked up in neighbouring views at each, and keeps the distance at which the patches correlate best.
What the neighbours' own answers do not confirm is left unknown.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ovs3d.native.library import library
from ovs3d.native.sweep import sweep_scores

PLANES = 128
"""Distances tried, evenly spaced in disparity."""
NEAREST, FARTHEST = 0.15, 8.0
"""Range of distances tried, in scene units (the cameras span about 2)."""
NEIGHBOURS = 6
BASELINE = 0.15
"""Wanted distance between two views, in scene units: about 9 degrees of parallax at distance 1."""
AXIS_ANGLE = 30.0
"""Degrees between the optical axes that count as much as a baseline wrong by a factor e."""
PATCH_RADIUS = 2
MIN_CORRELATION = 0.5
AGREEMENT = 0.03
"""Relative difference up to which two views agree on a distance."""
CONFIRMATIONS = 2


@dataclass(frozen=True)
class PosedViews:
    """Small grey photographs of one size with their cameras."""

    grey: Float[Tensor, "views h w"]
    """In [0, 1]."""
    directions: Float[Tensor, "views h w 3"]
    """World-space unit directions through the pixels' middles."""
    poses: Float[Tensor, "views 3 4"]
    """Camera to world, OpenGL axes."""
    intrinsics: Float[Tensor, "views 4"]
    """fx, fy, cx, cy in pixels of `grey`."""
    distortion: Float[Tensor, "views 6"]
    """k1, k2, k3, k4, p1, p2."""

    def seen_from(self, view: int, other: int) -> tuple[Float[Tensor, "3 h w"], Float[Tensor, "3"]]:
        """Rays of a view, and its place, in the camera's axes of another view."""
        rotation = self.poses[other, :, :3]
        turned = (self.directions[view] @ rotation).permute(2, 0, 1)
        return turned, (self.poses[view, :, 3] - self.poses[other, :, 3]) @ rotation

    def local(self, view: int, other: int, disparities: Float[Tensor, "planes #h #w"]) -> Float[Tensor, "3 planes h w"]:
        """Points along the rays of a view, times their disparities, in the camera's axes of another view."""
        turned, between = self.seen_from(view, other)
        return turned[:, None] + between[:, None, None, None] * disparities

    def project(
        self, view: int, local: Float[Tensor, "3 planes h w"]
    ) -> tuple[Float[Tensor, "planes h w 2"], Bool[Tensor, "planes h w"]]:
        """Places of a view, in [-1, 1] as `grid_sample` counts, of points in its own axes, and whether they lie in it.

        The points may be scaled by any positive numbers.
        """
        height, width = self.grey.shape[1:]
        depth = -local[2]
        inverse = 1.0 / depth.clamp(min=1e-6)
        x, y = local[0] * inverse, -local[1] * inverse
        fx, fy, cx, cy = self.intrinsics[view]
        # Far outside the picture, the polynomial of the distortion may fold points back into it.
        inside = (depth > 1e-3) & ((fx * x).abs() < width) & ((fy * y).abs() < height)
        if self.distortion[view].any():
            x, y = distort(x, y, self.distortion[view])
            x, y = (torch.where(inside, each, 1e6) for each in (x, y))
        place = torch.stack([(2.0 * fx / width) * x, (2.0 * fy / height) * y], dim=-1)
        place += torch.stack([2.0 * cx / width - 1.0, 2.0 * cy / height - 1.0])
        return place, inside & (place.abs().amax(dim=-1) < 1.0)


def distort(
    x: Float[Tensor, "*n"], y: Float[Tensor, "*n"], coefficients: Float[Tensor, "6"]
) -> tuple[Float[Tensor, "*n"], Float[Tensor, "*n"]]:
    """OpenCV's lens distortion of normalised image coordinates, from k1, k2, k3, k4, p1, p2."""
    k1, k2, k3, k4, p1, p2 = coefficients
    square = x * x + y * y
    radial = 1.0 + square * (k1 + square * (k2 + square * (k3 + square * k4)))
    across = x * radial + 2.0 * p1 * x * y + p2 * (square + 2.0 * x * x)
    return across, y * radial + 2.0 * p2 * x * y + p1 * (square + 2.0 * y * y)


@torch.no_grad()
def sweep(views: PosedViews) -> Float[Tensor, "views h w"]:
    """Distances along the rays in scene units, 0 where unknown; needs three views at least."""
    near_views = neighbours(views.poses)
    found = [best_distances(views, view, near_views[view].tolist()) for view in range(len(views.grey))]
    distances = torch.stack([distance for distance, _ in found])
    distances[torch.stack([correlation for _, correlation in found]) < MIN_CORRELATION] = 0.0
    return torch.stack([confirmed(views, distances, view, near_views[view].tolist()) for view in range(len(distances))])


def neighbours(poses: Float[Tensor, "views 3 4"]) -> Int[Tensor, "views count"]:
    """For every view those that look about the same way from about `BASELINE` beside it, best first."""
    centres, axes = poses[:, :, 3], poses[:, :, 2]
    baseline = torch.cdist(centres, centres).clamp(min=1e-6)
    angle = torch.rad2deg(torch.acos((axes @ axes.T).clamp(-1.0, 1.0)))
    cost = (baseline / BASELINE).log().abs() + angle / AXIS_ANGLE
    cost.fill_diagonal_(torch.inf)
    return cost.argsort(dim=1)[:, : min(NEIGHBOURS, len(poses) - 1)]


def best_distances(
    views: PosedViews, view: int, others: list[int]
) -> tuple[Float[Tensor, "h w"], Float[Tensor, "h w"]]:
    """Distance of the highest correlation with the neighbours, between the planes by a parabola, and that correlation.

    The better half of the neighbours counts, because the others may not see the place.
    """
    disparities = torch.linspace(1.0 / NEAREST, 1.0 / FARTHEST, PLANES, device=views.grey.device)
    compiled = views.grey.device.type == "cpu" and library() is not None
    score = (compiled_scores if compiled else scores)(views, view, others, disparities)
    best, index = score.max(dim=0)
    middle = index.clamp(1, PLANES - 2)[None]
    before, peak, after = (score.gather(0, middle + step)[0] for step in (-1, 0, 1))
    shift = (0.5 * (before - after) / (before - 2.0 * peak + after).clamp(max=-1e-6)).clamp(-0.5, 0.5)
    step = disparities[1] - disparities[0]
    best[(index == 0) | (index == PLANES - 1)] = -1.0  # Beyond the range.
    return 1.0 / (disparities[middle[0]] + shift * step), best


def compiled_scores(
    views: PosedViews, view: int, others: list[int], disparities: Float[Tensor, " planes"]
) -> Float[Tensor, "planes h w"]:
    """What `scores` computes, by the kernel for CPUs."""
    turned, between = zip(*(views.seen_from(view, other) for other in others), strict=True)
    return sweep_scores(
        views.grey[view], torch.stack(turned), torch.stack(between), disparities, views.intrinsics[others],
        views.distortion[others], views.grey[others], (len(others) + 1) // 2,
    )  # fmt: skip


def scores(
    views: PosedViews, view: int, others: list[int], disparities: Float[Tensor, " planes"]
) -> Float[Tensor, "planes h w"]:
    """Mean correlation with the better half of the neighbours at every plane; -1 where one does not see the place."""
    planes, (height, width) = len(disparities), views.grey.shape[1:]
    first, found = views.grey[view][None, None], []
    for other in others:
        place, seen = views.project(other, views.local(view, other, disparities[:, None, None]))
        looked_up = F.grid_sample(
            views.grey[other][None, None], place.view(1, planes * height, width, 2), align_corners=False
        )
        score = correlation(first, looked_up.view(planes, 1, height, width))[:, 0]
        found.append(torch.where(seen, score, -1.0))
    return torch.stack(found).topk((len(others) + 1) // 2, dim=0).values.mean(dim=0)


def correlation(
    first: Float[Tensor, "1 1 h w"], second: Float[Tensor, "planes 1 h w"]
) -> Float[Tensor, "planes 1 h w"]:
    """Normalised cross-correlation of the square patches around every pixel, in [-1, 1]; about 0 without texture."""
    mean_first, mean_second = patch_mean(first), patch_mean(second)
    variance_first = (patch_mean(first * first) - mean_first * mean_first).clamp(min=0.0)
    variance_second = (patch_mean(second * second) - mean_second * mean_second).clamp(min=0.0)
    covariance = patch_mean(first * second) - mean_first * mean_second
    return covariance * ((variance_first + 1e-4) * (variance_second + 1e-4)).rsqrt()


def patch_mean(image: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 h w"]:
    """Mean over the square patch around every pixel, clipped to the image."""
    height, width = image.shape[-2:]
    return band(height, image.device) @ (image @ band(width, image.device).T)


def band(size: int, device: torch.device) -> Float[Tensor, "size size"]:
    """The matrix that averages what lies within `PATCH_RADIUS`; on a CPU faster than average pooling."""
    place = torch.arange(size, device=device)
    near = ((place[:, None] - place).abs() <= PATCH_RADIUS).float()
    return near / near.sum(dim=1, keepdim=True)


def confirmed(
    views: PosedViews, distances: Float[Tensor, "views h w"], view: int, others: list[int]
) -> Float[Tensor, "h w"]:
    """Distances of a view where enough neighbours find the same point, 0 elsewhere."""
    own = distances[view]
    disparities = 1.0 / own.clamp(min=1e-6)
    agreeing = torch.zeros_like(own)
    for other in others:
        local = views.local(view, other, disparities[None])
        place, seen = views.project(other, local)
        theirs = F.grid_sample(distances[other][None, None], place, mode="nearest", align_corners=False)[0, 0]
        expected = (local[:, 0] * own).norm(dim=0)
        agreeing += seen[0] & ((theirs - expected).abs() < AGREEMENT * expected)
    return torch.where((agreeing >= CONFIRMATIONS) & (own > 0.0), own, 0.0)
