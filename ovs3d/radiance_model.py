"""The geometry stage as the host sees it: rays meet a proposal grid, then a radiance field."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.models.base_model import Model
from torch import Tensor

from ovs3d import rendering
from ovs3d.field.radiance import ProposalGrid, RadianceField
from ovs3d.model_config import OVS3DModelConfig

Keeps = Callable[[Float[Tensor, "*n 3"]], Bool[Tensor, "*n"]]
"""World-space points -> where density stays."""


@dataclass(frozen=True)
class MarchedRays:
    """Rays cut into intervals, and what geometry says of those."""

    edges: Float[Tensor, "rays edges"]
    """Spacing borders of the intervals."""
    points: Float[Tensor, "rays edges-1 3"]
    """Their middles in world space."""
    features: Float[Tensor, "rays edges-1 dim"]
    """`RadianceField.density_and_features` there."""
    weights: Float[Tensor, "rays edges-1"]
    """Rendering weights."""
    proposal_edges: Float[Tensor, "rays proposal_edges"]
    """Spacing borders of the proposal's bins."""
    proposal_weights: Float[Tensor, "rays proposal_edges-1"]


@dataclass(frozen=True)
class Surfaces:
    """The heaviest samples of rays."""

    points: Float[Tensor, "rays kept 3"]
    """In world space."""
    features: Float[Tensor, "rays kept hidden"]
    """`RadianceField.surfaces` there."""
    weights: Float[Tensor, "rays kept"]
    """Rendering weights; they sum to the ray's opacity."""

    def heaviest(self, count: int) -> "Surfaces":
        """The `count` heaviest of them."""
        weights, indices = rendering.heaviest_samples(self.weights, count)
        return Surfaces(pick(self.points, indices), pick(self.features, indices), weights)


