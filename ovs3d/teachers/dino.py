"""Teacher `dino`: patch tokens of a self-supervised ViT, one vector per patch."""

import torch
from jaxtyping import Float
from torch import Tensor

from ovs3d.spaces import PatchEncoder
from ovs3d.teachers.base import FeatureMeta, JsonValue, precision_option, resize, unit_or_zero
from ovs3d.teachers.memory import Batches
from ovs3d.teachers.windows import storage_grid


class Dino:
    """Patch tokens at the model's own grid; a larger image is shrunk until its tokens are at most `max_cells`.

    3D-OVS uses the tokens of `dino_vitb8` in the same way, on images of about a thousand tokens.
    """

    def __init__(self, encoder: PatchEncoder, device: str | torch.device = "cpu", max_cells: int = 1200) -> None:
        """Takes a loaded encoder that lives on `device`, and the upper limit of the token grid."""
        self.encoder, self.device, self.max_cells = encoder, torch.device(device), max_cells
        self.meta = FeatureMeta("dino", encoder.space, encoder.dim, ("dino",), normalised=True)
        self.options: dict[str, JsonValue] = {
            "patch_stride": encoder.patch_stride,
            "max_cells": max_cells,
            **precision_option(encoder.precision),
        }

    def extract(self, image: Float[Tensor, "3 h w"]) -> Float[Tensor, "scales gh gw dim"]:
        """Unit-length features of one RGB image in [0, 1], on the CPU."""
        stride = self.encoder.patch_stride
        rows, columns = storage_grid(image.shape[1], image.shape[2], stride, self.max_cells)
        images = resize(image[None].to(self.device), rows * stride, columns * stride)
        # The whole image is one item: tokens attend to each other, so that parts of it would give other features.
        ((_, _, tokens),) = Batches(1).encode(lambda first, last: self.encoder.encode_patches(images[first:last]), 1)
        return unit_or_zero(tokens.permute(0, 2, 3, 1)).cpu()
