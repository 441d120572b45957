"""Teacher `clip-dense`: CLIP's dense patch embeddings, a few passes per scale instead of one per window.

Each scale of 3D-OVS is imitated by the size at which CLIP sees the image: the side of a window becomes the side of
CLIP's training image, so that a token's surroundings look as they do in a window, or as many tokens as the storage grid
can tell apart, where that is less.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ovs3d.errors import UserError
from ovs3d.spaces import ImageTextEncoder
from ovs3d.teachers.base import FeatureMeta, JsonValue, precision_option, resize, unit_or_zero
from ovs3d.teachers.memory import Batches
from ovs3d.teachers.windows import DIVISORS, storage_grid, window_sides, window_stride


class ClipDense:
    """Dense CLIP features at the scales of 3D-OVS, area-averaged to the storage grid."""

    def __init__(
        self,
        encoder: ImageTextEncoder,
        device: str | torch.device = "cpu",
        divisors: Sequence[int] = DIVISORS,
        window_tokens: int = 8,
        tile_windows: float = 2.5,
        max_tile_tokens: int = 48,
        max_cells: int = 1000,
        batch_tokens: int = 8192,
    ) -> None:
        """Takes a loaded encoder.

        Args:
            encoder: embeds the tiles.
            device: where the encoder lives.
            divisors: a window's side is the short side of the image divided by these, one scale each.
            window_tokens: a window is seen at most so many tokens wide. The cells of the storage grid are a quarter of
                the smallest window and more, and the cost grows with the square.
            tile_windows: a tile spans at most so many sides of the model's training image, because attention over much
                more than that mixes far parts of the scene; neighbouring tiles overlap by half a window.
            max_tile_tokens: upper limit of a tile's side in tokens.
            max_cells: upper limit of the storage grid.
            batch_tokens: at most about as many tokens go through the model at a time; it changes the memory needed,
                never the tiles.

        Raises:
            UserError: the encoder has no dense path.
        """
        self.encoder, self.device, self.batches = encoder, torch.device(device), Batches(batch_tokens)
        self.divisors, self.max_cells = tuple(divisors), max_cells
        if encoder.patch_stride is None:
            raise UserError(
                f"The image tower of {encoder.space} has no dense path: choose a ViT or ModifiedResNet (RN50...) of "
                "open_clip, such as ViT-B-16, or the teacher clip-crops."
            )
        self.patch = encoder.patch_stride
        trained = encoder.image_size / self.patch
        self.window = min(trained, window_tokens)
        self.tile = max(2, min(max_tile_tokens, round(tile_windows * trained)))
        self.overlap = min(self.tile // 2, round(self.window / 2))
        levels = tuple(f"short/{divisor}" for divisor in self.divisors)
        self.meta = FeatureMeta("clip-dense", encoder.space, encoder.dim, levels, normalised=True)
        self.options: dict[str, JsonValue] = {
            "image_size": encoder.image_size,
            "patch_stride": self.patch,
            "divisors": self.divisors,
            "window": self.window,
            "tile": self.tile,
            "overlap": self.overlap,
            "max_cells": max_cells,
            **precision_option(encoder.precision),
        }

    def extract(self, image: Float[Tensor, "3 h w"]) -> Float[Tensor, "scales gh gw dim"]:
        """Unit-length features of one RGB image in [0, 1], on the CPU."""
        height, width = image.shape[1:]
        sides = window_sides(height, width, self.divisors)
        grid = storage_grid(height, width, window_stride(min(sides)), self.max_cells)
        image = image.to(self.device)
        return unit_or_zero(torch.stack([self._scale(image, side, grid) for side in sides])).cpu()

    def _scale(self, image: Float[Tensor, "3 h w"], side: int, grid: tuple[int, int]) -> Float[Tensor, "gh gw dim"]:
        """Area average of the tokens at the size where a window is `self.window` tokens wide."""
        patch = self.patch
        tokens = [max(1, round(size * self.window / side)) for size in image.shape[1:]]
        scaled = resize(image[None], tokens[0] * patch, tokens[1] * patch)[0]
        starts, blends = zip(
            *(tile_axis(count, self.tile, self.overlap, cells) for count, cells in zip(tokens, grid, strict=True)),
            strict=True,
        )
        rows, columns = (blend.to(self.device) for blend in blends)
        places = [(i, j) for i in range(len(starts[0])) for j in range(len(starts[1]))]
        size = [blend.shape[2] * patch for blend in blends]
        total = torch.zeros(*grid, self.encoder.dim, device=self.device)

        def encode(first: int, last: int) -> Float[Tensor, "tiles dim y x"]:
            corners = [(starts[0][i] * patch, starts[1][j] * patch) for i, j in places[first:last]]
            tiles = torch.stack([scaled[:, y : y + size[0], x : x + size[1]] for y, x in corners])
            return self.encoder.encode_dense(tiles).to(total)

        tokens_per_tile = blends[0].shape[2] * blends[1].shape[2]
        for first, last, dense in self.batches.encode(encode, len(places), tokens_per_tile):
            for (i, j), tile in zip(places[first:last], dense, strict=True):
                total += torch.einsum("gy,dyx,hx->ghd", rows[i], tile, columns[j])
        return total


def tile_axis(count: int, tile: int, overlap: int, cells: int) -> tuple[list[int], Float[Tensor, "tiles cells tokens"]]:
    """Tiles along one axis and the weights that average their tokens over cells.

    Args:
        count: tokens along the axis.
        tile: most tokens in a tile.
        overlap: least tokens that neighbouring tiles share.
        cells: cells of the storage grid along the axis.

    Returns:
        The first token of every tile, and weights that say how much of a cell's mean each token of each tile is. A
        token's share is the part of the cell that it covers; where tiles overlap, a ramp fades from one to the other.
        The weights of a cell sum to one.
    """
    number = 1 if count <= tile else math.ceil((count - overlap) / (tile - overlap))
    # Tiles are made equal and no larger than needed, so that they share a batch and waste no token.
    length = math.ceil((count + (number - 1) * overlap) / number)
    starts = [round(k * (count - length) / max(1, number - 1)) for k in range(number)]
    edge = torch.arange(length) + 1.0
    ramp = torch.minimum(edge, edge.flip(0)).clamp(max=overlap + 1)
    shares = torch.zeros(number, count)
    for k, start in enumerate(starts):
        shares[k, start : start + length] = ramp
    shares /= shares.sum(0)
    area = overlaps(count, cells) * cells
    return starts, torch.stack([(area * shares[k])[:, s : s + length] for k, s in enumerate(starts)])


def overlaps(count: int, cells: int) -> Float[Tensor, "cells tokens"]:
    """Length shared by cell i and token t when both divide the unit interval evenly."""
    cell, token = torch.arange(cells)[:, None] / cells, torch.arange(count)[None] / count
    return (torch.minimum(cell + 1 / cells, token + 1 / count) - torch.maximum(cell, token)).clamp(min=0)
