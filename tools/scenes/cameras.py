"""Camera paths all the way round an arrangement."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator

from .description import PathSpec, SceneDescription

FOCAL = 0.98
"""Focal length as a fraction of the picture's width."""
CLEARANCE = 0.55
"""No camera comes nearer to any object than this, in metres."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera in OpenGL axes (x right, y up, looking along -z); metres, z up in the world."""

    camera_to_world: Float[ndarray, "4 4"]
    focal: float = FOCAL

    @property
    def position(self) -> Float[ndarray, "3"]:
        """Where the camera stands."""
        return self.camera_to_world[:3, 3]


def look_at(position: Float[ndarray, "3"], target: Float[ndarray, "3"], roll: float = 0.0) -> Camera:
    """A camera at `position` that looks at `target`, level but for `roll` radians."""
    back = position - target
    back = back / np.linalg.norm(back)
    right = np.cross([0.0, 0.0, 1.0], back)
    right = right / np.linalg.norm(right)
    up = np.cross(back, right)
    pose = np.eye(4)
    pose[:3, 0] = np.cos(roll) * right + np.sin(roll) * up
    pose[:3, 1] = np.cos(roll) * up - np.sin(roll) * right
    pose[:3, 2], pose[:3, 3] = back, position
    return Camera(pose)


def _wave(t: Float[ndarray, "views"], rng: Generator, low: int, high: int) -> Float[ndarray, "views"]:
    """A smooth periodic random function with values in about [-1, 1] and `low` to `high` cycles."""
    total = np.zeros_like(t)
    for cycles in range(low, high + 1):
        total = total + rng.normal() * np.sin(2 * np.pi * (cycles * t + rng.random()))
    return np.tanh(total / np.sqrt(high - low + 1) * 1.2)


def _path(path: PathSpec, t: Float[ndarray, "views"], rng: Generator) -> Float[ndarray, "views 6"]:
    """Positions and looked-at points at parameters `t`; the same generator state gives the same path."""
    start = rng.uniform(0, 2 * np.pi)
    turns = {"orbit": 1, "spiral": 3, "walk": 2}[path.kind]
    azimuth = start + 2 * np.pi * turns * t
    if path.kind == "orbit":
        height = path.height + 0.35 * np.sin(2 * np.pi * 3 * t)
        radius = path.radius + 0.18 * _wave(t, rng, 2, 4)
    elif path.kind == "spiral":
        # Up and down once, so that the path closes.
        height = path.height + 0.45 * -np.cos(2 * np.pi * t)
        radius = path.radius + 0.15 * np.sin(2 * np.pi * 2 * t)
    else:
        azimuth = azimuth + 0.5 * _wave(t, rng, 2, 5)
        height = path.height + 0.42 * _wave(t, rng, 2, 7)
        radius = path.radius + 0.25 * _wave(t, rng, 2, 5)
    aim = path.height - 0.75
    target = [path.spread * _wave(t, rng, 3, 8), path.spread * _wave(t, rng, 3, 8), aim + 0.08 * _wave(t, rng, 3, 8)]
    return np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), height, *target], -1)


def _clear(description: SceneDescription, position: Float[ndarray, "3"]) -> Float[ndarray, "3"]:
    """The position, moved outward and up until it is clear of all objects and inside the room."""
    limit = np.array(description.room.size) / 2 - 0.3
    centres = np.array([(*o.position[:2], o.position[2] + o.size / 2) for o in description.objects])
    radii = np.array([o.size * 0.6 for o in description.objects])
    for _ in range(40):
        position[:2] = np.clip(position[:2], -limit, limit)
        position[2] = np.clip(position[2], 0.35, description.room.height - 0.35)
        if np.all(np.linalg.norm(centres - position, axis=1) - radii > CLEARANCE):
            break
        position[:2] *= 1.03
        position[2] += 0.03
    return position


def cameras(description: SceneDescription, n_train: int, n_test: int) -> tuple[list[Camera], list[Camera]]:
    """Training and held-out cameras on one closed path; a held-out one stands between two training ones.

    Args:
        description: the scene.
        n_train: number of training cameras, at least 1.
        n_test: number of held-out cameras.

    Returns:
        The two lists, in the order of the path.
    """
    jitter = description.rng("camera jitter")
    steps = np.arange(n_train)
    train_t = (steps + jitter.uniform(-0.25, 0.25, n_train)) / n_train
    chosen = np.floor((np.arange(n_test) + 0.5) * n_train / max(n_test, 1)).astype(int) % n_train
    following = np.append(train_t[1:], train_t[0] + 1.0)
    between = jitter.uniform(0.4, 0.6, n_test)
    test_t = train_t[chosen] * (1 - between) + following[chosen] * between
    rows = _path(description.path, np.concatenate([train_t, test_t]), description.rng("camera path"))
    rows[:, :3] += jitter.normal(0, 0.02, (len(rows), 3))
    rolls = jitter.normal(0, 0.03, len(rows))
    views = [
        look_at(_clear(description, row[:3].copy()), row[3:], float(r)) for row, r in zip(rows, rolls, strict=True)
    ]
    return views[:n_train], views[n_train:]
