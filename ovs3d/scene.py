"""What can be asked of a trained run, and what can be made of it."""

from collections.abc import Sequence
from copy import copy
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor

from ovs3d.data.classes import parse_classes
from ovs3d.editing import keeper
from ovs3d.errors import UserError
from ovs3d.export.frames import Show, painter
from ovs3d.export.pointcloud import LabelledPoints, fuse
from ovs3d.export.views import chosen_views, render_views
from ovs3d.model import OVS3DModel
from ovs3d.opened_run import OpenedRun
from ovs3d.palette import class_colours
from ovs3d.query.ask import Query, gather_prototypes, to_question
from ovs3d.query.places import Places
from ovs3d.query.result import QueryResult
from ovs3d.query.score import Question, judge
from ovs3d.query.vectors import Prototypes
from ovs3d.teachers.text import embed_prompts
from ovs3d.trainer import OVS3DTrainerConfig

POINT_VIEWS = 60
"""Training views that points are made from, at most."""


class Scene(OpenedRun):
    """A radiance field whose points carry language: `Scene.load("outputs/.../config.yml")`."""

    def __init__(self, config: OVS3DTrainerConfig, model: OVS3DModel) -> None:
        super().__init__(config, model)
        self._cloud: tuple[int, LabelledPoints] | None = None
        self._whole = self  # What an edited scene was made from.

    def relevancy(self, words: Sequence[str], camera: Cameras) -> Float[Tensor, "h w words"]:
        """Relevancy of any words as seen from one camera, cosines in [-1, 1]; no class list is needed.

        What the view asked last needs for further words is kept, 128 numbers a pixel; they cost no rendering.

        Raises:
            UserError: the run has only trained its geometry so far, or no word is given, or its vocabulary lacks one.
        """
        self._require_semantics()
        if isinstance(words, str) or len(words) == 0:
            raise UserError(f"Words are asked as a list of at least one, not as {words!r}.")
        return self.compare(embed_prompts(self.text_encoder, [(word,) for word in words]), camera)

    def render(
        self, camera: Cameras, show: Show = "side-by-side", query: str | None = None
    ) -> UInt8[np.ndarray, "frame_h frame_w 3"]:
        """A picture as `ovs3d render` makes of every camera of its path.

        Args:
            camera: a `Cameras` of length 1.
            show: what of the scene.
            query: words to show in the place of the classes.

        Raises:
            UserError: the run has no semantics yet.
        """
        self._require_semantics()
        return painter(self, show, None if query is None else Query(query))(camera)

    def query(
        self,
        text: str | None = None,
        camera: Cameras | None = None,
        *,
        image: Path | str | None = None,
        click: tuple[str, int, int] | None = None,
        point: tuple[float, float, float] | None = None,
        vector: Float[Tensor, " dim"] | None = None,
        space: str | None = None,
        negatives: Sequence[str] | None = None,
    ) -> QueryResult:
        """Looks for something from one camera, by words, a picture, a click, a point or a vector.

        Args:
            text: words.
            camera: from where; a click may leave it out and gets the view that it is in.
            image: picture of such a thing; the class that it is most like is found.
            click: name of a photograph (see `photographs`), row and column in it.
            point: place in the data's own coordinates.
            vector: a feature of the space named by `space`, such as `feature` gives or another program; the vector of
                a text is unlike all features (give the text, or `compare` with it).
            space: id of the vector's embedding space.
            negatives: words that a text query is not; by default the classes of the run but for the nearest one.

        Raises:
            UserError: not exactly one thing is asked, it does not fit the scene, or the run has no semantics yet.
        """
        asked = Query(text, image, click, point, vector, space, negatives)
        if camera is None:
            if click is None:
                raise UserError("A query needs a camera, such as scene.held_out_outputs.cameras[0:1].")
            camera = self.photograph(click[0]).camera
        return self.answer(self.ask(asked), camera)

    def ask(self, query: Query) -> Question:
        """A query as vectors, to be answered from any number of cameras."""
        self._require_semantics()
        return to_question(self, query)

    def answer(self, question: Question, camera: Cameras) -> QueryResult:
        """What is seen of it from one camera."""
        cosines = self.compare(question.vectors, camera)
        judged = judge(question, cosines[..., 0], cosines[..., 1:])
        rgb = self._look(camera)["rgb"].clamp(0.0, 1.0).cpu()
        return QueryResult(question.name, judged, rgb, lambda: self.find(question))

    def find(self, question: Question) -> Places:
        """Where in space the answer lies; renders `points` when asked first."""
        cosines = self.compare_points(question.vectors)
        judged = judge(question, cosines[:, 0], cosines[:, 1:])
        names = self.names(self.train_outputs)
        views = tuple(names[index] for index in chosen_views(self.train_outputs, POINT_VIEWS))
        return Places(question.name, judged, self.points(), views)

    @torch.no_grad()
    def compare_points(self, vectors: Float[Tensor, "n dim"]) -> Float[Tensor, "points n"]:
        """Cosines of the scene at its `points` and unit vectors in the space of its features."""
        semantic = self.model.semantic
        hidden = self.hidden_at(torch.from_numpy(self.points().points).float())
        return (semantic.products(hidden, vectors.to(hidden.device)) * semantic.inverse_lengths(hidden)).cpu()

    def points(self, side: int = 160) -> LabelledPoints:
        """Labelled points on the scene's surfaces, in the coordinates and units of its data; kept for the next call.

        Args:
            side: longest side in pixels of the training views that they are made from; a larger one gives more points.

        Raises:
            UserError: the run shows no surface, or has only trained its geometry so far.
        """
        if self._cloud is None or self._cloud[0] != side:
            self._cloud = side, fuse(list(render_views(self, POINT_VIEWS, side)))
        return self._cloud[1]

    @cached_property
    def prototypes(self) -> Prototypes:
        """What the classes look like in this scene, gathered when an example is asked for first."""
        return gather_prototypes(self._whole)

    def edited(self, keep: Sequence[str] = (), without: Sequence[str] = ()) -> "Scene":
        """This scene with some things alone, or without some things, from every camera.

        Words are understood as in `query`, and what each of them finds counts. Where nothing is left colour is grey,
        depth infinite and the label -1. What stood behind a thing is as the training views saw it; what none of them
        saw, such as the floor below it, is a hole or anything.

        Args:
            keep: words for all that stays; by default everything.
            without: words for what goes.

        Raises:
            UserError: no word is given, or one finds nothing.
        """
        self._require_semantics()
        keeps = keeper(self, keep, without)
        other = self._copy()
        other.model.keeps = keeps
        return other

    def with_classes(self, words: Sequence[str]) -> "Scene":
        """This scene segmented into other words, "name" or "name: prompt | prompt", without any training.

        Raises:
            UserError: there are fewer than two words, or one is not known or given twice.
        """
        self._require_semantics()
        entries = [(f"class {number}", word) for number, word in enumerate(words, start=1)]
        classes = parse_classes(entries, "The list of classes", 2)
        text = embed_prompts(self.text_encoder, [prompts for _, prompts in classes])
        other = self._copy()
        other.classes = tuple(name for name, _ in classes)
        other._whole = other if self._whole is self else self._whole.with_classes(words)
        vars(other).pop("prototypes", None)
        other.model.text = text.to(self.model.device)
        other.model.colours = torch.from_numpy(class_colours(len(classes)) / 255.0).float().to(self.model.device)
        return other

    def _copy(self) -> "Scene":
        """A scene of its own that shares everything that is trained or read."""
        other = copy(self)
        other.model, other._looked, other._cloud = copy(self.model), None, None
        other.model._buffers = dict(self.model._buffers)
        return other
