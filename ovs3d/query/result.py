"""What a scene answers."""

import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from ovs3d.evaluation.figures import relevancy_to_rgb, titled_panels

OUTSIDE = 0.35
"""Brightness of what was not asked for."""


@dataclass(frozen=True)
class QueryResult:
    """The answer to one query as seen from one camera; notebooks draw it."""

    query: str
    """What was asked, as a title."""
    scores: Float[Tensor, "h w"]
    """Share of the query against its nearest negative, in [0, 1]; 0.5 = as near to one as to the other."""
    mask: Bool[Tensor, "h w"]
    """Pixels that are more like the query than like every negative."""
    rgb: Float[Tensor, "h w 3"]
    """Rendered colour in [0, 1]."""

    @property
    def found(self) -> bool:
        """Whether there is any such pixel."""
        return bool(self.mask.any())

    @cached_property
    def picture(self) -> UInt8[np.ndarray, "picture_h picture_w 3"]:
        """Colour, what was found in it, and the scores (blue 0, red 1), side by side."""
        rgb, mask = self.rgb.numpy(), self.mask.numpy()[..., None]
        found = np.where(mask, rgb, OUTSIDE * rgb)
        panels = [("colour", to_bytes(rgb)), (self.query, to_bytes(found))]
        panels.append(("score", relevancy_to_rgb(self.scores.numpy(), 0.0, 1.0)))
        return titled_panels(panels, panel_width=max(240, rgb.shape[1]), font_size=17)

    def save(self, path: Path) -> None:
        """Writes the picture; the suffix tells the format."""
        Image.fromarray(self.picture).save(path)

    def show(self) -> None:
        """Opens the picture in the system's viewer."""
        Image.fromarray(self.picture).show()

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(self.picture).save(buffer, format="PNG")
        return buffer.getvalue()


def to_bytes(rgb: Float[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Colours in [0, 1] as bytes."""
    return (rgb.clip(0.0, 1.0) * 255.0).round().astype(np.uint8)
