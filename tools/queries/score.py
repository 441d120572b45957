"""How well what was found in space covers what was meant."""

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree


def tolerant_iou(found: Float[np.ndarray, "found 3"], meant: Float[np.ndarray, "meant 3"], tolerance: float) -> float:
    """IoU of two surfaces that are given by evenly spread points.

    Precision is the part of `found` with a point of `meant` within `tolerance`, recall the part of `meant` with a point
    of `found` within it, and the IoU follows from both as for sets: 1 / (1 / precision + 1 / recall - 1).

    Returns:
        A number in [0, 1]; 1 where both are empty, 0 where one is.
    """
    if len(found) == 0 or len(meant) == 0:
        return float(len(found) == len(meant))
    precision = float((KDTree(meant).query(found)[0] <= tolerance).mean())
    recall = float((KDTree(found).query(meant)[0] <= tolerance).mean())
    return 0.0 if precision * recall == 0.0 else 1.0 / (1.0 / precision + 1.0 / recall - 1.0)
