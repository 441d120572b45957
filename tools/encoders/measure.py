"""How well an encoder names windows and cells of scenes it has not seen, against the scene's own list of classes."""

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Int
from numpy import ndarray

from ovs3d.spaces import ImageTextEncoder
from tools.encoders.corpus import StoredScene
from tools.encoders.windows import CELL, SIDES, random_windows
from tools.scenes import ClassInfo, Triple, is_held_out


@dataclass
class Score:
    """Accuracies of one kind of measurement: one macro average per scene, and per-class ones by group."""

    scenes: list[float] = field(default_factory=list)
    groups: dict[str, list[float]] = field(default_factory=lambda: {"seen": [], "held-out": [], "surface": []})

    def add(self, classes: tuple[ClassInfo, ...], truth: Int[ndarray, "n"], answer: Int[ndarray, "n"]) -> None:
        """Takes in one scene's answers."""
        accuracies = {int(c): float((answer[truth == c] == c).mean()) for c in np.unique(truth)}
        for c, accuracy in accuracies.items():
            self.groups[group_of(classes[c])].append(accuracy)
        self.scenes.append(float(np.mean(list(accuracies.values()))))

    def summary(self) -> dict[str, float]:
        """Mean and standard deviation over scenes, and the mean of each group of classes."""
        result = {"mean": float(np.mean(self.scenes)), "std": float(np.std(self.scenes))}
        result |= {name: float(np.mean(values)) for name, values in self.groups.items() if values}
        return {name: round(value, 4) for name, value in result.items()}


def group_of(info: ClassInfo) -> str:
    """Whether a class is a surface, or an object of a triple that training shows or withholds."""
    if info.kind == "surface":
        return "surface"
    return "held-out" if is_held_out(Triple(info.shape, info.colour, info.pattern)) else "seen"


def measure_windows(encoder: ImageTextEncoder, scenes: list[StoredScene], per_view: int = 12, seed: int = 0) -> Score:
    """Top-1 of uniformly placed windows at the three scales, macro-averaged over the classes of each scene."""
    score, rng = Score(), np.random.default_rng(seed)
    for scene in scenes:
        words = encoder.encode_text([info.name for info in scene.classes])
        truths, answers = [], []
        for side in SIDES:
            views = np.asarray(scene.views)
            places, labels = random_windows(views, side, per_view, rng)
            if len(labels) == 0:
                continue
            crops = np.stack([views[v, t : t + side, x : x + side, :3] for v, t, x in places])
            images = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
            answers.append((F.normalize(encoder.encode_image(images), dim=-1) @ words.T).argmax(-1).numpy())
            truths.append(labels)
        score.add(scene.classes, np.concatenate(truths), np.concatenate(answers))
    return score


def measure_dense(encoder: ImageTextEncoder, scenes: list[StoredScene], zoom: float, n_views: int = 2) -> Score:
    """Top-1 of the dense path's cells on whole views enlarged by `zoom`; a cell's truth covers at least half of it."""
    score = Score()
    for scene in scenes:
        words = encoder.encode_text([info.name for info in scene.classes])
        views = np.asarray(scene.views[:n_views])
        rows, columns = (round(side * zoom / CELL) for side in views.shape[1:3])
        images = torch.from_numpy(views[..., :3].copy()).permute(0, 3, 1, 2).float() / 255
        images = F.interpolate(images, size=(rows * CELL, columns * CELL), mode="bicubic", antialias=True).clamp(0, 1)
        dense = torch.cat([encoder.encode_dense(image[None]) for image in images])
        answer = torch.einsum("vdhw,cd->vhwc", F.normalize(dense, dim=1), words).argmax(-1).numpy()
        truth = cell_labels(views[..., 3], rows, columns, len(scene.classes))
        score.add(scene.classes, truth[truth >= 0], answer[truth >= 0])
    return score


def cell_labels(labels: ndarray, rows: int, columns: int, n_classes: int) -> Int[ndarray, "views rows columns"]:
    """Class that covers at least half of each cell of a grid over the label maps, or -1."""
    one_hot = F.one_hot(torch.from_numpy(labels.astype(np.int64)).clamp(max=n_classes), n_classes + 1)[..., :-1]
    shares = F.interpolate(one_hot.permute(0, 3, 1, 2).float(), size=(rows, columns), mode="area")
    best, which = shares.max(dim=1)
    return torch.where(best >= 0.5, which, -1).numpy()


def text_confusion(encoder: ImageTextEncoder, scenes: list[StoredScene]) -> float:
    """Largest cosine between the names of two classes of one scene, over all scenes."""
    worst = -1.0
    for scene in scenes:
        words = encoder.encode_text([info.name for info in scene.classes])
        worst = max(worst, float((words @ words.T - 2 * torch.eye(len(words))).max()))
    return worst


def report(
    encoder: ImageTextEncoder, scenes: list[StoredScene], zooms: tuple[float, ...] = (1.0, 1.5, 2.0)
) -> dict[str, dict[str, float] | float]:
    """All measurements of an image-text encoder; none of the dense path where it has none (`zooms` empty)."""
    return {
        "windows": measure_windows(encoder, scenes).summary(),
        **{f"dense x{zoom}": measure_dense(encoder, scenes, zoom).summary() for zoom in zooms},
        "largest text cosine": round(text_confusion(encoder, scenes), 4),
    }
