"""Rendered rooms on disk: one array and one list of classes per scene, so that a corpus can grow while it is used.

`<root>/<split>/<seed>.npy` holds uint8 [views, h, w, 4] (RGB and label), `<seed>.json` the scene's classes.
"""

import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from tools.scenes import ClassInfo, cameras, compile_scene, raycast_view, sample_scene

log = logging.getLogger(__name__)

WIDTH, HEIGHT = 320, 240
FIRST_SEED = {"train": 10_000, "val": 20_000}
"""Seeds of the two splits: validation scenes are other scenes, and may hold triples that training never shows."""


@dataclass(frozen=True)
class StoredScene:
    """One rendered scene; the pictures stay on disk until they are read."""

    seed: int
    classes: tuple[ClassInfo, ...]
    views: UInt8[ndarray, "views h w 4"]


def render_scene(folder: Path, seed: int, held_out: bool, n_views: int) -> None:
    """Renders `n_views` views of a scene into `folder`, unless they are there; never leaves a half-written file."""
    path = folder / f"{seed}.npy"
    if path.exists():
        return
    try:
        description = sample_scene(seed, allow_held_out=held_out)
    except ValueError as error:
        # Some seeds ask for more objects than their layout has room for; the corpus does without them.
        log.info("Scene %d is left out: %s.", seed, error)
        return
    compiled = compile_scene(description)
    views = [raycast_view(compiled, camera, WIDTH, HEIGHT) for camera in cameras(description, n_views, 0)[0]]
    pictures = np.stack([np.concatenate([view.rgb, view.label[..., None]], -1) for view in views])
    folder.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps([asdict(info) for info in description.classes]))
    partial = folder / f"{seed}.partial.npy"
    np.save(partial, pictures)
    os.replace(partial, path)


def load_scene(path: Path) -> StoredScene:
    """Opens one `.npy` of the corpus as a memory map."""
    classes = tuple(ClassInfo(**info) for info in json.loads(path.with_suffix(".json").read_text()))
    return StoredScene(int(path.stem), classes, np.load(path, mmap_mode="r", allow_pickle=False))


class Corpus:
    """The finished scenes of one split, in the order of their seeds; `refresh` takes in those rendered since."""

    def __init__(self, root: Path, split: str) -> None:
        self.folder = root / split
        self.scenes: list[StoredScene] = []
        self._known: set[Path] = set()
        self.refresh()

    def refresh(self) -> int:
        """Opens the scenes that have appeared; returns how many there are now."""
        found = {path for path in self.folder.glob("*.npy") if ".partial" not in path.name}
        self.scenes += [load_scene(path) for path in sorted(found - self._known)]
        self._known |= found
        return len(self.scenes)
