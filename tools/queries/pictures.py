"""Pictures of a scene's objects, taken in another room."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tools.scenes import RaycastView, cameras, compile_scene, raycast_view, sample_scene

VIEWS = 24
WIDTH, HEIGHT = 320, 240
LEAST_PIXELS = 400
MARGIN = 0.1
"""Around the object, in parts of its longer side."""


def write_pictures(names: Sequence[str], seed: int, folder: Path) -> dict[str, Path]:
    """A square picture of each named object of the generator's world, in the room of another seed, by the ray caster.

    Taken is the view that shows most of it, of those that show it whole. An object that no view shows whole has none.

    Args:
        names: of the objects; no two of one colour and pattern.
        seed: of the room.
        folder: made if missing.
    """
    description = sample_scene(seed, True, names)
    compiled = compile_scene(description)
    path, _ = cameras(description, VIEWS, 2)
    views = [raycast_view(compiled, camera, WIDTH, HEIGHT) for camera in path]
    labels = [info.name for info in description.classes]
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for name in names:
        crops = [crop for view in views if (crop := crop_of(view, labels.index(name))) is not None]
        if len(crops) > 0:
            written[name] = folder / f"{name.replace(' ', '-')}.png"
            Image.fromarray(max(crops, key=len)).save(written[name])
    return written


def crop_of(view: RaycastView, label: int) -> np.ndarray | None:
    """The square about an object, or None where it lies at the border or takes too few pixels."""
    rows, columns = np.nonzero(view.label == label)
    if (
        len(rows) < 400
        or rows.min() == 0
        or columns.min() == 0
        or rows.max() == HEIGHT - 1
        or columns.max() == WIDTH - 1
    ):
        return None
    side = round((1.0 + 2.0 * MARGIN) * (max(np.ptp(rows), np.ptp(columns)) + 1))
    top = int(np.clip((rows.min() + rows.max() - side) // 2, 0, HEIGHT - min(side, HEIGHT)))
    left = int(np.clip((columns.min() + columns.max() - side) // 2, 0, WIDTH - min(side, WIDTH)))
    return view.rgb[top : top + side, left : left + side]
