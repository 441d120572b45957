"""The crops and losses of tiny-dino: self-distillation of whole crops and of patches, without any label."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from numpy.random import Generator
from torch import Tensor, nn

from tools.encoders.corpus import StoredScene
from tools.encoders.windows import augment, resize


@dataclass(frozen=True)
class Crops:
    """Square crops of one size; `boxes` are (left, top, side) in pixels of the view, mirrored where `flipped`."""

    images: Float[Tensor, "n 3 size size"]
    boxes: Float[Tensor, "n 3"]
    flipped: Bool[Tensor, " n"]


class Head(nn.Module):
    """DINO's projection: a small MLP, unit length, then similarities to learned unit prototypes."""

    def __init__(self, dim: int, hidden: int, bottleneck: int, prototypes: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, bottleneck))
        self.prototypes = nn.Parameter(torch.randn(prototypes, bottleneck))

    def forward(self, tokens: Float[Tensor, "*any dim"]) -> Float[Tensor, "*any prototypes"]:
        """Cosine similarity of each token to each prototype."""
        return F.normalize(self.mlp(tokens).float(), dim=-1) @ F.normalize(self.prototypes, dim=-1).T


def draw_places(
    scenes: list[StoredScene], count: int, rng: Generator, spread: float = 14.0
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Random views, each with a point that all crops of the view are centred near; `spread` in pixels."""
    places = []
    for _ in range(count):
        scene = scenes[rng.integers(len(scenes))]
        view = np.asarray(scene.views[rng.integers(len(scene.views))])[..., :3]
        places.append((view, rng.uniform([40, 40], [view.shape[1] - 40, view.shape[0] - 40])))
    return places


def cut(
    places: list[tuple[np.ndarray, np.ndarray]],
    size: int,
    sides: tuple[float, float],
    rng: Generator,
    generator: torch.Generator,
    spread: float = 12.0,
) -> Crops:
    """One crop per place, of a random side in pixels, centred within `spread` pixels of the place."""
    pictures, boxes = [], []
    flipped = rng.random(len(places)) < 0.5
    for (view, point), flip in zip(places, flipped, strict=True):
        side = int(rng.uniform(*sides))
        corner = point + rng.uniform(-spread, spread, 2) - side / 2
        left, top = (int(v) for v in np.clip(corner, 0, [view.shape[1] - side, view.shape[0] - side]))
        part = resize(np.ascontiguousarray(view[top : top + side, left : left + side]), size, size)
        pictures.append(part[:, ::-1] if flip else part)
        boxes.append((left, top, side))
    images = augment(np.stack(pictures), generator, mirror=False)
    return Crops(images, torch.tensor(boxes, dtype=torch.float32), torch.from_numpy(flipped))


def cell_positions(crops: Crops, grid: int) -> Float[Tensor, "n grid grid 2"]:
    """Centre of each cell of a crop, in pixels (x, y) of its view."""
    centres = (torch.arange(grid) + 0.5) / grid
    x = torch.where(crops.flipped[:, None], 1 - centres, centres)
    x = crops.boxes[:, :1] + x * crops.boxes[:, 2:]
    y = crops.boxes[:, 1:2] + centres * crops.boxes[:, 2:]
    return torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), dim=-1)


def sample_at(
    cells: Float[Tensor, "n dim g g"], crops: Crops, points: Float[Tensor, "n h w 2"]
) -> tuple[Float[Tensor, "n h w dim"], Bool[Tensor, "n h w"]]:
    """Bilinear values of a crop's cells at pixels of its view, and whether the pixel lies inside the crop."""
    local = 2 * (points - crops.boxes[:, None, None, :2]) / crops.boxes[:, None, None, 2:] - 1
    mirrored = torch.cat([-local[..., :1], local[..., 1:]], dim=-1)
    local = torch.where(crops.flipped[:, None, None, None], mirrored, local)
    inside = (local.abs() <= 1).all(dim=-1)
    values = F.grid_sample(cells, local, mode="bilinear", padding_mode="border", align_corners=False)
    return values.permute(0, 2, 3, 1), inside


def hide_patches(
    images: Float[Tensor, "n 3 size size"], share: float, patch: int, generator: torch.Generator
) -> Float[Tensor, "n 3 size size"]:
    """Sets a random share of the patches to zero, which is the mean colour of normalised images (as in iBOT)."""
    n, grid = len(images), images.shape[-1] // patch
    hidden = torch.rand(n, 1, grid, grid, generator=generator) < share
    return images.masked_fill(F.interpolate(hidden.float(), scale_factor=patch, mode="nearest").bool(), 0.0)


def cross_entropy(
    student: Float[Tensor, "n prototypes"], teacher: Float[Tensor, "n prototypes"], temperature: float = 0.1
) -> Float[Tensor, ""]:
    """Mean of -sum p_teacher log p_student, DINO (arXiv 2104.14294) equation 3; `teacher` holds probabilities."""
    return -(teacher * (student / temperature).log_softmax(dim=-1)).sum(dim=-1).mean()


@torch.no_grad()
def balanced_targets(
    similarities: Float[Tensor, "n prototypes"], temperature: float, rounds: int = 3
) -> Float[Tensor, "n prototypes"]:
    """The teacher's distribution, spread over the prototypes by Sinkhorn-Knopp (SwAV, arXiv 2006.09882).

    Rows sum to 1 and, nearly, every prototype gets the same share of the batch. It replaces DINO's running centre,
    which lets a small model with small batches collapse within a few steps.
    """
    table = ((similarities - similarities.max()) / temperature).exp()
    for _ in range(rounds):
        table = table / table.sum(dim=0, keepdim=True).clamp_min(1e-12)
        table = table / table.sum(dim=1, keepdim=True).clamp_min(1e-12)
    return table


def retrieval(
    query: Float[Tensor, "n dim"],
    query_label: Int[Tensor, " n"],
    key: Float[Tensor, "m dim"],
    key_label: Int[Tensor, " m"],
) -> tuple[float, float]:
    """Share of queries, macro-averaged over labels, whose nearest key has their label; and the area under the ROC curve
    of the cosine as a test of "same label"."""
    cosine = F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).T
    same = query_label[:, None] == key_label[None, :]
    hit = same.gather(1, cosine.argmax(dim=1, keepdim=True))[:, 0].float()
    top1 = torch.stack([hit[query_label == label].mean() for label in query_label.unique()]).mean()
    order = cosine.flatten().argsort()
    positive = same.flatten()[order].double()
    below = (1 - positive).cumsum(0)
    area = (positive * below).sum() / (positive.sum() * (1 - positive).sum())
    return float(top1), float(area)
