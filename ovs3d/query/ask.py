"""Every kind of query as a question to a scene."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor

from ovs3d.errors import UserError
from ovs3d.query.vectors import Prototypes, Question, ask_vector, ask_words, embed_picture
from ovs3d.relevancy import unit
from ovs3d.spaces import check_same_space

if TYPE_CHECKING:
    from ovs3d.scene import Scene

PROTOTYPE_VIEWS, PROTOTYPE_SIDE = 8, 96
"""Training views, spread evenly, and pixels of their long side, from which prototypes are gathered."""


@dataclass(frozen=True)
class Query:
    """What is asked: one of the first five."""

    text: str | None = None
    """Words."""
    image: Path | None = None
    """Picture of such a thing."""
    click: tuple[str, int, int] | None = None
    """Stem of a photograph's name, row and column: what else is like what is seen there?"""
    point: tuple[float, float, float] | None = None
    """Place in the data's own coordinates: what else is like what lies there?"""
    vector: Float[Tensor, " dim"] | None = None
    """A vector of the space that `space` names."""
    space: str | None = None
    """Id of the vector's space."""
    negatives: Sequence[str] | None = None
    """Words that a text query is not; by default the classes of the run but for the nearest one."""

    def __post_init__(self) -> None:
        kinds = [field.name for field in fields(self)[:5]]
        given = [name for name in kinds if getattr(self, name) is not None]
        if len(given) != 1:
            raise UserError(f"A query is one of {', '.join(kinds)}; given are {', '.join(given) or 'none of them'}.")
        if self.negatives is not None and self.text is None:
            raise UserError(f"Negatives are words and stand against a query in words, not against one by {given[0]}.")


def to_question(scene: "Scene", query: Query) -> Question:
    """The vector that a query stands for, and what it is not.

    Raises:
        UserError: the query does not fit the scene.
    """
    if query.text is not None:
        return ask_words(query.text, scene.text_encoder, scene.model.text.cpu(), query.negatives)
    if query.image is not None:
        name, vector = query.image.name, embed_picture(scene.text_encoder, query.image)
    elif query.click is not None:
        view, row, column = query.click
        name, vector = f"{view} ({row}, {column})", feature_at_pixel(scene, find_view(scene, view), row, column)
    elif query.point is not None:
        name, vector = str(tuple(query.point)), feature_at_point(scene, query.point)
    else:
        assert query.vector is not None
        check_same_space(query.space or "without a name", scene.text_encoder.space)
        name, vector = "a vector", query.vector
    return ask_vector(name, vector, scene.prototypes)


def find_view(scene: "Scene", name: str) -> Cameras:
    """The camera of a photograph of the data, held out or not."""
    for outputs in (scene.train_outputs, scene.held_out_outputs):
        for index, path in enumerate(outputs.image_filenames):
            if Path(path).stem == name:
                return outputs.cameras[index : index + 1]
    known = Path(scene.train_outputs.image_filenames[0]).stem
    raise UserError(f"The scene has no photograph named {name}; give the name of one without its suffix, as {known}.")


def feature_at_pixel(scene: "Scene", camera: Cameras, row: int, column: int) -> Float[Tensor, " dim"]:
    """What the scene says at a pixel."""
    height, width = int(camera.height), int(camera.width)
    if not (0 <= row < height and 0 <= column < width):
        raise UserError(f"Row {row}, column {column} lies outside of the photograph of {height} rows, {width} columns.")
    return scene.features(camera)[row, column]


@torch.no_grad()
def feature_at_point(scene: "Scene", point: Sequence[float]) -> Float[Tensor, " dim"]:
    """What the scene says at a place in the data's own coordinates."""
    outputs, model = scene.train_outputs, scene.model
    place = outputs.dataparser_transform @ torch.tensor([*point, 1.0]) * outputs.dataparser_scale
    return model.decode(place.to(model.device))


def gather_prototypes(scene: "Scene") -> Prototypes:
    """Means over the pixels of every class in some small training views."""
    cameras = scene.train_outputs.cameras
    chosen = torch.linspace(0, len(cameras) - 1, min(PROTOTYPE_VIEWS, len(cameras))).round().long()
    total = torch.zeros(len(scene.classes), scene.model.text.shape[1])
    for index in chosen.tolist():
        camera = cameras[index : index + 1]
        camera.rescale_output_resolution(PROTOTYPE_SIDE / max(int(camera.width), int(camera.height)))
        labels = scene.segment(camera, with_scores=False).labels.flatten()
        total.index_add_(0, labels, unit(scene.features(camera)).flatten(0, 1))
    return Prototypes(unit(total), total.norm(dim=-1) > 0.0)
