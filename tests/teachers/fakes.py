"""Small encoders with the interface of the real ones: fixed random projections of what they see."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


class FakeClip:
    """Projects average-pooled pixels; the dense form of a patch depends on that patch alone."""

    space = "fake-clip"
    precision = torch.float32

    def __init__(self, dim: int = 8, image_size: int = 16, patch_stride: int = 4) -> None:
        self.dim, self.image_size = dim, image_size
        self.patch_stride: int | None = patch_stride
        self.cell = patch_stride
        generator = torch.Generator().manual_seed(1)
        self.from_crop = torch.randn(3 * 4 * 4, dim, generator=generator)
        self.from_patch = torch.randn(3, dim, generator=generator)
        self.seen: list[tuple[int, ...]] = []

    def encode_text(self, words: Sequence[str]) -> Tensor:
        return F.normalize(torch.ones(len(words), self.dim), dim=-1)

    def encode_image(self, crops: Tensor) -> Tensor:
        self.seen.append(tuple(crops.shape))
        return F.adaptive_avg_pool2d(crops, 4).flatten(1) @ self.from_crop

    def encode_dense(self, images: Tensor) -> Tensor:
        self.seen.append(tuple(images.shape))
        return torch.einsum("nchw,cd->ndhw", F.avg_pool2d(images, self.cell), self.from_patch)


class FakeDino:
    """Projects the mean colour of a patch."""

    space = "fake-dino"
    dim = 6
    patch_stride = 8
    precision = torch.float32

    def encode_patches(self, images: Tensor) -> Tensor:
        weights = torch.randn(3, self.dim, generator=torch.Generator().manual_seed(2))
        return torch.einsum("nchw,cd->ndhw", F.avg_pool2d(images, self.patch_stride), weights)


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    """A smooth random image, RGB in [0, 1]."""
    coarse = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, (height, width), mode="bilinear")[0].clamp(0, 1)
