"""What is typed or clicked becomes questions to the scene that a pipeline has loaded or is training."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from ovs3d.errors import UserError
from ovs3d.pca import PrincipalColours
from ovs3d.query.ask import Query, gather_prototypes, sample_features
from ovs3d.query.score import Question, judge
from ovs3d.query.vectors import Prototypes, ask_vector

if TYPE_CHECKING:
    from ovs3d.pipeline import OVS3DPipeline
    from ovs3d.scene import Scene


def words_of(text: str) -> tuple[str, ...]:
    """What stands between commas or lines, each once."""
    parts = (" ".join(part.split()) for part in re.split(r"[,\n]", text))
    return tuple(dict.fromkeys(part for part in parts if part))


@dataclass(frozen=True)
class Asked:
    """Questions that are answered together: a vector that several of them share is compared once."""

    questions: tuple[Question, ...]
    vectors: Float[Tensor, "vectors dim"]
    rows: tuple[Int[Tensor, " _"], ...]
    """For each question the rows of its own vector and of its others."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the questions."""
        return tuple(question.name for question in self.questions)

    @classmethod
    def of(cls, questions: list[Question]) -> "Asked":
        """From at least one question."""
        parts = [question.vectors for question in questions]
        vectors, places = torch.unique(torch.cat(parts), dim=0, return_inverse=True)
        rows = places.split([len(part) for part in parts])
        return cls(tuple(questions), vectors, tuple(rows))

    def scores(self, cosines: Float[Tensor, "*n vectors"]) -> Float[Tensor, "*n questions"]:
        """How well every question fits, in [0, 1], from the cosines of features and `vectors`: the confidence where the
        scene's words are calibrated, else the score against the negatives."""
        scores = []
        for question, row in zip(self.questions, self.rows, strict=True):
            scores.append(judge(question, cosines[..., row[0]], cosines[..., row[1:]]).shown)
        return torch.stack(scores, dim=-1)


class Asker:
    """Asks the scene of a pipeline.

    Args:
        pipeline: in use by the host.
        lock: held by whoever uses the model.
    """

    def __init__(self, pipeline: "OVS3DPipeline", lock: AbstractContextManager) -> None:
        self.model, self._pipeline, self._lock = pipeline.model, pipeline, lock
        self._questions: dict[tuple[str, tuple[str, ...]], Question] = {}
        self._prototypes: tuple[int, Prototypes] | None = None

    @cached_property
    def scene(self) -> "Scene":
        """The pipeline's, opened when something is asked first."""
        from ovs3d.scene import Scene  # Imports the pipeline.

        return Scene.of(self._pipeline)

    def words(self, words: tuple[str, ...], negatives: tuple[str, ...]) -> tuple[list[Question], list[str]]:
        """A question for every word that can be asked, and for the others why they cannot.

        Raises:
            UserError: the semantic stage has not begun.
        """
        self._require_semantics()
        questions, problems = [], []
        for word in words:
            key = (word, negatives)
            try:
                if key not in self._questions:
                    self._questions[key] = self.scene.ask(Query(text=word, negatives=negatives or None))
                questions.append(self._questions[key])
            except UserError as error:
                problems.append(str(error))
        return questions, list(dict.fromkeys(problems))

    def like(self, origin: tuple[float, float, float], direction: tuple[float, float, float]) -> Question:
        """What else is like what a ray in scene units meets?

        Raises:
            UserError: it meets nothing, the scene shows a single class, or the semantic stage has not begun.
        """
        self._require_semantics()
        with self._alone(), self.model.giving("hidden"):
            device = self.model.device
            ends = [torch.tensor([end], dtype=torch.float32, device=device) for end in (origin, direction)]
            ray = RayBundle(origins=ends[0], directions=ends[1], pixel_area=torch.ones(1, 1, device=device))
            met = self.model.get_outputs(ray)
            if float(met["accumulation"]) < 0.5:
                raise UserError("Nothing is there: pick a place on a surface.")
            vector = self.model.semantic.last_layer(met["hidden"][0])
            return ask_vector("the place that you picked", vector, self._gather_prototypes())

    def fit_colours(self) -> PrincipalColours:
        """Colours of features, from some small training views; the caller holds the lock."""
        return PrincipalColours.fit(sample_features(self.scene))

    def _gather_prototypes(self) -> Prototypes:
        """Those of the present step; they change while the semantics are trained."""
        if self._prototypes is None or self._prototypes[0] != self.model.step:
            self._prototypes = self.model.step, gather_prototypes(self.scene)
        return self._prototypes[1]

    def _require_semantics(self) -> None:
        if not self.model.has_semantics:
            begin = self.model.config.geometry_steps
            raise UserError(f"Nothing can be asked before the semantic stage, which begins at step {begin}.")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """The model for evaluation, while neither training nor a render uses it."""
        with self._lock, torch.no_grad():
            was_training = self.model.training
            self.model.eval()
            try:
                yield
            finally:
                self.model.train(was_training)
