"""Extracts features of a scene by a teacher without a network, so that what the views themselves take is seen."""

import sys
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ovs3d.data.dataparser import OVS3DDataParserConfig
from ovs3d.data.validation import training_images
from ovs3d.teachers.base import FeatureMeta
from ovs3d.teachers.cache import default_cache_root, extract_features
from ovs3d.teachers.windows import storage_grid


class Plain:
    """Features of the size of `clip-dense` with ViT-B/16, all alike."""

    def __init__(self) -> None:
        self.meta = FeatureMeta("plain", "plain", 512, ("1", "2", "3"), True)
        self.options: dict = {}

    def extract(self, image: Float[Tensor, "3 h w"]) -> Float[Tensor, "scales gh gw dim"]:
        """Ones, on the grid that every teacher uses."""
        return torch.ones(3, *storage_grid(image.shape[1], image.shape[2], 1), 512)


if __name__ == "__main__":
    extract_features(Plain(), training_images(OVS3DDataParserConfig(data=Path(sys.argv[1]))), default_cache_root())
