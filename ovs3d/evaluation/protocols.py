"""How a run is measured: one pass over the held-out views, and the 2D teacher alone as its baseline."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from ovs3d.evaluation.figures import evaluation_figure
from ovs3d.evaluation.metrics import ConfusionMatrix, PaperScore, PhotoScore, relative_depth_errors
from ovs3d.export.masks import check_eight_bits
from ovs3d.files import whole_file
from ovs3d.palette import class_colours
from ovs3d.relevancy import RelevancyRange, normalise_relevancy, relevancy
from ovs3d.scene import Scene
from ovs3d.teachers.bank import PATCH_TEACHERS, open_teachers
from ovs3d.teachers.store import FeatureStore
from ovs3d.views import View, photograph_paths

PIXELS = 1 << 15
"""Pixels whose teacher features are held at a time: hundreds of numbers at each scale."""


def evaluate(scene: Scene, figures: Path | None = None, masks: Path | None = None) -> dict[str, Any]:
    """Scores of a run on its held-out views; of a run that has trained geometry alone, those of colour and depth.

    Args:
        scene: the run.
        figures: folder for one figure per labelled view (photograph, label, prediction, error).
        masks: folder for predicted label maps, 8-bit PNG, classes in the order asked.

    Returns:
        `psnr`, `ssim` (the summary of `PhotoScore`), `views`, and where there are labels `segmentation` (that of
        `ConfusionMatrix`) and `paper` (that of `PaperScore`); otherwise `segmentation` is None. Where there are depth
        maps `depth` has `abs_rel` and `median`, the mean and the median over all pixels of the relative error.

    Raises:
        UserError: there are more classes than 8 bits can tell, and `masks` are wanted.
    """
    if masks is not None:
        check_eight_bits(scene.classes)
    confusion, paper, photos = ConfusionMatrix(scene.classes), PaperScore(scene.classes), PhotoScore()
    rows, depth_errors = [], []
    for view in scene.held_out():
        result = scene.segment(view.camera, with_scores=False) if scene.model.has_semantics else None
        rgb, depth = scene.look(view.camera) if result is None else (result.rgb, result.depth)
        rows.append({"view": view.name, **photos.update(rgb, view.photo, view.mask)})
        if view.distance is not None:
            depth_errors.append(relative_depth_errors(depth, view.distance))
        if result is None:
            continue
        if masks is not None:
            with whole_file(masks / f"{view.name}.png") as draft:
                Image.fromarray(result.labels.numpy().astype(np.uint8)).save(draft)
        if view.labels is not None:
            confusion.update(result.labels, view.labels)
            paper.update(result.labels, view.labels)
            if figures is not None:
                with whole_file(figures / f"{view.name}.png") as draft:
                    save_figure(view, result.labels, view.labels, scene.classes, draft)
    labelled = int(confusion.counts.sum()) > 0
    return {
        **photos.summary(),
        "views": rows,
        "segmentation": confusion.summary() if labelled else None,
        "paper": paper.summary() if labelled else None,
        "depth": depth_summary(depth_errors),
    }


def depth_summary(errors: list[Float[Tensor, " _"]]) -> dict[str, float] | None:
    """Mean and median of relative errors; None where no distance is known."""
    found = torch.cat([*errors, torch.empty(0)])
    return {"abs_rel": found.mean().item(), "median": found.median().item()} if len(found) > 0 else None


def save_figure(
    view: View, predicted: Int[Tensor, "h w"], labels: Int[Tensor, "h w"], classes: tuple[str, ...], path: Path
) -> None:
    """Writes the figure of one view."""
    photo = (view.photo * 255.0).round().byte().numpy()
    error = ((predicted != labels) & (labels >= 0)).numpy()
    figure = evaluation_figure(
        photo, labels.numpy(), predicted.numpy(), error, list(classes), class_colours(len(classes))
    )
    Image.fromarray(figure).save(path)


def baseline_2d(scene: Scene, device: str = "cpu") -> dict[str, float]:
    """mIoU of the same teacher's features on the held-out photographs themselves, per-view argmax.

    Eight or more variants: {raw, per-view, scene-normalised, balanced relevancy} x {each level, the mean of all
    levels}. Ranges of the last two kinds come from the training views, as in training.
    """
    manager, text = scene.config.pipeline.datamanager, scene.model.text.cpu()
    settings = replace(manager, teachers=tuple(name for name in manager.teachers if name not in PATCH_TEACHERS))
    train = open_teachers(settings, photograph_paths(scene.train_outputs), device)
    held_out = open_teachers(settings, photograph_paths(scene.held_out_outputs), device).text_store
    scene_range, balanced = (tuple(train.relevancy_range(text, how)[:, 0]) for how in ("scene", "balanced"))
    levels = held_out.meta.levels
    scores: dict[str, ConfusionMatrix] = {}
    for index, view in enumerate(scene.held_out()):
        if view.labels is None:
            continue
        raw, own = pixel_relevancy(held_out, index, (view.photo.shape[0], view.photo.shape[1]), text)
        ranges = {"raw": None, "per-view": (own.low, own.high), "scene": scene_range, "balanced": balanced}
        for kind, limits in ranges.items():
            best = torch.cat([best_classes(part, limits) for part in raw.split(PIXELS)])
            for level, chosen in zip((*levels, "mean"), best.unbind(dim=-1), strict=True):
                matrix = scores.setdefault(f"{kind}/{level}", ConfusionMatrix(scene.classes))
                matrix.update(chosen.view(view.labels.shape), view.labels)
    return {name: matrix.summary()["miou"] for name, matrix in scores.items()}


def best_classes(
    raw: Float[Tensor, "pixels scales classes"], limits: tuple[Tensor, ...] | None
) -> Int[Tensor, "pixels scales+1"]:
    """The best class of every pixel at each scale, and last by the mean of all scales.

    Args:
        raw: relevancy.
        limits: what is normalised to 0 and 1, [scales, classes] each; None leaves relevancy as it is.
    """
    values = raw if limits is None else normalise_relevancy(raw, *limits)
    return torch.cat([values, values.mean(dim=1, keepdim=True)], dim=1).argmax(dim=-1)


def pixel_relevancy(
    store: FeatureStore, view: int, size: tuple[int, int], text: Float[Tensor, "classes dim"]
) -> tuple[Float[Tensor, "pixels scales classes"], RelevancyRange]:
    """Relevancy of the teacher's features at every pixel of one view, 0 where it has none, and its range."""
    found, limits = [], RelevancyRange(len(store.meta.levels), len(text))
    for uv in pixel_places(size).split(PIXELS):
        features, valid = store.lookup(torch.full((len(uv),), view), uv)
        found.append(relevancy(features, text) * valid[..., None])
        limits.update(found[-1], valid)
    return torch.cat(found), limits


def pixel_features(
    store: FeatureStore, view: int, size: tuple[int, int]
) -> tuple[Float[Tensor, "pixels scales dim"], Tensor]:
    """Teacher features at every pixel of one small view, row after row; those of a large one take gigabytes."""
    uv = pixel_places(size)
    return store.lookup(torch.full((len(uv),), view), uv)


def pixel_places(size: tuple[int, int]) -> Float[Tensor, "pixels 2"]:
    """(x / width, y / height) of the middle of every pixel, row after row."""
    height, width = size
    y, x = torch.meshgrid((torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2)
