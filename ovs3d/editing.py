"""Parts of a scene, found by words: kept alone or left out, in 3D and so from every camera.

The rays of some training views say, each by its rendered feature, whether they show what is asked for, and vote with
their weights in the cells where their samples lie. Every place then belongs to what the cells around it show, and one
that no ray reached, such as the inside of a thing, to what was seen nearest to it. Single samples decode less cleanly
than rays, and samples just off a surface would stay behind as a halo.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from rich.progress import track
from scipy.ndimage import binary_dilation, distance_transform_edt, gaussian_filter, label, sum_labels
from torch import Tensor

from ovs3d.data.cameras import resized, smaller_size
from ovs3d.data.splits import spread_evenly
from ovs3d.errors import UserError
from ovs3d.field.radiance import trilinear
from ovs3d.query.ask import Query
from ovs3d.query.score import Question, judge
from ovs3d.radiance_model import Keeps
from ovs3d.rendering import contract

if TYPE_CHECKING:
    from ovs3d.scene import Scene

VIEWS, VIEW_SIDE = 30, 128
"""Training views, spread evenly, and pixels of their long side, whose rays vote."""
CELLS = 256
"""Along a side of contracted space; no latent plane is finer."""
SPREAD = 1.0
"""Standard deviation, in cells, of the neighbourhood that decides what a place belongs to."""
MARGIN = 8
"""Cells around what was found in which places are decided; beyond, nothing of it lies."""
LEAST = 1e-3
"""Weight of votes in a neighbourhood below which it has not been seen."""
MIN_PIECE = 0.05
"""A connected piece with fewer cells than this part of the largest is a mistake."""
TOUCHING = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True)
class Part:
    """Where something is: the share of votes for it on a grid over a box of contracted space, z first."""

    share: Float[Tensor, "z y x"]
    low: Float[Tensor, "3"]
    """Contracted coordinates, x first, of the first node."""
    high: Float[Tensor, "3"]
    """Of the last node."""

    def to(self, device: torch.device) -> "Part":
        """The same on a device."""
        return Part(self.share.to(device), self.low.to(device), self.high.to(device))

    def contains(self, points: Float[Tensor, "*n 3"]) -> Bool[Tensor, "*n"]:
        """Which world-space points belong to it."""
        where = 2.0 * (contract(points) - self.low) / (self.high - self.low) - 1.0
        inside = (where.abs() <= 1.0).all(dim=-1)
        inside[inside.clone()] = trilinear(where[inside], self.share) > 0.5
        return inside


def keeper(scene: "Scene", keep: Sequence[str], without: Sequence[str]) -> Keeps:
    """What tells where density stays: in what `keep` finds (everywhere, if it is empty) and `without` does not.

    Raises:
        UserError: neither names anything, or a word finds nothing.
    """
    if isinstance(keep, str) or isinstance(without, str) or not (keep or without):
        raise UserError(f"Name what to keep or to leave out as lists of words, not as {keep!r} and {without!r}.")
    parts = find_parts(scene, [*keep, *without])
    kept, left_out = parts[: len(keep)], parts[len(keep) :]
    before = scene.model.keeps

    def keeps(points: Float[Tensor, "*n 3"]) -> Bool[Tensor, "*n"]:
        """Which world-space points stay."""
        stays = torch.ones_like(points[..., 0], dtype=torch.bool) if before is None else before(points)
        if kept:
            stays &= torch.stack([part.contains(points) for part in kept]).any(dim=0)
        for part in left_out:
            stays &= ~part.contains(points)
        return stays

    return keeps


@torch.no_grad()
def find_parts(scene: "Scene", words: Sequence[str]) -> list[Part]:
    """Where the things are that each of some words names, as in `Scene.query`.

    Raises:
        UserError: one of the words finds nothing.
    """
    questions = [scene.ask(Query(word)) for word in words]
    seen, found = torch.zeros(CELLS**3), torch.zeros(len(words), CELLS**3)
    for points, weights, masks in votes(scene, questions):
        place = ((points + 1.0) * 0.5 * (CELLS - 1)).round().long().clamp(0, CELLS - 1)
        cell = ((place[..., 2] * CELLS + place[..., 1]) * CELLS + place[..., 0]).flatten()
        seen.index_add_(0, cell, weights.flatten())
        for of_word, mask in zip(found, masks, strict=True):
            of_word.index_add_(0, cell, (weights * mask[:, None]).flatten())
    sides, parts = (CELLS, CELLS, CELLS), []
    for word, of_word in zip(words, found, strict=True):
        if not (of_word > 0.5 * seen).any():
            raise UserError(f"Nothing is found of '{word}'; look with ovs3d query, or ask with other words.")
        parts.append(part_of(seen.view(sides).numpy(), of_word.view(sides).numpy()).to(scene.model.device))
    return parts


def votes(
    scene: "Scene", questions: Sequence[Question]
) -> Iterator[tuple[Float[Tensor, "rays samples 3"], Float[Tensor, "rays samples"], Bool[Tensor, "words rays"]]]:
    """Contracted points and weights of rays through some training views, and which words are found on each ray."""
    model, cameras = scene.model, scene.train_outputs.cameras
    for index in track(spread_evenly(min(VIEWS, len(cameras)), len(cameras)), description="Searching"):
        camera = cameras[index : index + 1]
        small = resized(camera, *smaller_size(camera, 0, VIEW_SIDE)).to(model.device)
        rays = small.generate_rays(camera_indices=0, keep_shape=False)
        for start in range(0, len(rays), model.config.eval_num_rays_per_chunk):
            samples = model.heaviest(rays[start : start + model.config.eval_num_rays_per_chunk])
            hidden = model.semantic.hidden(samples)
            masks = []
            for question in questions:
                vectors = question.vectors.to(model.device)
                cosines = (model.semantic.products(hidden, vectors) * model.semantic.inverse_lengths(hidden)).cpu()
                masks.append(judge(question, cosines[:, 0], cosines[:, 1:]).mask)
            yield samples.points.cpu(), samples.weights.cpu(), torch.stack(masks)


def part_of(seen: Float32[np.ndarray, "z y x"], found: Float32[np.ndarray, "z y x"]) -> Part:
    """The places that belong to what was found.

    Args:
        seen: weight of all votes in each cell of contracted space.
        found: weight of those for it; most are in at least one cell.
    """
    hits = np.stack(np.nonzero(found > 0.5 * seen))
    low = np.maximum(hits.min(axis=1) - MARGIN, 0)
    high = np.minimum(hits.max(axis=1) + MARGIN + 1, CELLS)
    box = tuple(slice(first, last) for first, last in zip(low, high, strict=True))
    seen, found = seen[box], without_specks(seen[box], found[box])
    trust = 1.0 / (seen + 1.0)  # Cells that many rays reach count no more than others.
    all_votes = gaussian_filter(seen * trust, SPREAD)
    share = gaussian_filter(found * trust, SPREAD) / np.maximum(all_votes, 1e-12)
    unseen = all_votes < min(LEAST, float(all_votes.max()))
    nearest: Any = distance_transform_edt(unseen, return_distances=False, return_indices=True)
    corners = [torch.from_numpy(2.0 * edge[::-1].copy() / (CELLS - 1) - 1.0).float() for edge in (low, high - 1)]
    return Part(torch.from_numpy(share[tuple(nearest)].astype(np.float32)), *corners)


def without_specks(
    seen: Float32[np.ndarray, "z y x"], found: Float32[np.ndarray, "z y x"]
) -> Float32[np.ndarray, "z y x"]:
    """The votes for something but for those in connected pieces that are small beside the largest."""
    most = found > 0.5 * seen
    numbered: Any = label(binary_dilation(most, TOUCHING), TOUCHING)
    pieces, count = numbered
    sizes: Any = sum_labels(most, pieces, np.arange(1, count + 1))
    large = np.concatenate([[True], sizes >= MIN_PIECE * sizes.max()])
    return np.where(large[pieces], found, np.float32(0.0))
