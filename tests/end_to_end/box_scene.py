"""Writes a small scene with exact labels: coloured boxes in a room, seen from a ring of cameras.

Rays are intersected with axis-aligned boxes in closed form, so that photographs, labels and features need no renderer
and come out the same on every machine.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT, FOCAL = 48, 36, 42.0
CLASSES = ("room", "red box", "green box", "blue box")
ROOM = ((-3.0, -3.0, 0.0), (3.0, 3.0, 3.0))
BOXES = (
    ((-0.9, -0.3, 0.0), (-0.3, 0.3, 0.9)),
    ((0.1, 0.2, 0.0), (0.7, 0.8, 0.6)),
    ((0.1, -0.9, 0.0), (0.9, -0.2, 0.45)),
)
COLOURS = ((0.85, 0.8, 0.7), (0.85, 0.15, 0.1), (0.15, 0.7, 0.2), (0.15, 0.25, 0.85))
SPACE = "one-hot-v1"
DIM = 6
WORDS = (*CLASSES, "anything else", "door")
"""Row i of the vocabulary is the i-th unit vector."""


def write_scene(folder: Path, views: int = 12) -> Path:
    """Writes photographs, `transforms.json`, `classes.txt` and labels of all views; returns `folder`."""
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    frames = []
    for index in range(views):
        pose = camera_pose(index, views)
        colour, labels = render(pose)
        name = f"view_{index:02d}.png"
        Image.fromarray((colour * 255.0).round().astype(np.uint8)).save(folder / "images" / name)
        Image.fromarray(labels.astype(np.uint8)).save(folder / "labels" / name)
        frames.append({"file_path": f"images/{name}", "transform_matrix": pose.tolist()})
    intrinsics = {"w": WIDTH, "h": HEIGHT, "fl_x": FOCAL, "fl_y": FOCAL, "cx": WIDTH / 2, "cy": HEIGHT / 2}
    (folder / "transforms.json").write_text(json.dumps({"camera_model": "OPENCV", **intrinsics, "frames": frames}))
    (folder / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    return folder


def write_features(folder: Path, scene: Path, space: str = SPACE) -> Path:
    """Writes one-hot features of the training views' labels in the exchange format, with their vocabulary.

    Level "fine" is exact; level "coarse" mixes 9 x 9 pixels, as a window that covers several objects does.
    """
    folder.mkdir(parents=True)
    levels = ["coarse", "fine"]
    meta = {"teacher": "labels", "space": SPACE, "dim": DIM, "levels": levels, "normalised": True}
    (folder / "meta.json").write_text(json.dumps(meta))
    for path in sorted((scene / "labels").glob("*.png")):
        fine = np.eye(DIM, dtype=np.float32)[np.asarray(Image.open(path))]
        padded = np.pad(fine, ((4, 4), (4, 4), (0, 0)), mode="edge")
        coarse = sum(padded[i : i + HEIGHT, j : j + WIDTH] for i in range(9) for j in range(9)) / np.float32(81)
        coarse /= np.linalg.norm(coarse, axis=-1, keepdims=True)
        np.save(folder / f"{path.stem}.npy", np.stack([coarse, fine]).astype(np.float16))
    np.savez(folder / "vocabulary.npz", words=np.array(WORDS), embeddings=np.eye(DIM, dtype=np.float32), space=space)
    return folder


def camera_pose(index: int, views: int) -> np.ndarray:
    """Camera-to-world [4, 4], columns right, up, backwards, position, of one camera of the ring."""
    angle = 2.0 * np.pi * index / views
    position = np.array([2.2 * np.cos(angle), 2.2 * np.sin(angle), 1.3 + 0.3 * np.sin(3.0 * angle)])
    forward = np.array([0.0, 0.0, 0.3]) - position
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(right, forward), -forward, position], axis=1)
    return pose


def render(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colour [h, w, 3] in [0, 1] and class index [h, w] at every pixel's centre."""
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    local = np.stack([(x - WIDTH / 2) / FOCAL, -(y - HEIGHT / 2) / FOCAL, -np.ones_like(x)], axis=-1)
    directions, origin = local @ pose[:3, :3].T, pose[:3, 3]
    _, distance = slabs(origin, directions, *ROOM)
    labels = np.zeros((HEIGHT, WIDTH), np.int64)
    for number, box in enumerate(BOXES, start=1):
        enter, leave = slabs(origin, directions, *box)
        seen = (enter < leave) & (enter > 0.0) & (enter < distance)
        distance = np.where(seen, enter, distance)
        labels[seen] = number
    hit = origin + distance[..., None] * directions
    # A chequered pattern gives every surface something that geometry can be found by.
    chequer = np.floor(hit * 2.5 + 1e-4).sum(axis=-1) % 2
    return np.asarray(COLOURS)[labels] * (0.65 + 0.35 * chequer[..., None]), labels


def slabs(
    origin: np.ndarray, directions: np.ndarray, low: tuple[float, ...], high: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Distances, in lengths of `directions`, at which rays enter and leave an axis-aligned box."""
    first = (np.asarray(low) - origin) / directions
    second = (np.asarray(high) - origin) / directions
    return np.minimum(first, second).max(axis=-1), np.maximum(first, second).min(axis=-1)
