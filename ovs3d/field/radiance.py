"""The radiance field: density and colour, and the dense proposal grid that tells where to sample it."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ovs3d.field.backbones import Backbone, build_storage
from ovs3d.native.grids import DenseLookUp, supported
from ovs3d.rendering import contract

GEOMETRY_DIM = 15
HARMONICS = 9


class TruncatedExp(torch.autograd.Function):
    """exp whose gradient is clamped, so that one overshooting density cannot destroy a run (Instant-NGP)."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.exp(x.clamp(max=15.0))

    @staticmethod
    def backward(ctx, *gradients):
        (x,) = ctx.saved_tensors
        return gradients[0] * torch.exp(x.clamp(-15.0, 15.0))


def density_activation(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Density per scene unit from a raw output; 0 gives 1/e."""
    return TruncatedExp.apply(x - 1.0)  # pyright: ignore[reportReturnType]


def spherical_harmonics(directions: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 9"]:
    """Real spherical harmonics of degrees 0 to 2 of unit vectors, without their constants."""
    x, y, z = directions.unbind(-1)
    one = torch.ones_like(x)
    return torch.stack([one, x, y, z, x * y, y * z, x * z, x * x - y * y, 3.0 * z * z - 1.0], dim=-1)


class ProposalGrid(nn.Module):
    """Density on a dense grid over contracted space; coarse, and cheap enough to sample everywhere on a ray."""

    def __init__(self, resolution: int) -> None:
        super().__init__()
        if resolution < 2:
            raise ValueError(f"The proposal grid needs at least 2 cells along a side, not {resolution}.")
        self.grid = nn.Parameter(torch.zeros(resolution, resolution, resolution))

    def forward(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n"]:
        """Density of world-space `points`, per scene unit."""
        where = contract(points).reshape(-1, 3)
        raw = DenseLookUp.apply(where, self.grid) if supported(where, [self.grid]) else trilinear(where, self.grid)
        return density_activation(raw.reshape(points.shape[:-1]))


def trilinear(points: Float[Tensor, "n 3"], grid: Float[Tensor, "z y x"]) -> Float[Tensor, " n"]:
    """Look-ups in a grid, z first, that spans [-1, 1]^3, on any device; outside, the border is repeated."""
    where = points.reshape(1, 1, 1, -1, 3)
    return nn.functional.grid_sample(grid[None, None], where, padding_mode="border", align_corners=True).flatten()


class RadianceField(nn.Module):
    """Density and colour of points in contracted space, from stored features and two small networks.

    Args:
        resolutions: of the planes that density and colour share.
        channels: per plane resolution.
        texture_resolutions: of a hash grid that colour alone sees. Texture is finer than shape, and a fine grid in the
            density overfits where views are few.
        texture_log2_size: binary logarithm of the entries per resolution of the hash grid.
        hidden: width of both networks.
        backbone: what stores the features.
    """

    def __init__(
        self,
        resolutions: tuple[int, ...],
        channels: int,
        texture_resolutions: tuple[int, ...],
        texture_log2_size: int,
        hidden: int,
        backbone: Backbone = "planes",
    ) -> None:
        super().__init__()
        self.planes, self.texture = build_storage(
            backbone, resolutions, channels, texture_resolutions, texture_log2_size
        )
        self.geometry = nn.Sequential(
            nn.Linear(self.planes.dim, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, 1 + GEOMETRY_DIM)
        )
        self.colour_network = nn.Sequential(
            nn.Linear(GEOMETRY_DIM + self.planes.dim + self.texture.dim + HARMONICS, hidden), nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, 3), nn.Sigmoid(),
        )  # fmt: skip

    def density(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n"]:
        """Density of world-space `points`, per scene unit."""
        return self.density_and_features(points)[0]

    def density_and_features(
        self, points: Float[Tensor, "*n 3"]
    ) -> tuple[Float[Tensor, "*n"], Float[Tensor, "*n dim"]]:
        """Density per scene unit of world-space `points`, and what `surfaces` wants to know of them."""
        features = self.planes(contract(points.reshape(-1, 3)))
        raw = self.geometry(features)
        both = torch.cat([raw[:, 1:], features], dim=-1)
        return density_activation(raw[:, 0]).reshape(points.shape[:-1]), both.reshape(*points.shape[:-1], -1)

    def surfaces(self, points: Float[Tensor, "*n 3"], features: Float[Tensor, "*n dim"]) -> Float[Tensor, "*n hidden"]:
        """World-space `points` with these `features`, as far as the colour network comes without a direction."""
        fine = self.texture(contract(points.reshape(-1, 3))).reshape(*points.shape[:-1], -1)
        weight, _ = self._first_weights
        return nn.functional.linear(torch.cat([features, fine], dim=-1), weight, self._first_layer.bias)

    def colour(
        self, surfaces: Float[Tensor, "rays samples hidden"], directions: Float[Tensor, "rays 3"]
    ) -> Float[Tensor, "rays samples 3"]:
        """RGB in [0, 1] of `surfaces`, seen along the rays' unit `directions`."""
        _, weight = self._first_weights
        seen = nn.functional.linear(spherical_harmonics(directions), weight)
        return self.colour_network[1:](surfaces + seen[:, None])

    def colour_from_everywhere(self, surfaces: Float[Tensor, "*n hidden"]) -> Float[Tensor, "*n 3"]:
        """RGB in [0, 1] of `surfaces`, the same from every side.

        It is the network's answer to the mean of the harmonics over all directions, (1, 0, 0, ...).
        """
        _, weight = self._first_weights
        return self.colour_network[1:](surfaces + weight[:, 0])

    @property
    def _first_layer(self) -> nn.Linear:
        layer = self.colour_network[0]
        assert isinstance(layer, nn.Linear)
        return layer

    @property
    def _first_weights(self) -> tuple[Float[Tensor, "hidden dim"], Float[Tensor, "hidden 9"]]:
        """Of the colour network's first layer: those of features, and those of the direction's harmonics."""
        weight = self._first_layer.weight
        return weight[:, :-HARMONICS], weight[:, -HARMONICS:]
