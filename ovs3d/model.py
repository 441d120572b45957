"""The model as the host sees it: a radiance field, and after its stage a semantic field on frozen geometry."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.models.base_model import Model
from nerfstudio.utils import colormaps
from torch import Tensor
from torch.nn import Parameter

from ovs3d import rendering
from ovs3d.evaluation.metrics import ConfusionMatrix, PaperScore, photo_scores, visible
from ovs3d.field.radiance import ProposalGrid, RadianceField
from ovs3d.field.samples import KeptSamples
from ovs3d.field.semantic import SemanticField
from ovs3d.model_config import OVS3DModelConfig
from ovs3d.objectives import semantic_losses
from ovs3d.palette import class_colours

ExtraOutput = Literal["class_scores", "hidden", "selection"]
POINTS_AT_ONCE = 16384
Keeps = Callable[[Float[Tensor, "*n 3"]], Bool[Tensor, "*n"]]
"""World-space points -> where density stays."""


class OVS3DModel(Model):
    """Stage 1 trains density and colour, stage 2 the semantic field on cached samples of the frozen geometry."""

    config: OVS3DModelConfig  # pyright: ignore[reportIncompatibleVariableOverride]

    def populate_modules(self) -> None:
        """Builds both fields and the buffers that a run needs to be evaluated without any encoder."""
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
        self.semantic = SemanticField(
            config.latent_resolutions,
            config.latent_channels,
            config.head_dim,
            config.scales,
            config.feature_dim,
            config.patch_dim,
            config.selection_sharpness,
        )
        classes = len(config.classes)
        self.register_buffer("text", torch.zeros(classes, config.feature_dim))
        self.text: Tensor
        self.register_buffer("colours", torch.from_numpy(class_colours(classes)) / 255.0, persistent=False)
        self.colours: Tensor
        self.relevancy_range: Tensor | None = None  # [2, views, scales, classes], known only while training.
        self.step = 0
        self.extra_outputs: tuple[ExtraOutput, ...] = ()  # Of views; the host could not show them.
        self.keeps: Keeps | None = None  # Of an edited scene.
        self.confusion = ConfusionMatrix(config.classes)
        self.paper_score = PaperScore(config.classes)

    @property
    def in_semantics(self) -> bool:
        """Whether the geometry stage is over."""
        return self.step >= self.config.geometry_steps

    @property
    def has_semantics(self) -> bool:
        """Whether the semantic stage has begun: only then are the texts known."""
        return self.in_semantics and bool(self.text.any())

    @property
    def distance_weight(self) -> float:
        """Factor of the distance loss at the present step."""
        last = self.config.distance_part * self.config.geometry_steps
        return self.config.loss_weights.distance * max(0.0, 1.0 - self.step / last) if last > 0 else 0.0

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        """Parameters by optimizer."""
        semantic = list(self.semantic.named_parameters())
        return {
            "proposal": list(self.proposal.parameters()),
            "planes": list(self.radiance.planes.parameters()),
            "texture": list(self.radiance.texture.parameters()),
            "networks": [*self.radiance.geometry.parameters(), *self.radiance.colour_network.parameters()],
            "semantic_planes": [*self.semantic.latent.parameters(), *self.semantic.selection_planes.parameters()],
            "semantic_heads": [p for name, p in semantic if "planes" not in name and "latent" not in name],
        }  # fmt: skip

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

    def sample(
        self, rays: RayBundle
    ) -> tuple[
        Float[Tensor, "rays edges"], Float[Tensor, "rays proposal_edges"], Float[Tensor, "rays proposal_edges-1"]
    ]:
        """Spacing borders of the field's samples, and the proposal's borders and weights."""
        config, count = self.config, len(rays)
        bounds = torch.tensor([config.near, config.far], device=self.device)
        low, high = rendering.distance_to_spacing(bounds)
        unit = torch.linspace(0.0, 1.0, config.proposal_samples + 1, device=self.device).expand(count, -1)
        if self.training:
            unit = (unit + (torch.rand(count, 1, device=self.device) - 0.5) / config.proposal_samples).clamp(0.0, 1.0)
        edges = (low + (high - low) * unit).contiguous()
        points, deltas = self.place(rays, edges)
        weights = rendering.render_weights(self.kept(self.proposal(points), points), deltas)
        jitter = torch.rand(count, 1, device=self.device) if self.training else None
        sharpness = min(1.0, 0.1 + self.step / 500)  # Flat at first, so that no region starves before it is known.
        return rendering.sample_pdf(edges, weights.detach() ** sharpness, config.field_samples, jitter), edges, weights

    def place(
        self, rays: RayBundle, edges: Float[Tensor, "rays edges"]
    ) -> tuple[Float[Tensor, "rays edges-1 3"], Float[Tensor, "rays edges-1"]]:
        """World-space middles of the intervals between spacing `edges`, and their lengths, 0 outside of a crop box."""
        distances = rendering.spacing_to_distance(edges)
        middles = 0.5 * (distances[:, 1:] + distances[:, :-1])
        points = rays.origins[:, None] + rays.directions[:, None] * middles[..., None]
        lengths = distances[:, 1:] - distances[:, :-1]
        if rays.nears is not None and rays.fars is not None:
            lengths = lengths * ((middles >= rays.nears) & (middles <= rays.fars))
        return points, lengths

    def kept(self, density: Float[Tensor, "*n"], points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n"]:
        """Density of `points`, 0 where an edited scene keeps nothing."""
        return density if self.keeps is None else density * self.keeps(points)

    def get_outputs(self, ray_bundle: RayBundle) -> dict[str, Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Renders rays; in stage 2 of training, the semantics of cached samples that the bundle carries."""
        if "points" in ray_bundle.metadata:
            points, weights, colours = (ray_bundle.metadata[name] for name in ("points", "weights", "colours"))
            return {"semantics": self.semantic.render(KeptSamples(points.unflatten(1, (-1, 3)), weights, colours))}
        edges, proposal_edges, proposal_weights = self.sample(ray_bundle)
        points, deltas = self.place(ray_bundle, edges)
        density, features = self.radiance.density_and_features(points)
        weights = rendering.render_weights(self.kept(density, points), deltas)
        accumulation = weights.sum(dim=-1, keepdim=True)
        shown, kept = rendering.heaviest_samples(weights, self.config.coloured_samples)
        near = pick(points, kept)
        surfaces = self.radiance.surfaces(near, pick(features, kept))
        colour = self.radiance.colour(surfaces, ray_bundle.directions)
        outputs: dict[str, Any] = {
            "rgb": rendering.composite(shown, colour) + 0.5 * (1.0 - accumulation),
            "accumulation": accumulation,
        }
        distances = rendering.spacing_to_distance(edges)
        outputs["depth"] = rendering.median_depth(weights.detach(), 0.5 * (distances[:, 1:] + distances[:, :-1]))[
            :, None
        ]
        if self.training:
            outputs["levels"] = (edges, weights, proposal_edges, proposal_weights)
        elif self.has_semantics:
            # The heaviest samples are among those that have a colour, unless more are asked for than those.
            if self.config.kept_samples <= self.config.coloured_samples:
                whole, indices = rendering.heaviest_samples(shown, self.config.kept_samples)
                samples = self.as_seen(pick(near, indices), pick(surfaces, indices), whole)
            else:
                samples = self.heaviest_of(points, features, weights)
            outputs.update(self.semantic_outputs(samples))
            outputs["segmentation"] = torch.where(accumulation > 0.0, outputs["segmentation"], outputs["rgb"])
        return outputs

    def get_rgba_image(self, outputs: dict[str, Tensor], output_name: str = "rgb") -> Tensor:
        """Colour without the grey behind it, and opacity; `ns-export` asks for it, of `segmentation` too."""
        colour, opacity = outputs[output_name], outputs["accumulation"]
        if output_name == "rgb":
            colour = ((colour - 0.5 * (1.0 - opacity)) / opacity.clamp(min=1e-6)).clamp(0.0, 1.0)
        return torch.cat([colour, opacity], dim=-1)

    def heaviest_of(
        self,
        points: Float[Tensor, "rays samples 3"],
        features: Float[Tensor, "rays samples dim"],
        weights: Float[Tensor, "rays samples"],
    ) -> KeptSamples:
        """What the semantic field wants to know of rays, from world-space `points` on them."""
        kept, indices = rendering.heaviest_samples(weights, self.config.kept_samples)
        points = pick(points, indices)
        return self.as_seen(points, self.radiance.surfaces(points, pick(features, indices)), kept)

    def as_seen(
        self,
        points: Float[Tensor, "rays kept 3"],
        surfaces: Float[Tensor, "rays kept hidden"],
        weights: Float[Tensor, "rays kept"],
    ) -> KeptSamples:
        """World-space `points` that are kept, with the one colour of their mean surface."""
        shares = weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-8)
        colours = self.radiance.colour_from_everywhere(rendering.composite(shares, surfaces))
        return KeptSamples(rendering.contract(points), weights, colours)

    def semantic_outputs(self, samples: KeptSamples) -> dict[str, Tensor]:
        """What the host may show of the semantics: `segmentation` in class colours and `class_id` as a float.

        The host shows every output that it gets, and fails at two numbers a pixel, the scores of two classes.
        """
        hidden = self.semantic.hidden(samples)
        products = self.semantic.products(hidden, self.text)
        best = products.argmax(dim=-1)
        outputs = {"segmentation": self.colours[best], "class_id": best[:, None].float()}
        if "class_scores" in self.extra_outputs:
            outputs["class_scores"] = products * self.semantic.inverse_lengths(hidden)
        if "hidden" in self.extra_outputs:
            outputs |= {"hidden": hidden, "inverse_lengths": self.semantic.inverse_lengths(hidden)}
        if "selection" in self.extra_outputs:
            outputs["selection"] = self.semantic.select(samples)
        return outputs

    @contextmanager
    def giving(self, *extra_outputs: ExtraOutput) -> Iterator[None]:
        """Adds outputs to those of views."""
        before, self.extra_outputs = self.extra_outputs, extra_outputs
        try:
            yield
        finally:
            self.extra_outputs = before

    @torch.no_grad()
    def hidden_at(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, "points hidden"]:
        """What `SemanticField.hidden` gives of places in scene units."""
        hidden = []
        for chunk in points.split(POINTS_AT_ONCE):
            _, features = self.radiance.density_and_features(chunk)
            surfaces = self.radiance.surfaces(chunk, features)
            whole = torch.ones(len(chunk), 1, device=points.device)
            hidden.append(self.semantic.hidden(self.as_seen(chunk[:, None], surfaces[:, None], whole)))
        return torch.cat(hidden)

    @torch.no_grad()
    def heaviest(self, rays: RayBundle) -> KeptSamples:
        """The heaviest samples of rays, for the sample table."""
        edges, _, _ = self.sample(rays)
        points, deltas = self.place(rays, edges)
        density, features = self.radiance.density_and_features(points)
        return self.heaviest_of(points, features, rendering.render_weights(self.kept(density, points), deltas))

    def get_metrics_dict(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        """PSNR of the batch in stage 1; the mean share of each scale in stage 2."""
        if "semantics" in outputs:
            shares = outputs["semantics"].selection.mean(dim=0)
            return {f"selection_{scale}": share for scale, share in enumerate(shares)}
        error = (outputs["rgb"] - batch["image"].to(self.device)).square().mean()
        return {"psnr": -10.0 * torch.log10(error)}

    def get_loss_dict(
        self, outputs: dict[str, Any], batch: dict[str, Any], metrics_dict: dict[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """Losses of the present stage."""
        if "semantics" in outputs:
            assert self.relevancy_range is not None, "the semantic stage has not begun"
            return semantic_losses(self.config, self.text, self.relevancy_range, outputs["semantics"], batch)
        weights = self.config.loss_weights
        loss = {"rgb": (outputs["rgb"] - batch["image"][..., :3].to(self.device)).square().mean()}
        if self.training:
            edges, ray_weights, proposal_edges, proposal_weights = outputs["levels"]
            loss["interlevel"] = weights.interlevel * rendering.interlevel_loss(*outputs["levels"])
            loss["distortion"] = weights.distortion * rendering.distortion_loss(edges, ray_weights)
            if "distance" in batch:
                levels = ((edges, ray_weights), (proposal_edges, proposal_weights))
                known = batch["distance"].to(self.device)
                terms = [rendering.distance_loss(rendering.spacing_to_distance(s), w, known) for s, w in levels]
                loss["distance"] = self.distance_weight * sum(terms)
        return loss

    def get_image_metrics_and_images(
        self, outputs: dict[str, Tensor], batch: dict[str, Any]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        """PSNR and SSIM of a held-out view; its labels, where there are any, count into both scores."""
        photo = batch["image"][..., :3].to(outputs["rgb"].device)
        rendered = outputs["rgb"].clamp(0.0, 1.0)
        metrics = photo_scores(rendered, photo, visible(batch))
        images = {
            "img": torch.cat([photo, rendered], dim=1),
            "depth": colormaps.apply_depth_colormap(outputs["depth"], accumulation=outputs["accumulation"]),
        }
        if "segmentation" in outputs:
            images["segmentation"] = outputs["segmentation"]
            if "labels" in batch:
                self.count(outputs["class_id"][..., 0].long().cpu(), batch["labels"].cpu())
        return metrics, images

    def count(self, predicted: Int[Tensor, "h w"], labels: Int[Tensor, "h w"]) -> None:
        """Adds a view to both scores, unless none of its pixels has a label."""
        if not (labels >= 0).any():
            return
        self.confusion.update(predicted, labels)
        self.paper_score.update(predicted, labels)


def pick(
    values: Float[Tensor, "rays samples dim"], indices: Int[Tensor, "rays kept"]
) -> Float[Tensor, "rays kept dim"]:
    """Values of the samples that `indices` name along each ray."""
    rays, samples, _ = values.shape
    first = samples * torch.arange(rays, device=values.device)[:, None]
    # Whole rows; `gather` would go number by number.
    return values.flatten(0, 1).index_select(0, (first + indices).flatten()).unflatten(0, indices.shape)
