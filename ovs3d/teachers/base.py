"""What a teacher is, and the table of those that run a model of ours.

A teacher turns one photograph into features on its storage grid: `[scales, h, w, dim]`, every vector of unit length, or
all zero where the teacher has nothing to say. Cell (i, j) is centred at ((i + .5) / h, (j + .5) / w) of the image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ovs3d.errors import UserError

TEACHERS = ("clip-crops", "clip-dense", "dino")
JsonValue = str | int | float | bool | Sequence[int] | None


@dataclass(frozen=True)
class FeatureMeta:
    """Names what a feature file holds."""

    teacher: str
    """Name of the teacher, such as `clip-dense`."""
    space: str
    """Id of the embedding space; vectors of two spaces are never compared."""
    dim: int
    """Length of a feature vector."""
    levels: tuple[str, ...]
    """Names of the entries of the scale axis, coarse first."""
    normalised: bool
    """Whether stored vectors are of unit length (or all zero)."""


@runtime_checkable
class Teacher(Protocol):
    """A frozen 2D model that supervises; `options` is everything that changes its numbers and enters the cache key."""

    meta: FeatureMeta
    options: dict[str, JsonValue]

    def extract(self, image: Float[Tensor, "3 h w"]) -> Float[Tensor, "scales gh gw dim"]:
        """Unit-length features (all zero = invalid) of one full-size RGB image in [0, 1]."""
        ...


def precision_option(precision: torch.dtype) -> dict[str, JsonValue]:
    """What the precision of a teacher's encoder adds to its `options`: nothing for float32."""
    return {} if precision == torch.float32 else {"precision": str(precision).removeprefix("torch.")}


def unit_or_zero(vectors: Float[Tensor, "*axes dim"]) -> Float[Tensor, "*axes dim"]:
    """Scales vectors to unit length in float32; zero and non-finite vectors become zero, which means invalid."""
    vectors = vectors.float()
    norm = vectors.norm(dim=-1, keepdim=True)
    valid = (norm > 0) & norm.isfinite()
    return torch.where(valid, vectors / norm, 0.0)


def resize(images: Float[Tensor, "views 3 h w"], height: int, width: int) -> Float[Tensor, "views 3 gh gw"]:
    """Resizes RGB images by antialiased bicubic filtering, kept in [0, 1] as an 8-bit resize would."""
    if images.shape[-2:] == (height, width):
        return images
    return F.interpolate(images, (height, width), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)


def build_teacher(name: str, encoder: str, dino: str, device: str | torch.device = "cpu", **options: Any) -> Teacher:
    """Loads the models that a teacher needs.

    Args:
        name: one of `TEACHERS`.
        encoder: name of the image-text encoder, for the CLIP teachers (see `ovs3d.spaces.load_encoder`).
        dino: name of the patch encoder, for `dino` (see `ovs3d.spaces.load_patch_encoder`).
        device: where the models run; the cache key knows of it the precision alone.
        **options: keyword arguments of the teacher's class, such as `scale_down` of `clip-crops`.

    Raises:
        UserError: the name is not known.
    """
    # Imported here because the encoders pull in open_clip and timm, which a run on cached features never needs.
    if name == "clip-crops":
        from ovs3d.spaces import load_encoder
        from ovs3d.teachers.clip_crops import ClipCrops

        return ClipCrops(load_encoder(encoder, device), device, **options)
    if name == "clip-dense":
        from ovs3d.spaces import load_encoder
        from ovs3d.teachers.clip_dense import ClipDense

        return ClipDense(load_encoder(encoder, device), device, **options)
    if name == "dino":
        from ovs3d.spaces import load_patch_encoder
        from ovs3d.teachers.dino import Dino

        return Dino(load_patch_encoder(dino, device), device, **options)
    raise UserError(f"There is no teacher '{name}'; choose among {', '.join(TEACHERS)}, or bring features from files.")
