"""Measures the bundled encoders on validation scenes of a corpus and on scene folders, and prints JSON.

python -m tools.encoders.evaluate --corpus CORPUS --folders data/room
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import tyro

from ovs3d.spaces import load_encoder, load_patch_encoder
from tools.encoders.corpus import HEIGHT, WIDTH, Corpus, StoredScene
from tools.encoders.measure import report
from tools.encoders.measure_patches import measure_patches, raw_colour
from tools.scenes import ClassInfo
from tools.scenes.vocabulary import parse_triple


def class_info(name: str) -> ClassInfo:
    """The class of a name of classes.txt: an object if it names a triple, else a surface."""
    try:
        triple = parse_triple(name)
    except ValueError:
        return ClassInfo(name, "surface", material=name)
    return ClassInfo(name, "object", triple.shape, triple.colour, triple.pattern)


def read_folder(folder: Path, n_views: int = 12) -> StoredScene:
    """A scene folder (images/, labels/, classes.txt) at the size of the corpus; views evenly spread over the path."""
    names = [line.strip() for line in (folder / "classes.txt").read_text().splitlines() if line.strip()]
    paths = sorted((folder / "images").iterdir())
    paths = [paths[k] for k in np.unique(np.linspace(0, len(paths) - 1, n_views).round().astype(int))]
    views = []
    for path in paths:
        rgb = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        label = cv2.imread(str(folder / "labels" / f"{path.stem}.png"), cv2.IMREAD_UNCHANGED)
        rgb = cv2.resize(rgb, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        label = cv2.resize(label, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
        views.append(np.concatenate([rgb, label[..., None].astype(np.uint8)], axis=-1))
    return StoredScene(0, tuple(class_info(name.split(":")[0]) for name in names), np.stack(views))


def main(corpus: Path | None = None, folders: tuple[Path, ...] = (), encoder: str = "tiny-clip") -> None:
    """Prints the measurements.

    Args:
        corpus: folder that `tools.encoders.render` filled; its validation scenes are measured.
        folders: scene folders with labels, each measured as one more set of scenes.
        encoder: image-text encoder to measure, as for `--encoder`.
    """
    sets = {"corpus": Corpus(corpus, "val").scenes} if corpus is not None else {}
    if len(folders) > 0:
        sets["folders"] = [read_folder(folder) for folder in folders]
    image_text, patches = load_encoder(encoder), load_patch_encoder("tiny-dino")
    result = {}
    for name, scenes in sets.items():
        result[name] = {
            "scenes": len(scenes),
            encoder: report(image_text, scenes),
            "tiny-dino": measure_patches(patches.encode_patches, scenes),
            "raw colour": measure_patches(raw_colour, scenes),
        }
    json.dump(result, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    tyro.cli(main)
