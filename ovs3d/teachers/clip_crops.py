"""Teacher `clip-crops`: CLIP embeddings of sliding windows, averaged over the cells that they cover (3D-OVS)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ovs3d.spaces import ImageTextEncoder
from ovs3d.teachers.base import FeatureMeta, JsonValue, precision_option, resize, unit_or_zero
from ovs3d.teachers.memory import Batches
from ovs3d.teachers.windows import (
    DIVISORS,
    average_windows,
    sliding_windows,
    storage_grid,
    window_sides,
    window_stride,
)


class ClipCrops:
    """The window features of 3D-OVS (arXiv 2305.14093), from the full-size image and with seeded jitter.

    Departures from the authors' code: the image is not shrunk to 1/8 first (`scale_down=8` does so), the jitter is
    seeded, and the average is kept on the storage grid instead of at every pixel.
    """

    def __init__(
        self,
        encoder: ImageTextEncoder,
        device: str | torch.device = "cpu",
        divisors: Sequence[int] = DIVISORS,
        stride_divisor: int = 4,
        scale_down: int = 1,
        seed: int = 0,
        max_cells: int = 1000,
        batch_size: int = 64,
    ) -> None:
        """Takes a loaded encoder.

        Args:
            encoder: embeds the windows.
            device: where the encoder lives.
            divisors: a window's side is the short side of the image divided by these, one scale each.
            stride_divisor: windows are side // stride_divisor pixels apart; 2 costs a quarter of 4.
            scale_down: the image is shrunk by this factor first; the authors use 8.
            seed: of the jitter.
            max_cells: upper limit of the storage grid.
            batch_size: windows per pass at most; it changes the memory needed, never the windows.
        """
        self.encoder, self.device, self.batches = encoder, torch.device(device), Batches(batch_size)
        self.divisors, self.stride_divisor, self.scale_down = tuple(divisors), stride_divisor, scale_down
        self.seed, self.max_cells = seed, max_cells
        levels = tuple(f"short/{divisor}" for divisor in self.divisors)
        self.meta = FeatureMeta("clip-crops", encoder.space, encoder.dim, levels, normalised=True)
        self.options: dict[str, JsonValue] = {
            "image_size": encoder.image_size,
            "divisors": self.divisors,
            "stride_divisor": stride_divisor,
            "scale_down": scale_down,
            "seed": seed,
            "max_cells": max_cells,
            **precision_option(encoder.precision),
        }

    def extract(self, image: Float[Tensor, "3 h w"]) -> Float[Tensor, "scales gh gw dim"]:
        """Unit-length features of one RGB image in [0, 1], on the CPU."""
        height, width = (max(1, size // self.scale_down) for size in image.shape[1:])
        image = resize(image[None].to(self.device), height, width)[0]
        sides = window_sides(height, width, self.divisors)
        grid = storage_grid(height, width, window_stride(min(sides), self.stride_divisor), self.max_cells)
        scales = []
        for side in sides:
            boxes = sliding_windows(height, width, side, self.stride_divisor, self.seed)
            embeddings = encode_windows(self.encoder, image, boxes, self.batches)
            scales.append(average_windows(boxes, embeddings, (height, width), grid))
        return unit_or_zero(torch.stack(scales)).cpu()


def encode_windows(
    encoder: ImageTextEncoder,
    image: Float[Tensor, "3 h w"],
    boxes: Int64[Tensor, "windows 4"],
    batches: Batches,
) -> Float[Tensor, "windows dim"]:
    """CLIP embeddings (not normalised) of windows of one image.

    As in CLIP's own preprocessing, what the model sees of an oblong window is its central square.
    """
    top, left, bottom, right = boxes.unbind(1)
    side = torch.minimum(bottom - top, right - left)
    top, left = top + (bottom - top - side) // 2, left + (right - left - side) // 2
    squares = torch.stack([top, left, side], dim=1)
    embeddings = torch.empty(len(boxes), encoder.dim, device=image.device)
    # Windows of one size are resized together; sorting by size puts them into the same batch.
    order = side.argsort(stable=True)

    def encode(first: int, last: int) -> Float[Tensor, "some dim"]:
        return encoder.encode_image(crop_squares(image, squares[order[first:last]], encoder.image_size))

    for first, last, encoded in batches.encode(encode, len(order)):
        embeddings[order[first:last].to(image.device)] = encoded.to(embeddings)
    return embeddings


def crop_squares(
    image: Float[Tensor, "3 h w"], squares: Int64[Tensor, "windows 3"], size: int
) -> Float[Tensor, "windows 3 size size"]:
    """Cuts squares (top, left, side; in pixels) out of an image and resizes each to `size` pixels."""
    crops = image.new_empty(len(squares), 3, size, size)
    for side in squares[:, 2].unique().tolist():
        same = (squares[:, 2] == side).nonzero()[:, 0]
        span = torch.arange(side)
        rows = (squares[same, 0, None] + span).to(image.device)
        columns = (squares[same, 1, None] + span).to(image.device)
        cut = image[:, rows[:, :, None], columns[:, None, :]].transpose(0, 1)
        crops[same.to(image.device)] = resize(cut, size, size)
    return crops
