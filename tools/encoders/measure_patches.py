"""How well patch features find the same object in another view of the scene, against raw colour and random weights."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from tools.encoders.corpus import StoredScene
from tools.encoders.distill import retrieval
from tools.encoders.measure import cell_labels

PatchFeatures = Callable[[Float[Tensor, "views 3 h w"]], Float[Tensor, "views dim gh gw"]]


def raw_colour(images: Float[Tensor, "views 3 h w"]) -> Float[Tensor, "views dim gh gw"]:
    """Baseline: mean and standard deviation of the colour of each 8x8 patch, about the view's mean colour."""
    mean = F.avg_pool2d(images, 8)
    spread = (F.avg_pool2d(images**2, 8) - mean**2).clamp_min(0).sqrt()
    return torch.cat([mean - images.mean((2, 3), keepdim=True), spread], dim=1)


def measure_patches(features: PatchFeatures, scenes: list[StoredScene], zoom: float = 1.0) -> dict[str, float]:
    """Top-1 same-label rate of the nearest patch (cosine) in another view, and the separation of the cosines.

    Returns:
        Mean and standard deviation over scenes of `top1` (macro over labels) and `auc` (same against other label), and
        the mean cosine of pairs of one object and of pairs of two objects.
    """
    rows = []
    for scene in scenes:
        views = np.asarray(scene.views[[0, 2]])
        height, width = (round(side * zoom / 8) for side in views.shape[1:3])
        images = torch.from_numpy(views[..., :3].copy()).permute(0, 3, 1, 2).float() / 255
        images = F.interpolate(images, size=(height * 8, width * 8), mode="bicubic", antialias=True).clamp(0, 1)
        tokens = features(images).flatten(2).transpose(1, 2)
        labels = torch.from_numpy(cell_labels(views[..., 3], height, width, len(scene.classes))).flatten(1)
        a, b = tokens[0][labels[0] >= 0], tokens[1][labels[1] >= 0]
        label_a, label_b = labels[0][labels[0] >= 0], labels[1][labels[1] >= 0]
        top1, auc = retrieval(a, label_a, b, label_b)
        cosine, same = F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T, label_a[:, None] == label_b
        rows.append((top1, auc, float(cosine[same].mean()), float(cosine[~same].mean())))
    table = np.array(rows)
    names = ("top1", "auc", "cos_same", "cos_other")
    result = dict(zip(names, table.mean(axis=0).round(4).tolist(), strict=True))
    return result | {"top1_std": round(float(table[:, 0].std()), 4), "auc_std": round(float(table[:, 1].std()), 4)}
