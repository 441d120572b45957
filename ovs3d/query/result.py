"""What a scene answers."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from ovs3d.evaluation.figures import relevancy_to_rgb, titled_panels
from ovs3d.query.places import Places
from ovs3d.query.score import Judgement

OUTSIDE = 0.35
"""Brightness of what was not asked for."""


@dataclass(frozen=True)
class QueryResult:
    """The answer to one query as seen from one camera; notebooks draw it."""

    query: str
    """What was asked, as a title."""
    judged: Judgement
    """Of all pixels."""
    rgb: Float[Tensor, "h w 3"]
    """Rendered colour in [0, 1]."""
    find: Callable[[], Places]
    """Looks for it in space; `places` keeps the answer."""

    @property
    def scores(self) -> Float[Tensor, "h w"]:
        """Share of the query against its nearest negative, in [0, 1]; 0.5 = as near to one as to the other."""
        return self.judged.scores

    @property
    def confidence(self) -> Float[Tensor, "h w"] | None:
        """See `Judgement.confidence`."""
        return self.judged.confidence

    @property
    def mask(self) -> Bool[Tensor, "h w"]:
        """Pixels where it is found, see `Judgement.mask`."""
        return self.judged.mask

    @property
    def found(self) -> bool:
        """Whether there is any such pixel."""
        return bool(self.mask.any())

    @cached_property
    def places(self) -> Places:
        """Where it is in space, whatever the camera shows; takes some seconds when a scene is asked first."""
        return self.find()

    @cached_property
    def picture(self) -> UInt8[np.ndarray, "picture_h picture_w 3"]:
        """Colour, what was found in it, and confidence or score (blue 0, red 1), side by side."""
        panels = [
            ("colour", to_bytes(self.rgb.numpy())),
            (self.query, self.highlighted),
            ("score" if self.confidence is None else "confidence", self.heat),
        ]
        return titled_panels(panels, panel_width=max(240, self.rgb.shape[1]), font_size=17)

    @property
    def highlighted(self) -> UInt8[np.ndarray, "h w 3"]:
        """Colour, dark where nothing was found."""
        rgb = self.rgb.numpy()
        return to_bytes(np.where(self.mask.numpy()[..., None], rgb, OUTSIDE * rgb))

    @property
    def heat(self) -> UInt8[np.ndarray, "h w 3"]:
        """Confidence, or score where nothing is calibrated, from blue (0) to red (1)."""
        return relevancy_to_rgb(self.judged.shown.numpy(), 0.0, 1.0)

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
