"""A feature for every exported point, for programs that compare it with vectors of their own."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float16

from ovs3d.export.pointcloud import LabelledPoints
from ovs3d.files import whole_file
from ovs3d.relevancy import unit
from ovs3d.scene import Scene

CHUNK = 65_536


def write_features(path: Path, scene: Scene, cloud: LabelledPoints) -> None:
    """Writes an NPZ of `points` [n, 3], `features` [n, dim], `labels` [n], `classes` and the id of their `space`.

    Points have the coordinates and units of the data. Features are float16 of unit length: the cosine with a text of
    the same space is a dot product. All arrays load with `allow_pickle=False`.
    """
    with whole_file(path) as draft:
        np.savez(
            draft,
            points=cloud.points.astype(np.float32),
            features=point_features(scene, cloud.points),
            labels=cloud.labels.astype(np.int32),
            classes=np.array(scene.classes),
            space=np.array(scene.text_encoder.space),
        )


@torch.no_grad()
def point_features(scene: Scene, points: Float[np.ndarray, "points 3"]) -> Float16[np.ndarray, "points dim"]:
    """Unit features of places in the data's coordinates."""
    last_layer = scene.model.semantic.last_layer
    chunks = torch.from_numpy(points).float().split(CHUNK)
    return np.concatenate([unit(last_layer(scene.hidden_at(chunk))).half().cpu().numpy() for chunk in chunks])
