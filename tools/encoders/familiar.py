"""Writes the statistics by which the tiny encoders notice unfamiliar pictures.

python -m tools.encoders.familiar --corpus CORPUS --out ovs3d/assets/tiny-familiar.json
"""

import json
from pathlib import Path

import torch
import tyro

from ovs3d.encoders.familiarity import picture_statistics
from tools.encoders.corpus import Corpus, StoredScene


def scene_statistics(scene: StoredScene) -> torch.Tensor:
    """Mean statistics of a scene's pictures."""
    images = torch.from_numpy(scene.views[..., :3].copy()).permute(0, 3, 1, 2).float() / 255
    return picture_statistics(images).mean(dim=0)


def main(corpus: Path, out: Path, limit: float = 5.0) -> None:
    """Fits mean and precision to the training scenes.

    Args:
        corpus: folder that `tools.encoders.render` filled.
        out: JSON file to write.
        limit: distance beyond which a scene counts as unfamiliar; validation scenes stay below 4.8.
    """
    table = torch.stack([scene_statistics(scene) for scene in Corpus(corpus, "train").scenes])
    precision = torch.linalg.inv(torch.cov(table.T) + 1e-8 * torch.eye(table.shape[1]))
    content = {"limit": limit, "scenes": len(table), "mean": table.mean(dim=0).tolist(), "precision": precision.tolist()}
    out.write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    tyro.cli(main)
