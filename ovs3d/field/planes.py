"""Plane-factorised feature grids: the storage behind every field of ours."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ovs3d.native.grids import PlaneProduct, supported

AXES = ((0, 1), (0, 2), (1, 2))
"""Coordinates that each of the three planes sees."""


class Planes(nn.Module):
    """Three axis-aligned feature planes per resolution; a point's feature is the product of its three look-ups.

    The product over planes is that of K-Planes (arXiv 2301.10241, eq. 1); resolutions are concatenated.

    Args:
        resolutions: entries along a side, one grid for each, at least 2.
        channels: features per resolution.
        init: entries start uniform in [1 - init, 1 + init], so that products start near 1 and no factor is dead.
    """

    def __init__(self, resolutions: tuple[int, ...], channels: int, init: float = 0.5) -> None:
        super().__init__()
        if min(resolutions) < 2:
            raise ValueError(f"Planes need at least 2 entries along a side, not {min(resolutions)}.")
        self.dim = channels * len(resolutions)
        self.grids = nn.ParameterList(
            nn.Parameter(torch.empty(3, size, size, channels).uniform_(1.0 - init, 1.0 + init)) for size in resolutions
        )

    def forward(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n dim"]:
        """Features of `points`, whose coordinates lie in [-1, 1]; outside, the border is repeated."""
        grids = list(self.grids)
        if supported(points, grids):
            return PlaneProduct.apply(points, torch.is_grad_enabled(), *grids)
        return plane_product(points, grids)


def plane_product(points: Float[Tensor, "n 3"], grids: list[Float[Tensor, "3 _ _ channels"]]) -> Float[Tensor, "n dim"]:
    """What `Planes` computes, by `grid_sample`, on any device."""
    where = torch.stack([points[:, axes] for axes in AXES])[:, None]  # [3, 1, n, 2]
    features = []
    for grid in grids:
        entries = grid.permute(0, 3, 1, 2)
        looked_up = nn.functional.grid_sample(entries, where, padding_mode="border", align_corners=True)
        features.append(looked_up[:, :, 0].prod(dim=0))
    return torch.cat(features).T