class RadianceModel(Model):
    """Density and colour, rendered."""

    config: OVS3DModelConfig  # pyright: ignore[reportIncompatibleVariableOverride]

    def populate_modules(self) -> None:
        """Builds the proposal grid and the radiance field."""
        super().populate_modules()
        config = self.config
        self.proposal = ProposalGrid(config.proposal_resolution)
        self.radiance = RadianceField(
            config.plane_resolutions,
            config.plane_channels,
            config.texture_resolutions,
            config.texture_log2_size,
            config.hidden_dim,
            config.backbone,
        )
        self.step = 0
        self.keeps: Keeps | None = None  # Of an edited scene.

    @property
    def distance_weight(self) -> float:
        """Factor of the distance loss at the present step."""
        last = self.config.distance_part * self.config.geometry_steps
        return self.config.loss_weights.distance * max(0.0, 1.0 - self.step / last) if last > 0 else 0.0

    def update_to_step(self, step: int) -> None:
        """Called when a checkpoint of `step` is loaded; its state is that after `step`."""
        self.step = step + 1

    def set_step(self, step: int) -> None:
        """Called before every training step."""
        self.step = step

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        """Keeps `step` current."""
        return [TrainingCallback([TrainingCallbackLocation.BEFORE_TRAIN_ITERATION], func=self.set_step)]

    def march(self, rays: RayBundle) -> MarchedRays:
        """Asks the radiance field where the proposal grid expects something."""
        proposal_edges, proposal_weights = self.propose(rays)
        jitter = torch.rand(len(rays), 1, device=self.device) if self.training else None
        sharpness = min(1.0, 0.1 + self.step / 500)  # Flat at first, so that no region starves before it is known.
        expected = proposal_weights.detach() ** sharpness
        edges = rendering.sample_pdf(proposal_edges, expected, self.config.field_samples, jitter)
        points, lengths = place(rays, edges)
        density, features = self.radiance.density_and_features(points)
        weights = rendering.render_weights(self.kept(density, points), lengths)
        return MarchedRays(edges, points, features, weights, proposal_edges, proposal_weights)

    def propose(self, rays: RayBundle) -> tuple[Float[Tensor, "rays edges"], Float[Tensor, "rays edges-1"]]:
        """Spacing borders of the proposal's bins, and their weights."""
        config, count = self.config, len(rays)
        bounds = torch.tensor([config.near, config.far], device=self.device)
        low, high = rendering.distance_to_spacing(bounds)
        unit = torch.linspace(0.0, 1.0, config.proposal_samples + 1, device=self.device).expand(count, -1)
        if self.training:
            unit = (unit + (torch.rand(count, 1, device=self.device) - 0.5) / config.proposal_samples).clamp(0.0, 1.0)
        edges = (low + (high - low) * unit).contiguous()
        points, lengths = place(rays, edges)
        return edges, rendering.render_weights(self.kept(self.proposal(points), points), lengths)

    def kept(self, density: Float[Tensor, "*n"], points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n"]:
        """Density of `points`, 0 where an edited scene keeps nothing."""
        return density if self.keeps is None else density * self.keeps(points)

    def surfaces(self, marched: MarchedRays, count: int) -> Surfaces:
        """The `count` heaviest samples of each ray."""
        weights, indices = rendering.heaviest_samples(marched.weights, count)
        points = pick(marched.points, indices)
        return Surfaces(points, self.radiance.surfaces(points, pick(marched.features, indices)), weights)

    def picture(self, marched: MarchedRays, surfaces: Surfaces, rays: RayBundle) -> dict[str, Any]:
        """Colour before grey, opacity, and distance; `levels` for the losses while training."""
        accumulation = marched.weights.sum(dim=-1, keepdim=True)
        colour = rendering.composite(surfaces.weights, self.radiance.colour(surfaces.features, rays.directions))
        distances = rendering.spacing_to_distance(marched.edges)
        middles = 0.5 * (distances[:, 1:] + distances[:, :-1])
        outputs: dict[str, Any] = {
            "rgb": colour + 0.5 * (1.0 - accumulation),
            "accumulation": accumulation,
            "depth": rendering.median_depth(marched.weights.detach(), middles)[:, None],
        }
        if self.training:
            outputs["levels"] = (marched.edges, marched.weights, marched.proposal_edges, marched.proposal_weights)
        return outputs

    def get_rgba_image(self, outputs: dict[str, Tensor], output_name: str = "rgb") -> Tensor:
        """Colour without the grey behind it, and opacity; `ns-export` asks for it, of `segmentation` too."""
        colour, opacity = outputs[output_name], outputs["accumulation"]
        if output_name == "rgb":
            colour = ((colour - 0.5 * (1.0 - opacity)) / opacity.clamp(min=1e-6)).clamp(0.0, 1.0)
        return torch.cat([colour, opacity], dim=-1)


def place(
    rays: RayBundle, edges: Float[Tensor, "rays edges"]
) -> tuple[Float[Tensor, "rays edges-1 3"], Float[Tensor, "rays edges-1"]]:
    """World-space middles of the intervals between spacing `edges`, and their lengths, 0 outside of a crop box."""
    distances = rendering.spacing_to_distance(edges)
    middles = 0.5 * (distances[:, 1:] + distances[:, :-1])
    points = rays.origins[:, None] + rays.directions[:, None] * middles[..., None]
    lengths = distances[:, 1:] - distances[:, :-1]
    if rays.nears is not None and rays.fars is not None:
        lengths = lengths * ((middles >= rays.nears) & (middles <= rays.fars))
    return points, lengths


def pick(
    values: Float[Tensor, "rays samples dim"], indices: Int[Tensor, "rays kept"]
) -> Float[Tensor, "rays kept dim"]:
    """Values of the samples that `indices` name along each ray."""
    rays, samples, _ = values.shape
    first = samples * torch.arange(rays, device=values.device)[:, None]
    # Whole rows; `gather` would go number by number.
    return values.flatten(0, 1).index_select(0, (first + indices).flatten()).unflatten(0, indices.shape)
