"""What a teacher makes of the words before anything is trained: maps to look at, and words that it mixes up."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ovs3d.evaluation.figures import relevancy_to_rgb, titled_panels
from ovs3d.palette import class_colours, colourise, draw_legend, load_font, shorten
from ovs3d.relevancy import relevancy
from ovs3d.teachers.store import FeatureStore

SAME = 0.97
"""Correlation of two words' relevancy, over all cells, above which the teacher hardly tells them apart; the two red
cones of the bundled scene, which tiny-clip does tell apart, are at 0.92."""
PANEL_WIDTH, FONT_SIZE = 176, 14


@dataclass(frozen=True)
class ViewMaps:
    """What the teacher says about the words in one view."""

    name: str
    photo: UInt8[np.ndarray, "h w 3"]
    relevancies: Float[Tensor, "scales gh gw classes"]
    """Cosines in [-1, 1]; NaN where the teacher has nothing to say."""


def relevancy_maps(
    store: FeatureStore, view: int, text: Float[Tensor, "classes dim"]
) -> Float[Tensor, "scales gh gw classes"]:
    """Relevancy of every word in every cell of a view; NaN where the cell is not valid."""
    cells, valid = store.cells(view)
    found = relevancy(cells, text).masked_fill(~valid[..., None], torch.nan)
    return found.transpose(0, 1).unflatten(1, store.view(view).shape[1:3])


def warnings(views: Sequence[ViewMaps], names: Sequence[str]) -> Iterator[str]:
    """One sentence for every pair of words that the teacher mixes up, and for every word that is nowhere the best."""
    cells = torch.cat([view.relevancies.flatten(0, 2) for view in views])
    cells = cells[cells.isfinite().all(dim=-1)]
    if len(cells) < 2:
        yield "The teacher says nothing about these views; choose other --views."
        return
    same = torch.corrcoef(cells.T).nan_to_num()
    for first in range(len(names)):
        for second in range(first + 1, len(names)):
            if same[first, second] > SAME:
                yield (
                    f"The teacher hardly tells '{names[first]}' from '{names[second]}' (correlation "
                    f"{same[first, second]:.2f}): reword one of them, or make them one class."
                )
    best = set(cells.argmax(dim=-1).tolist())
    for index, name in enumerate(names):
        if index not in best:
            yield f"'{name}' is the best word nowhere in these views: reword it, or choose --views that show it."


def prompts_figure(
    views: Sequence[ViewMaps], names: Sequence[str], levels: Sequence[str]
) -> UInt8[np.ndarray, "figure_h figure_w 3"]:
    """A row for every view and scale: photograph, best word, and the relevancy of every word.

    Every word's maps span the same colours at a scale in all views: blue is its lowest relevancy, red its highest.
    """
    colours = class_colours(len(names))
    low, high = limits(views)
    rows = [
        figure_row(view, scale, f"{view.name}, {level}", names, colours, low[scale], high[scale])
        for view in views
        for scale, level in enumerate(levels)
    ]
    return np.concatenate([*rows, draw_legend(names, colours, rows[0].shape[1])])


def limits(
    views: Sequence[ViewMaps],
) -> tuple[Float[np.ndarray, "scales classes"], Float[np.ndarray, "scales classes"]]:
    """Lowest and highest relevancy of every word at every scale, over the views; 0 and 1 where nothing is known."""
    cells = np.concatenate([view.relevancies.flatten(1, 2).numpy() for view in views], axis=1)
    known = np.isfinite(cells)
    low = np.where(known, cells, np.inf).min(axis=1)
    high = np.where(known, cells, -np.inf).max(axis=1)
    some = known.any(axis=1)
    return np.where(some, low, 0.0), np.where(some, np.maximum(high, low + 1e-6), 1.0)


def figure_row(
    view: ViewMaps,
    scale: int,
    title: str,
    names: Sequence[str],
    colours: UInt8[np.ndarray, "classes 3"],
    low: Float[np.ndarray, " classes"],
    high: Float[np.ndarray, " classes"],
) -> UInt8[np.ndarray, "row_h row_w 3"]:
    """Titled panels side by side."""
    maps = view.relevancies[scale].numpy()
    known = np.isfinite(maps).all(axis=-1)
    best = np.where(known, np.where(known[..., None], maps, -np.inf).argmax(axis=-1), -1)
    panels = [(title, view.photo), ("best word", colourise(best, colours))]
    for i, name in enumerate(names):  # Each word has a range of its own: places are to be compared, not words.
        bounds = float(low[i]), float(high[i])
        panels.append((range_title(name, *bounds), relevancy_to_rgb(maps[..., i], *bounds)))
    return titled_panels(panels, PANEL_WIDTH, FONT_SIZE)


def range_title(name: str, low: float, high: float) -> str:
    """A word, shortened where it must be, and the range of its map, which is not."""
    bounds, font = f" {low:.2f} to {high:.2f}", load_font(FONT_SIZE, name)
    return shorten(name, font, PANEL_WIDTH - math.ceil(font.getlength(bounds))) + bounds
