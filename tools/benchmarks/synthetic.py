"""Scenes of any size without content: what memory and time depend on is the number of views, pixels and classes."""

import json
import math
from pathlib import Path

import numpy as np
from PIL import Image

HELD_OUT = 2


def write_scene(folder: Path, views: int, width: int, height: int) -> Path:
    """Writes `views` training photographs of blurred noise, no two alike, taken on a ring, and two held-out ones."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    frames = []
    for view in range(views + HELD_OUT):
        noise = np.random.default_rng(view).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        name = f"images/{view:05d}.jpg"
        Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(folder / name, quality=90)
        frames.append({"file_path": name, "transform_matrix": inward(2.0 * math.pi * view / (views + HELD_OUT))})
    names = [frame["file_path"] for frame in frames]
    scene = {
        "camera_model": "OPENCV", "w": width, "h": height, "fl_x": width, "fl_y": width, "cx": width / 2,
        "cy": height / 2, "train_filenames": names[:views], "test_filenames": names[views:],
        "val_filenames": names[views:], "frames": frames,
    }  # fmt: skip
    (folder / "transforms.json").write_text(json.dumps(scene))
    return folder


def inward(angle: float) -> list[list[float]]:
    """Pose of a camera on the unit circle around the z axis that looks at the middle."""
    c, s = math.cos(angle), math.sin(angle)
    return [[-s, 0.0, c, c], [c, 0.0, s, s], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]


def write_features(folder: Path, scene: Path, dim: int, words: int) -> Path:
    """Writes random features of the scene's photographs at three scales, in the exchange format, and as many words."""
    folder.mkdir(parents=True, exist_ok=True)
    for image in sorted((scene / "images").iterdir()):
        cells = np.random.default_rng(int(image.stem)).normal(size=(3, 24, 32, dim)).astype(np.float16)
        np.save(folder / f"{image.stem}.npy", cells)
    meta = {"space": "random", "dim": dim, "levels": ["1", "2", "3"], "teacher": "random", "normalised": False}
    (folder / "meta.json").write_text(json.dumps(meta))
    vectors = np.random.default_rng(0).normal(size=(words, dim)).astype(np.float32)
    np.savez(folder / "vocabulary.npz", words=np.array(word_list(words)), embeddings=vectors, space="random")
    return folder


def word_list(count: int) -> list[str]:
    """As many different words."""
    return [f"thing {index}" for index in range(count)]
