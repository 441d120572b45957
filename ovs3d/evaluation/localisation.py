"""Where a query lies in a view, as LERF and LangSplat measure it: the most relevant pixel, and a mask.

The definitions are those of LangSplat's evaluation (minghanqin/LangSplat, `eval/evaluate_iou_loc.py`), which takes the
localisation from LERF (arXiv 2303.09553, section 4.2). Pure functions.
"""

import numpy as np
from jaxtyping import Bool, Float, Float64
from scipy.ndimage import uniform_filter

NEGATIVES = ("object", "things", "stuff", "texture")
"""LERF's canonical phrases, against which every query is held."""
SMOOTHING = 30
"""Side of the square, in pixels, over which relevancy is averaged."""
THRESHOLD = 0.4
MASK_SMOOTHING = 7
"""Side of the square, in pixels, in which a mask takes the value of the majority."""


def smooth(relevancy: Float[np.ndarray, "h w"]) -> Float64[np.ndarray, "h w"]:
    """The mean over squares of 30 pixels, 15 of them before the pixel, mirrored at the border."""
    return uniform_filter(relevancy.astype(np.float64), SMOOTHING, mode="mirror")


def is_localised(relevancy: Float[np.ndarray, "h w"], boxes: Float64[np.ndarray, "boxes 4"]) -> bool:
    """Whether a most relevant pixel of the smoothed map lies in one of the boxes x0 y0 x1 y1, borders included."""
    smoothed = smooth(relevancy)
    y, x = np.nonzero(smoothed == smoothed.max())
    inside = [(x >= x0) & (x <= x1) & (y >= y0) & (y <= y1) for x0, y0, x1, y1 in boxes]
    return bool(np.any(inside))


def query_mask(relevancy: Float[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The mask of a query.

    The mean m of the map and its smoothed form is stretched to [0, 1] over the view and cut where max(2 m - 1, 0) is
    above 0.4, that is at 0.7; then each pixel takes the value of most pixels of the 7 x 7 around it, outside on a tie.
    A map of one value gives an empty mask. Departure: LangSplat's squares leave out the last row and column.
    """
    mixed = 0.5 * (relevancy + smooth(relevancy))
    low, high = mixed.min(), mixed.max()
    stretched = (mixed - low) / (high - low + 1e-9)
    inside = (np.maximum(2.0 * stretched - 1.0, 0.0) > THRESHOLD).astype(np.float64)
    votes = uniform_filter(inside, MASK_SMOOTHING, mode="constant")
    pixels = uniform_filter(np.ones_like(inside), MASK_SMOOTHING, mode="constant")
    return votes / pixels > 0.5 + 1e-6


def mask_iou(first: Bool[np.ndarray, "h w"], second: Bool[np.ndarray, "h w"]) -> float:
    """Intersection over union in [0, 1]; 0 for two empty masks."""
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union > 0 else 0.0
