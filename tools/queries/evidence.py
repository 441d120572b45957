"""Questions to a trained run of a generated scene, with the evidence for them and the truth at its points."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from numpy.random import Generator
from scipy.spatial import KDTree
from torch import Tensor

from ovs3d.query.score import Question
from ovs3d.scene import Scene
from tools.results.truth import Truth, read_truth, spread_out
from tools.scenes import ClassInfo

VOXEL = 0.004
"""Side of the voxels that the true surface is thinned to, in parts of the scene's extent."""


def against_some(question: Question, rng: Generator) -> Question:
    """The question against one or more of its others, drawn at random."""
    count = len(question.others)
    kept = torch.from_numpy(rng.permutation(count)[: rng.integers(1, count + 1)])
    return replace(question, others=question.others[kept], negatives=question.negatives[kept])


@dataclass(frozen=True)
class KnownScene:
    """A trained run with what is true of its scene."""

    scene: Scene
    infos: tuple[ClassInfo, ...]
    """Of the run's classes, in their order."""
    truth: Truth
    """Evenly spread."""

    @classmethod
    def load(cls, run: Path, data: Path) -> "KnownScene":
        """Opens a run of a scene that `tools/make_scene.py` wrote."""
        scene = Scene.load(run, data=data)
        infos = {info["name"]: ClassInfo(**info) for info in json.loads((data / "scene.json").read_text())["classes"]}
        whole = read_truth(data, scene.classes)
        return cls(scene, tuple(infos[name] for name in scene.classes), spread_out(whole, VOXEL * whole.extent))

    def labels(self, classes: Sequence[str]) -> list[int]:
        """Labels of classes."""
        return [self.scene.classes.index(name) for name in classes]

    def surface(self, classes: Sequence[str]) -> Float[np.ndarray, "points 3"]:
        """The true surface of some classes."""
        return self.truth.points[np.isin(self.truth.labels, self.labels(classes))]

    def is_true(self, classes: Sequence[str]) -> Bool[np.ndarray, " points"]:
        """Which of the scene's points lie nearest to a surface of some classes."""
        return np.isin(self.nearest_labels, self.labels(classes))

    @cached_property
    def nearest_labels(self) -> Int64[np.ndarray, " points"]:
        """Label of the true surface that is nearest to each of the scene's points."""
        return self.truth.labels[KDTree(self.truth.points).query(self.scene.points().points)[1]]

    def evidence(self, question: Question) -> Float[Tensor, "points 4"]:
        """What the probability of a question in words depends on, at the scene's points."""
        cosines = self.scene.compare_points(question.vectors)
        return question.evidence(cosines[:, 0], cosines[:, 1:])
