"""Outputs of the panel: colours over the rendered picture."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ovs3d.evaluation.figures import relevancy_to_rgb
from ovs3d.palette import class_colours


def blend(
    rgb: Float[Tensor, "h w 3"], colour: Float[Tensor, "h w 3"], opacity: Float[Tensor, "h w"]
) -> Float[Tensor, "h w 3"]:
    """`colour` over `rgb`; all in [0, 1]."""
    return torch.lerp(rgb, colour, opacity[..., None])


def paint_classes(
    rgb: Float[Tensor, "h w 3"],
    segmentation: Float[Tensor, "h w 3"],
    labels: Float[Tensor, "h w 1"],
    shown: Bool[Tensor, " classes"],
    opacity: float,
) -> Float[Tensor, "h w 3"]:
    """Class colours over the picture; a class that is switched off is not painted.

    Its pixels do not get their second-best class: they would say what the run does not.
    """
    return blend(rgb, segmentation, opacity * shown.to(labels.device)[labels[..., 0].long()].float())


def paint_scores(
    rgb: Float[Tensor, "h w 3"], scores: Float[Tensor, "h w questions"], threshold: float, opacity: float
) -> Float[Tensor, "h w 3"]:
    """Scores in [0, 1] over the picture, where the best one is above `threshold`.

    One question is painted as heat, blue 0 and red 1; several have a colour each, `class_colours`.
    """
    best, which = scores.max(dim=-1)
    if scores.shape[-1] == 1:
        colour = torch.from_numpy(relevancy_to_rgb(best.cpu().numpy())).to(rgb) / 255.0
    else:
        colour = (torch.from_numpy(class_colours(scores.shape[-1])).to(rgb) / 255.0)[which]
    return blend(rgb, colour, opacity * (best > threshold).float())


def paint_selection(selection: Float[Tensor, "h w scales"]) -> Float[Tensor, "h w 3"]:
    """Every scale has a colour, red, green, blue where there are three; a pixel mixes them by its selection."""
    scales = selection.shape[-1]
    colours = torch.eye(3) if scales == 3 else torch.from_numpy(class_colours(scales)) / 255.0
    return selection @ colours.to(selection)
