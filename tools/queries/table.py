"""Rows of the questions, and the figure of the calibration."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from matplotlib.figure import Figure
from torchmetrics.functional.classification import binary_calibration_error

from ovs3d.evaluation.results import ResultRow
from tools.queries.generate import ABSENT, PRESENT
from tools.queries.measure import CLICK, FEW_ABSENT, FEW_THERE, FIELD, MAX_OVER_SCALES, PICTURE, TEACHER, Answer

WORDS, FEW = PRESENT + ABSENT, (FEW_THERE, FEW_ABSENT)
BINS = 15
FOUND_IOU = 0.25
UNSURE = 0.05
"""Confidences at least so far from 0 and 1 are told alone: nearly all others are sure, and rightly so."""


@dataclass(frozen=True)
class QueryTable:
    """Rows from the answers of several scenes; spreads are standard deviations over the scenes."""

    scenes: Sequence[Sequence[Answer]]
    command: str

    def rows(self) -> Iterator[ResultRow]:
        """All rows."""
        words = sum(len(self.of(WORDS, scene)) for scene in self.scenes)
        yield ResultRow("questions in words", words, None, "", True, None, (0,), self.command)
        yield self.row("words for what is there, IoU in space", self.ious(PRESENT), 0.7, "")
        for kind in PRESENT:
            yield self.row(f"  of which by {kind}", self.ious((kind,)), None, "")
        found = [[answer.iou >= FOUND_IOU for answer in self.of(PRESENT, scene)] for scene in self.scenes]
        yield self.row(f"  of which found at an IoU of {FOUND_IOU}", percent(found), 90.0, "%")
        yield self.row("words for what is not there, rejected", self.rejected(ABSENT), 90.0, "%")
        for kind in ABSENT:
            yield self.row(f"  of which {kind}", self.rejected((kind,)), None, "%")
        for kind in (PICTURE, CLICK):
            yield self.row(f"{kind}s, IoU in space", self.ious((kind,)), 0.75, "")
        yield from self.view_rows()
        yield self.row("expected calibration error of the confidence", self.errors(WORDS), 0.05, "", higher=False)
        confidence, truth = self.pooled(WORDS, self.scenes)
        unsure = (confidence > UNSURE) & (confidence < 1.0 - UNSURE)
        error = [calibration_error(confidence[unsure], truth[unsure])]
        yield self.row(f"  of which between {UNSURE} and {1.0 - UNSURE}", error, None, "", higher=False)
        yield self.row("  share of such confidences", [100.0 * float(unsure.mean())], None, "%")
        yield self.row("against random parts of the classes: words, IoU in space", self.ious((FEW_THERE,)), None, "")
        yield self.row("  what is not there, rejected", self.rejected((FEW_ABSENT,)), None, "%")
        yield self.row("  expected calibration error", self.errors(FEW), None, "", higher=False)

    def view_rows(self) -> Iterator[ResultRow]:
        """IoU of masks in held-out views, beside those of the 2D teacher."""
        for name, kinds in (("words", PRESENT), ("pictures", (PICTURE,)), ("clicks", (CLICK,))):
            for method in (FIELD, TEACHER, MAX_OVER_SCALES):
                values = [
                    float(np.mean([np.mean(a.view_ious[method]) for a in self.of(kinds, scene) if a.view_ious]))
                    for scene in self.scenes
                ]
                yield self.row(f"{name}, IoU in held-out views, {method}", values, None, "")

    def of(self, kinds: Sequence[str], scene: Sequence[Answer]) -> list[Answer]:
        """Answers to questions of some kinds."""
        return [answer for answer in scene if answer.asked.kind in kinds]

    def ious(self, kinds: Sequence[str]) -> list[float]:
        """Mean IoU in space of every scene that has such questions."""
        asked = [self.of(kinds, scene) for scene in self.scenes]
        return [float(np.mean([answer.iou for answer in answers])) for answers in asked if answers]

    def rejected(self, kinds: Sequence[str]) -> list[float]:
        """Percentage of every scene's questions that find nothing."""
        return percent([[not answer.found for answer in self.of(kinds, scene)] for scene in self.scenes])

    def errors(self, kinds: Sequence[str]) -> list[float]:
        """Expected calibration error in every scene."""
        return [calibration_error(*self.pooled(kinds, [scene])) for scene in self.scenes]

    def pooled(
        self, kinds: Sequence[str], scenes: Sequence[Sequence[Answer]]
    ) -> tuple[Float[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        """Confidences and truth of all points under all questions of some kinds."""
        answers = [answer for scene in scenes for answer in self.of(kinds, scene) if answer.confidence is not None]
        confidences = [answer.confidence for answer in answers if answer.confidence is not None]
        return np.concatenate(confidences), np.concatenate([answer.truth for answer in answers])

    def row(
        self, name: str, values: Sequence[float], target: float | None, unit: str, higher: bool = True
    ) -> ResultRow:
        """Mean and spread over scenes."""
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
        return ResultRow(name, float(np.mean(values)), target, unit, higher, spread, (0,), self.command)


def percent(outcomes: Sequence[Sequence[bool]]) -> list[float]:
    """Per scene."""
    return [100.0 * float(np.mean(each)) for each in outcomes]


def calibration_error(confidence: Float[np.ndarray, " n"], truth: Bool[np.ndarray, " n"]) -> float:
    """Expected calibration error over equal bins (Guo et al., arXiv 1706.04599, eq. 3)."""
    values, labels = torch.from_numpy(confidence), torch.from_numpy(truth).long()
    return binary_calibration_error(values, labels, n_bins=BINS, norm="l1").item()


def write_reliability(table: QueryTable, path: Path) -> None:
    """How often what has some confidence is true, and how often there is such a confidence."""
    confidence, truth = table.pooled(WORDS, table.scenes)
    which = np.clip((confidence * BINS).astype(int), 0, BINS - 1)
    count = np.bincount(which, minlength=BINS)
    mean, accuracy = (np.bincount(which, values, BINS) / count.clip(1) for values in (confidence, truth))
    figure = Figure(figsize=(5.0, 4.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot([0, 1], [0, 1], color="0.7", label="calibrated")
    above.plot(mean[count > 0], accuracy[count > 0], "o-", label="points of four scenes")
    above.set(ylabel="part that is true", ylim=(0, 1))
    above.legend()
    below.bar((np.arange(BINS) + 0.5) / BINS, count, 0.9 / BINS)
    below.set(xlabel="confidence", ylabel="points", yscale="log", xlim=(0, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
