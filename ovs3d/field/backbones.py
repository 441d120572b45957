"""Where density and colour keep their features: planes and a hash grid of ours, or the grids of tiny-cuda-nn."""

from math import gcd
from types import ModuleType
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ovs3d.errors import UserError
from ovs3d.field.hashgrid import HashGrid
from ovs3d.field.planes import Planes

Backbone = Literal["planes", "tcnn"]

TEXTURE_CHANNELS = 4
INSTALL = "pip install ninja git+https://github.com/NVlabs/tiny-cuda-nn/#subdirectory=bindings/torch"
INSTEAD = "train with --pipeline.model.backbone planes"


class TcnnGrid(nn.Module):
    """The hash grid of tiny-cuda-nn behind the interface of `Planes` and `HashGrid`; on CUDA alone.

    It gives as many numbers as they would, four per level: levels lie in geometric progression between the coarsest and
    the finest resolution, because tiny-cuda-nn knows no other. Two departures from its defaults: the entries start
    as those of `HashGrid`, so that they follow the seed of the run, and it computes in single precision, because the
    gradient of one sample is often too small for half, and no gradient scaler is at work here.

    Args:
        resolutions: grid points along a side; only the least and the greatest matter.
        channels: numbers per resolution.
        log2_size: binary logarithm of the entries of a level, at most.
    """

    def __init__(self, resolutions: tuple[int, ...], channels: int, log2_size: int) -> None:
        super().__init__()
        wanted = channels * len(resolutions)
        per_level = gcd(wanted, 4)  # It offers 1, 2, 4 or 8.
        levels = wanted // per_level
        coarsest, finest = min(resolutions), max(resolutions)
        settings = {
            "otype": "HashGrid",
            "n_levels": levels,
            "n_features_per_level": per_level,
            "log2_hashmap_size": log2_size,
            "base_resolution": coarsest,
            "per_level_scale": (finest / coarsest) ** (1.0 / max(levels - 1, 1)),
        }
        self.encoding = import_tinycudann().Encoding(3, settings, dtype=torch.float32)
        nn.init.uniform_(self.encoding.params, -1e-2, 1e-2)
        self.dim: int = self.encoding.n_output_dims

    def forward(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n dim"]:
        """Features of `points`, whose coordinates lie in [-1, 1]; outside, the border is repeated."""
        return self.encoding((0.5 * points + 0.5).clamp(0.0, 1.0))


Storage = Planes | HashGrid | TcnnGrid


def build_storage(
    backbone: Backbone,
    resolutions: tuple[int, ...],
    channels: int,
    texture_resolutions: tuple[int, ...],
    texture_log2_size: int,
) -> tuple[Storage, Storage]:
    """Storage of what density and colour share, and of the texture that colour alone sees.

    Args:
        backbone: what to build it of.
        resolutions: of the shared storage.
        channels: per resolution of the shared storage.
        texture_resolutions: of the texture.
        texture_log2_size: binary logarithm of the entries per level of the texture.

    Raises:
        UserError: this machine cannot run the backbone.
    """
    if backbone == "planes":
        return Planes(resolutions, channels), HashGrid(texture_resolutions, TEXTURE_CHANNELS, texture_log2_size)
    # As many entries per level as three planes have per resolution, rounded up to a power of two.
    entries = 3 * sum(side * side for side in resolutions) // len(resolutions)
    shared = TcnnGrid(resolutions, channels, log2_size=entries.bit_length())
    return shared, TcnnGrid(texture_resolutions, TEXTURE_CHANNELS, texture_log2_size)


def check_backbone(backbone: Backbone, device: str | torch.device) -> None:
    """Refuses a backbone that cannot run on `device`, or whose package is not installed.

    Raises:
        UserError: one sentence with the mend.
    """
    if backbone == "tcnn":
        import_tinycudann()
        if torch.device(device).type != "cuda":
            raise UserError(f"The backbone tcnn runs on CUDA alone, not on {device}; choose cuda, or {INSTEAD}.")


def import_tinycudann() -> ModuleType:
    """The package, imported only where it is asked for: it is no dependency of ours."""
    if not torch.cuda.is_available():  # Asked first, because without CUDA the import fails with another message.
        raise UserError(f"The backbone tcnn needs a CUDA device and this machine has none; {INSTEAD}.")
    try:
        import tinycudann  # pyright: ignore[reportMissingImports]
    except (ImportError, OSError) as error:  # OSError: it was built for another GPU.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"The backbone tcnn cannot be loaded ({reason}); run `{INSTALL}`, or {INSTEAD}.") from error
    return tinycudann
