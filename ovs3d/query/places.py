"""Where in space something is: the points of it, boxes about its parts, and the view that shows it best."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ovs3d.export.boxes import OrientedBox, boxes_about
from ovs3d.export.pointcloud import LabelledPoints, select, write_ply
from ovs3d.query.score import Judgement


@dataclass(frozen=True)
class Places:
    """The answer to one query in the coordinates and units of the data."""

    query: str
    """What was asked, as a title."""
    judged: Judgement
    """Of all points of the scene."""
    cloud: LabelledPoints
    """The points of the scene (`Scene.points`); its confidences are those of classes."""
    views: tuple[str, ...]
    """Names of the photographs in the order of `cloud.pixels`."""

    @cached_property
    def found(self) -> LabelledPoints:
        """The points of it, with the answer's confidences (or scores), and labels of classes."""
        mask = self.judged.mask
        return replace(select(self.cloud, mask.numpy()), confidence=self.judged.shown[mask].float().numpy())

    @cached_property
    def boxes(self) -> list[OrientedBox]:
        """Boxes about its connected parts, the part of most points first; crumbs have none."""
        return boxes_about(self.found.points, self.cloud.voxel)

    @property
    def centroid(self) -> Float[np.ndarray, "3"] | None:
        """Middle of the box about its largest part; None where it has no box."""
        return self.boxes[0].centre if self.boxes else None

    @property
    def best_view(self) -> str | None:
        """Name of the photograph that shows most of it; None where no point is of it."""
        if len(self.found.points) == 0:
            return None
        return self.views[int(np.argmax(self.found.pixels.sum(axis=0)))]

    def save(self, path: Path) -> None:
        """Writes the points of it as PLY."""
        write_ply(path, self.found)
