"""The model as the host sees it: the radiance model, and after its stage a semantic field on frozen geometry."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.utils import colormaps
from torch import Tensor
from torch.nn import Parameter

from ovs3d import rendering
from ovs3d.evaluation.metrics import ConfusionMatrix, PaperScore, PhotoScore, visible
from ovs3d.field.samples import KeptSamples
from ovs3d.field.semantic import SemanticField
from ovs3d.objectives import geometry_losses, semantic_losses
from ovs3d.palette import class_colours
from ovs3d.radiance_model import RadianceModel, Surfaces

ExtraOutput = Literal["class_scores", "hidden", "selection"]
POINTS_AT_ONCE = 16384


class OVS3DModel(RadianceModel):
    """Stage 1 trains density and colour, stage 2 the semantic field on cached samples of the frozen geometry."""

    def populate_modules(self) -> None:
        """Builds the semantic field too, and the buffers that a run needs to be evaluated without any encoder."""
        super().populate_modules()
        config = self.config
        self.semantic = SemanticField(
            config.latent_resolutions,
            config.latent_channels,
            config.head_dim,
            config.scales,
            config.feature_dim,
            config.patch_dim,
            config.selection_sharpness,
            config.selection,
            prefers_finer=config.loss_weights.selection > 0.0,
        )
        classes = len(config.classes)
        self.register_buffer("text", torch.zeros(classes, config.feature_dim))
        self.text: Tensor
        self.register_buffer("colours", torch.from_numpy(class_colours(classes)) / 255.0, persistent=False)
        self.colours: Tensor
        self.relevancy_range: Tensor | None = None  # [2, views, scales, classes], known only while training.
        self.extra_outputs: tuple[ExtraOutput, ...] = ()  # Of views; the host could not show them.
        self.confusion = ConfusionMatrix(config.classes)
        self.paper_score = PaperScore(config.classes)
        self.photo_score = PhotoScore()

    @property
    def in_semantics(self) -> bool:
        """Whether the geometry stage is over."""
        return self.step >= self.config.geometry_steps

    @property
    def has_semantics(self) -> bool:
        """Whether the semantic stage has begun: only then are the texts known."""
        return self.in_semantics and bool(self.text.any())

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

    def get_outputs(self, ray_bundle: RayBundle) -> dict[str, Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Renders rays; in stage 2 of training, the semantics of cached samples that the bundle carries."""
        if "points" in ray_bundle.metadata:
            points, weights, colours = (ray_bundle.metadata[name] for name in ("points", "weights", "colours"))
            return {"semantics": self.semantic.render(KeptSamples(points.unflatten(1, (-1, 3)), weights, colours))}
        kept, coloured = self.config.kept_samples, self.config.coloured_samples
        marched = self.march(ray_bundle)
        surfaces = self.surfaces(marched, coloured)
        outputs = self.picture(marched, surfaces, ray_bundle)
        if self.has_semantics and not self.training:
            # The heaviest samples are among those that have a colour, unless more are asked for than those.
            heaviest = surfaces.heaviest(kept) if kept <= coloured else self.surfaces(marched, kept)
            outputs.update(self.semantic_outputs(self.as_seen(heaviest)))
            outputs["segmentation"] = torch.where(
                outputs["accumulation"] > 0.0, outputs["segmentation"], outputs["rgb"]
            )
        return outputs

    def as_seen(self, surfaces: Surfaces) -> KeptSamples:
        """What the semantic field wants to know of rays: their samples, with the one colour of their mean surface."""
        weights = surfaces.weights
        shares = weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-8)
        colours = self.radiance.colour_from_everywhere(rendering.composite(shares, surfaces.features))
        return KeptSamples(rendering.contract(surfaces.points), weights, colours)

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
            features, whole = self.radiance.surfaces(chunk, features), torch.ones(len(chunk), 1, device=points.device)
            hidden.append(self.semantic.hidden(self.as_seen(Surfaces(chunk[:, None], features[:, None], whole))))
        return torch.cat(hidden)

    @torch.no_grad()
    def heaviest(self, rays: RayBundle) -> KeptSamples:
        """The heaviest samples of rays, for the sample table."""
        return self.as_seen(self.surfaces(self.march(rays), self.config.kept_samples))

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
        return geometry_losses(self.config, outputs, batch, self.distance_weight)

    def get_image_metrics_and_images(
        self, outputs: dict[str, Tensor], batch: dict[str, Any]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        """PSNR and SSIM of a held-out view; its labels, where there are any, count into both scores."""
        photo = batch["image"][..., :3].to(outputs["rgb"].device)
        rendered = outputs["rgb"].clamp(0.0, 1.0)
        metrics = self.photo_score.update(rendered, photo, visible(batch))
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
        """Adds a view to both scores."""
        self.confusion.update(predicted, labels)
        self.paper_score.update(predicted, labels)
