"""Asks a scene, in space and in its held-out views, and the 2D teacher too, and compares with what is true."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import binary_erosion
from torch import Tensor

from ovs3d.evaluation.protocols import pixel_features
from ovs3d.query.ask import Query
from ovs3d.query.score import Question, judge
from ovs3d.relevancy import unit
from ovs3d.teachers.bank import PATCH_TEACHERS, open_teachers
from ovs3d.views import View, photograph_paths
from tools.queries.evidence import KnownScene, against_some
from tools.queries.generate import word_queries
from tools.queries.pictures import write_pictures
from tools.queries.score import tolerant_iou

TOLERANCE = 0.02
"""Between what was found and the true surface, in parts of the scene's extent."""
FIELD, TEACHER, MAX_OVER_SCALES = "field", "2D teacher", "2D teacher, best of the scales"
LEAST_PIXELS = 50
"""A view that shows less of what was asked does not count."""
CLICKS = 2
"""On every object."""
PICTURE, CLICK = "picture", "click"
FEW_THERE, FEW_ABSENT = "there, some of the classes", "absent, some of the classes"
"""Words against a random part of the run's classes; users name two of them, or twenty."""


@dataclass(frozen=True)
class Asked:
    """A question with its answer."""

    kind: str
    text: str
    classes: tuple[str, ...]
    """That it is true of; none where nothing of the kind is there."""
    question: Question


@dataclass
class Answer:
    """What came of a question."""

    asked: Asked
    iou: float
    """Of surfaces, in space."""
    found: bool
    """In space."""
    confidence: Float[np.ndarray, " points"] | None
    truth: Bool[np.ndarray, " points"]
    view_ious: dict[str, list[float]] = field(default_factory=dict)
    """Of masks in held-out views that show what was asked, for the field and the baselines."""


def ask(known: KnownScene, pictures: Path, seed: int) -> list[Answer]:
    """Everything that a scene is asked: words, pictures of its objects from another room, clicks on its objects."""
    scene = known.scene
    words = [
        Asked(query.kind, query.text, query.classes, scene.ask(Query(query.text)))
        for query in word_queries(known.infos, seed)
    ]
    asked = [*words, *by_picture(known, pictures, seed), *by_click(known, seed)]
    answers = [in_space(known, each) for each in asked]
    in_views(known, answers)
    return answers + [in_space(known, each) for each in against_few(words, seed)]


def against_few(words: Sequence[Asked], seed: int) -> Iterator[Asked]:
    """The same words against a random part of the classes."""
    rng = np.random.default_rng([seed, 29])
    for each in words:
        kind = FEW_THERE if each.classes else FEW_ABSENT
        yield replace(each, kind=kind, question=against_some(each.question, rng))


def by_picture(known: KnownScene, folder: Path, seed: int) -> Iterator[Asked]:
    """A picture of every object, from another room."""
    names = [info.name for info in known.infos if info.kind == "object"]
    for name, path in write_pictures(names, 1000 + seed, folder).items():
        yield Asked(PICTURE, name, (name,), known.scene.ask(Query(image=path)))


def by_click(known: KnownScene, seed: int) -> Iterator[Asked]:
    """Clicks inside every object, in the held-out view that shows most of it."""
    rng = np.random.default_rng([seed, 23])
    views = list(known.scene.held_out())
    for info in known.infos:
        if info.kind != "object":
            continue
        inside = [binary_erosion(is_class(view, known.labels((info.name,))), iterations=3) for view in views]
        best = int(np.argmax([mask.sum() for mask in inside]))
        places = np.argwhere(inside[best])
        for row, column in rng.choice(places, min(CLICKS, len(places)), replace=False).tolist():
            question = known.scene.ask(Query(click=(views[best].name, row, column)))
            yield Asked(CLICK, info.name, (info.name,), question)


def is_class(view: View, labels: Sequence[int]) -> Bool[np.ndarray, "h w"]:
    """Where a view shows one of some classes."""
    assert view.labels is not None
    return np.isin(view.labels.numpy(), labels)


def in_space(known: KnownScene, asked: Asked) -> Answer:
    """Looks for it among the points of the scene."""
    places = known.scene.find(asked.question)
    confidence = places.judged.confidence
    return Answer(
        asked,
        tolerant_iou(places.found.points, known.surface(asked.classes), TOLERANCE * known.truth.extent),
        len(places.boxes) > 0,
        None if confidence is None else confidence.numpy(),
        known.is_true(asked.classes),
    )


def in_views(known: KnownScene, answers: Sequence[Answer]) -> None:
    """Looks for everything in every held-out view: by the field, and by the teacher in the photograph alone."""
    scene = known.scene
    manager = scene.config.pipeline.datamanager
    settings = replace(manager, teachers=tuple(name for name in manager.teachers if name not in PATCH_TEACHERS))
    store = open_teachers(settings, photograph_paths(scene.held_out_outputs), "cpu").text_store
    for index, view in enumerate(scene.held_out()):
        features, _ = pixel_features(store, index, (view.photo.shape[0], view.photo.shape[1]))
        for answer in answers:
            truth = is_class(view, known.labels(answer.asked.classes))
            if truth.sum() < LEAST_PIXELS:
                continue
            question = answer.asked.question
            masks = {FIELD: scene.answer(question, view.camera).mask.numpy()}
            masks |= {name: mask.reshape(truth.shape) for name, mask in teacher_masks(question, features).items()}
            for name, mask in masks.items():
                iou = float((mask & truth).sum() / (mask | truth).sum())
                answer.view_ious.setdefault(name, []).append(iou)


def teacher_masks(
    question: Question, features: Float[Tensor, "pixels scales dim"]
) -> dict[str, Bool[np.ndarray, " pixels"]]:
    """Where the teacher alone finds it: by the mean of its scales, and in LERF's way by the best score of any scale."""
    plain = replace(question, calibration=None)
    vectors = question.vectors
    cosines = unit(features) @ vectors.T
    mean = cosines.mean(dim=1)
    scores = judge(plain, cosines[..., 0], cosines[..., 1:]).scores
    return {
        TEACHER: judge(plain, mean[:, 0], mean[:, 1:]).mask.numpy(),
        MAX_OVER_SCALES: (scores.amax(dim=1) > 0.5).numpy(),
    }
