"""Whether pictures look like those that a tiny encoder was trained on; it answers for no others."""

import json
import logging
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

log = logging.getLogger(__name__)

GRID = (60, 80)


def picture_statistics(images: Float[Tensor, "views 3 h w"]) -> Float[Tensor, "views statistics"]:
    """Ten numbers per RGB picture in [0, 1], at 80 x 60: colour mean and spread, edges, fine detail, saturation."""
    images = F.interpolate(images, size=GRID, mode="area")
    luminance = images.mean(dim=1, keepdim=True)
    saturation = images.amax(dim=1) - images.amin(dim=1)
    edges = (luminance[..., 1:] - luminance[..., :-1]).abs().mean((1, 2, 3))
    detail = (F.avg_pool2d(luminance, 3, 1) - luminance[..., 1:-1, 1:-1]).abs().mean((1, 2, 3))
    colour = torch.cat([images.mean((2, 3)), images.std((2, 3))], dim=1)
    return torch.cat([colour, torch.stack([edges, detail, saturation.mean((1, 2)), saturation.std((1, 2))], 1)], dim=1)


class Familiarity:
    """Watches the pictures that pass through an encoder and warns, once, when their scene is unlike the training's.

    The measure is the Mahalanobis distance of the scene's mean statistics from those of the training scenes. Whole
    pictures and tiles of them have statistics of their own: the teacher `clip-dense` shows tiles.
    """

    def __init__(self, name: str, path: Path, kind: Literal["pictures", "tiles"]) -> None:
        """Reads the entry `kind` of a JSON file: `mean` [10], `precision` [10, 10], `limit`, and `least`, the number of
        pictures or tiles from which on the mean says enough. `name` is the encoder's."""
        stored = json.loads(path.read_text())[kind]
        self.name = name
        self.limit, self.least = float(stored["limit"]), int(stored["least"])
        self._mean, self._precision = torch.tensor(stored["mean"]), torch.tensor(stored["precision"])
        self._sum, self._count, self._warned = torch.zeros_like(self._mean), 0, False

    @property
    def distance(self) -> float:
        """Distance of the pictures seen so far from the training scenes; about 3 is usual."""
        deviation = self._sum / max(self._count, 1) - self._mean
        return float((deviation @ self._precision @ deviation).sqrt())

    def observe(self, images: Float[Tensor, "views 3 h w"]) -> None:
        """Takes in pictures or tiles of them, RGB in [0, 1]."""
        if self._warned:
            return
        self._sum += picture_statistics(images.cpu()).sum(dim=0)
        self._count += len(images)
        if self._count >= self.least and self.distance > self.limit:
            self._warned = True
            log.warning(
                "These pictures are unlike those %s was trained on (distance %.1f, usually below %.1f): it knows "
                "coloured, patterned solids in rendered rooms only, so pass a real model for real photographs.",
                self.name,
                self.distance,
                self.limit,
            )
