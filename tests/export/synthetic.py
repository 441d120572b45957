"""Views of a unit sphere with exact depth, as a perfect field would show them."""

import numpy as np

from ovs3d.export.views import RenderedView

WIDTH, HEIGHT, FOCAL = 80, 60, 90.0
CENTRE = (41.0, 28.5)
"""Not the middle, so that a confusion of rows and columns shows."""


def look_at_origin(position: np.ndarray) -> np.ndarray:
    """Camera to world, columns right, down, forwards."""
    forward = -position / np.linalg.norm(position)
    right = np.cross(forward, [0.1, 0.2, 1.0])
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward], axis=1)


def sphere_view(position: np.ndarray, radius: float = 1.0) -> RenderedView:
    """A sphere about the origin; what lies above z = 0 is red and of class 1, what lies below green and of class 0."""
    rotation = look_at_origin(position)
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5 - CENTRE[0], np.arange(HEIGHT) + 0.5 - CENTRE[1])
    rays = np.stack([x / FOCAL, y / FOCAL, np.ones_like(x)], axis=-1) @ rotation.T
    # |position + depth * ray| = radius, a quadratic equation of the depth.
    square, half = (rays * rays).sum(axis=-1), rays @ position
    discriminant = half**2 - square * (position @ position - radius**2)
    depth = np.where(discriminant > 0.0, (-half - np.sqrt(np.maximum(discriminant, 0.0))) / square, 0.0)
    above = (position + depth[..., None] * rays)[..., 2] > 0.0
    return RenderedView(
        rotation=rotation,
        position=position,
        focal=(FOCAL, FOCAL),
        centre=CENTRE,
        depth=depth.astype(np.float32),
        rgb=np.where(above[..., None], [200, 0, 0], [0, 200, 0]).astype(np.uint8),
        labels=above.astype(np.int64),
        confidence=np.full((HEIGHT, WIDTH), 0.8, np.float32),
    )


def sphere_views(count: int = 24, radius: float = 1.0) -> list[RenderedView]:
    """Views from all sides, spread by the golden angle."""
    height = 1.0 - 2.0 * (np.arange(count) + 0.5) / count
    angle = np.arange(count) * np.pi * (3.0 - np.sqrt(5.0))
    flat = np.sqrt(1.0 - height**2)
    positions = 3.0 * np.stack([flat * np.cos(angle), flat * np.sin(angle), height], axis=-1)
    return [sphere_view(position, radius) for position in positions]
