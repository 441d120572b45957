"""The semantic field of 3D-OVS (arXiv 2305.14093) written plainly, as a competitor in speed.

A factorised volume (TensoRF, arXiv 2203.09517) gives density at all samples of a ray, again in every iteration. Where
the weight of a sample passes a threshold, a network decodes its appearance feature to both embedding spaces, and a
second volume gives its votes for the scales; all of them are composited along the ray.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ovs3d.field.semantic import RaySemantics, head
from ovs3d.rendering import render_weights

SAMPLES = 222
THRESHOLD = 1e-4
PLANES, LINES = ((0, 1), (0, 2), (1, 2)), (2, 1, 0)
SOLID = 0.6
"""Half the side of the solid cube that the density holds, in a volume from -1 to 1."""


class FactorisedVolume(nn.Module):
    """Sums of products of planes and lines; [n, 3 * components]."""

    def __init__(self, side: int, components: int) -> None:
        super().__init__()
        self.planes = nn.Parameter(0.1 * torch.randn(3, components, side, side))
        self.lines = nn.Parameter(0.1 * torch.randn(3, components, side, 1))

    def forward(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n dim"]:
        """Products at `points` in [-1, 1]^3."""
        on_planes = torch.stack([points[:, axes] for axes in PLANES])[:, None]
        along = torch.stack([points[:, axis] for axis in LINES])
        on_lines = torch.stack([torch.zeros_like(along), along], dim=-1)[:, None]
        planes = nn.functional.grid_sample(self.planes, on_planes, align_corners=True)[:, :, 0]
        lines = nn.functional.grid_sample(self.lines, on_lines, align_corners=True)[:, :, 0]
        return (planes * lines).flatten(0, 1).T


class PlainField(nn.Module):
    """Renders the semantics of random rays through a cube that is solid to a depth of some samples."""

    def __init__(self, scales: int, dim: int, patch_dim: int, side: int = 300, hidden: int = 128) -> None:
        super().__init__()
        self.density = FactorisedVolume(side, 16)
        self.appearance = FactorisedVolume(side, 48)
        self.basis = nn.Linear(3 * 48, 27, bias=False)
        self.votes = FactorisedVolume(side, 16)
        self.vote_layer = nn.Linear(3 * 16, scales)
        self.feature_head, self.patch_head = head(27, hidden, dim), head(27, hidden, patch_dim)
        with torch.no_grad():  # One component is the cube, the others are nothing: random numbers have no surface.
            inside = (torch.linspace(-1.0, 1.0, side).abs() < SOLID).float()
            self.density.planes.zero_()[0, 0] = inside[:, None] * inside
            self.density.lines.zero_()[0, 0, :, 0] = inside
        for module in (self.density, self.appearance, self.basis):
            module.requires_grad_(False)

    def forward(self, rays: int) -> RaySemantics:
        """Semantics of `rays` random rays from outside the cube towards its middle."""
        origins = nn.functional.normalize(torch.randn(rays, 3), dim=-1)
        towards = nn.functional.normalize(0.3 * torch.randn(rays, 3) - origins, dim=-1)
        distances = torch.linspace(0.0, 2.0, SAMPLES)
        points = (origins[:, None] + distances[:, None] * towards[:, None]).clamp(-1.0, 1.0)
        with torch.no_grad():
            density = 30.0 * self.density(points.reshape(-1, 3)).sum(dim=-1).view(rays, SAMPLES)
            weights = render_weights(density, torch.full_like(density, 2.0 / SAMPLES))
        shaded = weights > THRESHOLD
        rows = shaded.nonzero()[:, 0]
        places = points[shaded]
        appearance = self.basis(self.appearance(places))
        votes = torch.sigmoid(self.vote_layer(self.votes(places)))
        decoded = torch.cat([self.feature_head(appearance), self.patch_head(appearance), votes], dim=-1)
        composited = torch.zeros(rays, decoded.shape[-1]).index_add(0, rows, weights[shaded][:, None] * decoded)
        sizes = [self.feature_head[-1].out_features, self.patch_head[-1].out_features, votes.shape[-1]]
        features, patch_features, selection = composited.split(sizes, dim=-1)
        return RaySemantics(features, patch_features, torch.softmax(selection, dim=-1))
