"""The objectives of both stages: which losses, on which rays, with which weights."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ovs3d import losses, rendering
from ovs3d.field.semantic import RaySemantics
from ovs3d.model_config import OVS3DModelConfig
from ovs3d.relevancy import normalise_relevancy, relevancy, select_features, selected_relevancy


def geometry_losses(
    config: OVS3DModelConfig, outputs: dict[str, Any], batch: dict[str, Any], distance_weight: float
) -> dict[str, Tensor]:
    """Squared error of colour and, while training, interlevel, distortion and distance losses, each times its weight.

    Args:
        config: weights.
        outputs: of `RadianceModel.picture`.
        batch: what the data manager yields in the geometry stage.
        distance_weight: of the distance loss, at the present step.
    """
    weights, photo = config.loss_weights, batch["image"][..., :3].to(outputs["rgb"].device)
    loss = {"rgb": (outputs["rgb"] - photo).square().mean()}
    if "levels" not in outputs:
        return loss
    edges, ray_weights, proposal_edges, proposal_weights = outputs["levels"]
    loss["interlevel"] = weights.interlevel * rendering.interlevel_loss(*outputs["levels"])
    loss["distortion"] = weights.distortion * rendering.distortion_loss(edges, ray_weights)
    if "distance" in batch:
        levels, known = ((edges, ray_weights), (proposal_edges, proposal_weights)), batch["distance"].to(photo.device)
        terms = [rendering.distance_loss(rendering.spacing_to_distance(s), w, known) for s, w in levels]
        loss["distance"] = distance_weight * sum(terms)
    return loss


def semantic_losses(
    config: OVS3DModelConfig,
    text: Float[Tensor, "classes dim"],
    relevancy_range: Float[Tensor, "2 views scales classes"],
    rendered: RaySemantics,
    batch: dict[str, Any],
) -> dict[str, Tensor]:
    """Feature, RDA, selection, patch-feature and FDA losses, each times its weight; FDA sees the batch's patches alone.

    Args:
        config: weights and temperatures.
        text: unit embeddings of the classes.
        relevancy_range: what becomes 0 and 1 in the teacher's normalised relevancy.
        rendered: semantics of the batch's rays.
        batch: what the data manager yields in the semantic stage.
    """
    weights = config.loss_weights
    features, valid = batch["features"], batch["features_valid"]
    any_valid = valid.any(dim=-1)
    target = select_features(features, rendered.selection, valid)
    scores = relevancy(rendered.features, text)
    loss = {"feature": weights.feature * losses.feature_loss(rendered.features, target, any_valid)}
    low, high = relevancy_range[:, batch["views"]]
    normalised = normalise_relevancy(relevancy(features, text), low, high)
    selected = selected_relevancy(normalised, rendered.selection, valid)
    compared = scores if config.rda_normalise else rendered.features @ text.T
    loss["rda"] = weights.rda * losses.rda_loss(
        compared, selected, any_valid, config.rendered_temperature, config.selected_temperature
    )
    if config.selection and config.scales > 1:
        loss["selection"] = weights.selection * losses.coarseness(rendered.selection, valid.all(dim=-1))
    if rendered.patch_features is not None:
        patch = batch["patch_features"]
        loss["patch_feature"] = weights.patch_feature * losses.distillation_loss(
            rendered.patch_features, patch, batch["patch_valid"]
        )
        tokens, first = batch["patch_tokens"], batch["random_rays"]
        if tokens > 0:
            log_probs = torch.log_softmax(scores[first:] / config.fda_temperature, dim=-1)
            positive, negative = losses.fda_loss(
                log_probs.unflatten(0, (-1, tokens)),
                patch[first:].unflatten(0, (-1, tokens)),
                config.fda_shift,
                batch["patch_valid"][first:].unflatten(0, (-1, tokens)),
                n_pairs=config.fda_pairs,
            )
            loss["fda_positive"] = weights.fda_positive * positive
            loss["fda_negative"] = weights.fda_negative * negative
    return loss
