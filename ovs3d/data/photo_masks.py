"""Masks of photographs: what lies under them teaches nothing, and its colours are not measured."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from torch import Tensor

from ovs3d.data.labels import check_shape
from ovs3d.errors import UserError

SIDE = 512
"""Longest side in pixels of the masks in memory."""


class PhotoMasks:
    """Masks as nerfstudio reads them: what is not black counts.

    Args:
        paths: one picture for every training view.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        masks = [read_mask(path, SIDE) for path in paths]
        self._sizes = torch.tensor([[mask.shape[1], mask.shape[0]] for mask in masks])
        self._starts = self._sizes.prod(dim=1).cumsum(dim=0) - self._sizes.prod(dim=1)
        self._pixels = torch.cat([mask.flatten() for mask in masks])

    def visible(self, views: Int[Tensor, " rays"], uv: Float[Tensor, "rays 2"]) -> Bool[Tensor, " rays"]:
        """Whether places `uv` = (x / width, y / height), in [0, 1], of `views` count."""
        sizes = self._sizes[views]
        x, y = torch.minimum((uv * sizes).long().clamp(min=0), sizes - 1).unbind(dim=-1)
        return self._pixels[self._starts[views] + y * sizes[:, 0] + x]


def read_mask(path: Path, side: int | None = None) -> Bool[Tensor, "h w"]:
    """A mask, True where the photograph counts, in at most `side` pixels on the long side.

    What is not 0 counts, whatever a palette makes of it: the host has it so.
    """
    with Image.open(path) as picture:
        scale = 1.0 if side is None else min(1.0, side / max(picture.size))
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        return torch.from_numpy(np.asarray(picture.resize(size, Image.Resampling.NEAREST)) != 0)


def check_mask(path: Path, size: tuple[int, int]) -> bool:
    """Whether a mask, which can be decoded, leaves any pixel of its photograph of (h, w) pixels visible.

    Raises:
        UserError: it has several channels, or cannot be of its photograph.
    """
    with Image.open(path) as picture:
        check_shape(path, picture.size, size)
        if len(picture.getbands()) > 1:
            raise UserError(f"{path} is a mask of mode {picture.mode}; save it with one channel, black = masked.")
        return bool(np.asarray(picture).any())
