"""Every kind of query as a question to a scene."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor

from ovs3d.data.cameras import resized, smaller_size
from ovs3d.data.splits import spread_evenly
from ovs3d.errors import UserError
from ovs3d.query.calibration import Calibration, load_calibration
from ovs3d.query.score import Question
from ovs3d.query.vectors import Prototypes, ask_vector, ask_words, embed_picture
from ovs3d.relevancy import unit
from ovs3d.spaces import check_same_space

if TYPE_CHECKING:
    from ovs3d.scene import Scene

PROTOTYPE_VIEWS, PROTOTYPE_SIDE = 8, 96
"""Training views, spread evenly, and pixels of their long side, that stand for the scene."""


@dataclass(frozen=True)
class Query:
    """What is asked: one of the first five."""

    text: str | None = None
    """Words."""
    image: Path | str | None = None
    """Picture of such a thing: what is found is the class that it is most like."""
    click: tuple[str, int, int] | None = None
    """Name of a photograph (`Scene.photographs`), row and column in it: what else is like what is seen there?"""
    point: tuple[float, float, float] | None = None
    """Place in the data's own coordinates: what else is like what lies there?"""
    vector: Float[Tensor, " dim"] | None = None
    """A feature in the space that `space` names, as of `Scene.feature`; texts are compared by `Scene.compare`."""
    space: str | None = None
    """Id of the vector's space."""
    negatives: Sequence[str] | None = None
    """Words that a text query is not; by default the classes of the run but for the nearest one."""

    def __post_init__(self) -> None:
        kinds = [field.name for field in fields(self)[:5]]
        given = [name for name in kinds if getattr(self, name) is not None]
        if len(given) != 1:
            raise UserError(
                f"A query is words or one of {', '.join(kinds[1:])}; given are {', '.join(given) or 'none of them'}."
            )
        if isinstance(self.negatives, str):
            raise UserError(f"Negatives are a list of words, not {self.negatives!r}.")
        if self.negatives is not None and self.text is None:
            raise UserError(f"Negatives are words and stand against a query in words, not against one by {given[0]}.")
        if self.text is not None and not all(word.strip() for word in (self.text, *(self.negatives or ()))):
            raise UserError('An empty word, "", cannot be looked for, nor stand against one; give words, as "a mug".')


def to_question(scene: "Scene", query: Query) -> Question:
    """The vector that a query stands for, and what it is not.

    Raises:
        UserError: the query does not fit the scene.
    """
    if query.text is not None:
        encoder, classes = scene.text_encoder, scene.model.text.cpu()
        return ask_words(query.text, encoder, classes, query.negatives, calibration_of(scene))
    prototypes = scene.prototypes  # Before a click renders its view, which the answer then finds ready.
    if query.image is not None:
        picture = Path(query.image)
        name, vector = picture.name, prototypes.nearest(embed_picture(scene.text_encoder, picture))
    elif query.click is not None:
        photograph, row, column = query.click
        name, vector = f"{photograph} ({row}, {column})", feature_at_pixel(scene, photograph, row, column)
    elif query.point is not None:
        name, vector = str(tuple(query.point)), feature_at_point(scene, query.point)
    else:
        assert query.vector is not None
        check_same_space(query.space or "without a name", scene.text_encoder.space)
        name, vector = "a vector", query.vector
    return ask_vector(name, vector, prototypes)


def calibration_of(scene: "Scene") -> Calibration | None:
    """That of the scene's space, fitted to bare words and to features of `clip-dense`: it holds for no others."""
    manager = scene.config.pipeline.datamanager
    fitted = "clip-dense" in manager.teachers and len(manager.templates) == 0
    return load_calibration(scene.text_encoder.space) if fitted else None


def feature_at_pixel(scene: "Scene", name: str, row: int, column: int) -> Float[Tensor, " dim"]:
    """What the scene says at a pixel of a photograph, counted in the photograph's own size."""
    photograph = scene.photograph(name)
    height, width = photograph.size
    if not (0 <= row < height and 0 <= column < width):
        raise UserError(f"Row {row}, column {column} lies outside of {name}, which has {height} rows, {width} columns.")
    camera = photograph.camera
    place = (row + 0.5) * int(camera.height) / height, (column + 0.5) * int(camera.width) / width
    return scene.feature(camera, int(place[0]), int(place[1]))


@torch.no_grad()
def feature_at_point(scene: "Scene", point: Sequence[float]) -> Float[Tensor, " dim"]:
    """What the scene says at a place in the data's own coordinates.

    Raises:
        UserError: the place lies outside of all that the scene shows.
    """
    place = torch.tensor([[float(number) for number in point]])
    surfaces = torch.from_numpy(scene.points().points).float()
    low, high = surfaces.amin(dim=0), surfaces.amax(dim=0)
    if not bool(((place >= low) & (place <= high)).all()):
        least, most = ([round(number, 2) for number in corner.tolist()] for corner in (low, high))
        raise UserError(f"{tuple(point)} lies outside of the scene, whose places go from {least} to {most}.")
    return scene.model.semantic.last_layer(scene.hidden_at(place))[0].cpu()


def gather_prototypes(scene: "Scene") -> Prototypes:
    """Means over the pixels of every class in some small training views."""
    total = torch.zeros(len(scene.classes), scene.model.text.shape[1])
    for small in small_views(scene):
        labels = scene.segment(small, with_scores=False).labels.flatten()
        total.index_add_(0, labels, unit(scene.features(small)).flatten(0, 1))
    return Prototypes(unit(total), total.norm(dim=-1) > 0.0)


def sample_features(scene: "Scene") -> Float[Tensor, "n dim"]:
    """Unit features of the pixels of some small training views that show anything."""
    found = []
    for small in small_views(scene):
        features = unit(scene.features(small)).flatten(0, 1)
        found.append(features[features.any(dim=-1)])
    return torch.cat(found)


def small_views(scene: "Scene") -> Iterator[Cameras]:
    """Some training cameras, one by one, in a small size."""
    cameras = scene.train_outputs.cameras
    for index in spread_evenly(min(PROTOTYPE_VIEWS, len(cameras)), len(cameras)):
        camera = cameras[index : index + 1]
        yield resized(camera, *smaller_size(camera, 0, PROTOTYPE_SIDE))
