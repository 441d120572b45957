"""Masks of the training photographs: what lies under them must teach nothing."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from torch import Tensor

SIDE = 512
"""Longest side in pixels of the masks in memory."""


class PhotoMasks:
    """Masks as nerfstudio reads them: what is not black counts.

    Args:
        paths: one picture for every training view.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._masks = [read_mask(path) for path in paths]

    def visible(self, views: Int[Tensor, " rays"], uv: Float[Tensor, "rays 2"]) -> Bool[Tensor, " rays"]:
        """Whether places `uv` = (x / width, y / height), in [0, 1], of `views` count."""
        visible = torch.empty(len(views), dtype=torch.bool)
        for view in views.unique().tolist():
            mask, here = self._masks[view], views == view
            size = torch.tensor([mask.shape[1], mask.shape[0]])
            x, y = (uv[here].cpu() * size).long().clamp(min=torch.zeros(2).long(), max=size - 1).unbind(dim=-1)
            visible[here] = mask[y, x]
        return visible


def read_mask(path: Path) -> Bool[Tensor, "h w"]:
    """A mask in at most `SIDE` pixels on the long side."""
    with Image.open(path) as picture:
        scale = min(1.0, SIDE / max(picture.size))
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        return torch.from_numpy(np.asarray(picture.convert("L").resize(size, Image.Resampling.NEAREST)) > 0)
