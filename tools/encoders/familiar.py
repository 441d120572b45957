"""Writes the statistics by which the tiny encoders notice unfamiliar pictures.

python -m tools.encoders.familiar --corpus CORPUS --out ovs3d/assets/tiny-familiar.json
"""

import json
import logging
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import tyro
from jaxtyping import Float
from torch import Tensor

from ovs3d.encoders.familiarity import picture_statistics
from tools.encoders.corpus import Corpus, StoredScene

log = logging.getLogger(__name__)
LIMITS = {"pictures": (5.0, 8), "tiles": (5.0, 400)}
"""Distance beyond which a scene counts as unfamiliar, and how many pictures or tiles that takes."""
TILE, TILE_SIDES = 120, (120, 85, 60)
"""Side to which tiles are resized, and their sides in a corpus picture: those of `clip-dense` at its three scales."""


def scene_statistics(scene: StoredScene, kind: str, rng: np.random.Generator) -> Float[Tensor, "statistics"]:
    """Mean statistics of a scene's pictures, or of random tiles of them."""
    images = torch.from_numpy(scene.views[..., :3].copy()).permute(0, 3, 1, 2).float() / 255
    if kind == "tiles":
        tiles = []
        for side in TILE_SIDES:
            # Smaller tiles are more numerous by the ratio of the areas.
            for image in images.repeat_interleave(round(2 * (TILE / side) ** 2), dim=0):
                top, left = (int(rng.integers(size - side + 1)) for size in image.shape[1:])
                tiles.append(F.interpolate(image[None, :, top : top + side, left : left + side], size=(TILE, TILE)))
        images = torch.cat(tiles)
    return picture_statistics(images).mean(dim=0)


def main(corpus: Path, out: Path) -> None:
    """Fits mean and precision to the training scenes, and logs the distances of the validation scenes.

    Args:
        corpus: folder that `tools.encoders.render` filled.
        out: JSON file to write.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rng, content = np.random.default_rng(0), {}
    for kind, (limit, least) in LIMITS.items():
        table, val = (
            torch.stack([scene_statistics(scene, kind, rng) for scene in Corpus(corpus, split).scenes])
            for split in ("train", "val")
        )
        mean, precision = table.mean(dim=0), torch.linalg.inv(torch.cov(table.T) + 1e-8 * torch.eye(table.shape[1]))
        distances = ((val - mean) @ precision * (val - mean)).sum(dim=1).sqrt().sort().values
        log.info("%s: largest distances of validation scenes %s", kind, distances[-5:].tolist())
        content[kind] = {"limit": limit, "least": least, "mean": mean.tolist(), "precision": precision.tolist()}
    out.write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    tyro.cli(main)
