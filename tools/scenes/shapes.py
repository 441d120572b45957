"""The shapes of the objects, each standing on z = 0 around the z axis."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator

from .meshes import Mesh, box, disc, even_quad, lathe, merge, rotation_about, transform, triangle


def _arc(centre: tuple[float, float], radius: float, start: float, stop: float, n: int) -> Float[ndarray, "points 2"]:
    """Points of a circle in the (radius, z) plane; angles in degrees from the radius axis."""
    angle = np.radians(np.linspace(start, stop, n))
    return np.stack([centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle)], -1)


def _smooth(points: list[tuple[float, float]], n: int) -> Float[ndarray, "points 2"]:
    """A Catmull-Rom curve through the points."""
    p = np.array(points)
    padded = np.concatenate([[2 * p[0] - p[1]], p, [2 * p[-1] - p[-2]]])
    t = np.linspace(0, len(p) - 1 - 1e-9, n)
    i = t.astype(int)
    f = (t - i)[:, None]
    a, b, c, d = (padded[i + k] for k in range(4))
    curve = 0.5 * (2 * b + (c - a) * f + (2 * a - 5 * b + 4 * c - d) * f**2 + (3 * b - a - 3 * c + d) * f**3)
    return np.maximum(curve, 0.0)


def _ball(size: float, rng: Generator) -> Mesh:
    return lathe(_arc((0, size / 2), size / 2, -90, 90, 25), 44)


def _box(size: float, rng: Generator) -> Mesh:
    x, y, z = size * rng.uniform(0.72, 0.9), size * rng.uniform(0.72, 0.9), size * rng.uniform(0.7, 0.95)
    return box((0, 0, z / 2), (x, y, z), size / 7)


def _cone(size: float, rng: Generator) -> Mesh:
    radius, height = size * rng.uniform(0.36, 0.44), size * rng.uniform(0.95, 1.1)
    side = np.stack([np.linspace(radius, 1e-4, 14), np.linspace(0, height, 14)], -1)
    return merge([lathe(side, cone=True), disc(radius, 0, up=False)])


def _cylinder(size: float, rng: Generator) -> Mesh:
    radius, height = size * rng.uniform(0.32, 0.4), size * rng.uniform(0.85, 1.05)
    side = np.stack([np.full(10, radius), np.linspace(0, height, 10)], -1)
    return merge([lathe(side), disc(radius, height, up=True), disc(radius, 0, up=False)])


def _ring(size: float, rng: Generator) -> Mesh:
    tube = size * rng.uniform(0.14, 0.18)
    mesh = lathe(_arc((size / 2 - tube, 0), tube, -180, 180, 21), 44)
    if rng.random() < 0.3:
        return transform(mesh, np.eye(3), np.array([0, 0, tube]))
    return transform(mesh, rotation_about(0, np.pi / 2), np.array([0, 0, size / 2]))


def _pyramid(size: float, rng: Generator) -> Mesh:
    half, height = size * rng.uniform(0.4, 0.48), size * rng.uniform(0.85, 1.05)
    base = [(half, -half, 0.0), (half, half, 0.0), (-half, half, 0.0), (-half, -half, 0.0)]
    sides = [triangle(base[k], base[(k + 1) % 4], (0, 0, height), 9) for k in range(4)]
    return merge([*sides, even_quad((-half, half, 0), (2 * half, 0, 0), (0, -2 * half, 0), size / 4)])


def _vase(size: float, rng: Generator) -> Mesh:
    belly, neck = size * rng.uniform(0.34, 0.42), size * rng.uniform(0.13, 0.18)
    outer = _smooth(
        [(belly * 0.55, 0), (belly, 0.33 * size), (neck, 0.78 * size), (neck * 1.1, 0.9 * size), (neck * 1.6, size)], 24
    )
    inner = np.stack([np.linspace(neck * 1.6, neck * 0.6, 5), np.linspace(size, 0.9 * size, 5)], -1)
    return merge([lathe(outer), lathe(inner), disc(neck * 0.6, 0.9 * size, up=True), disc(belly * 0.55, 0, up=False)])


def _capsule(size: float, rng: Generator) -> Mesh:
    radius, height = size * rng.uniform(0.24, 0.28), size * rng.uniform(1.0, 1.1)
    profile = np.concatenate([_arc((0, radius), radius, -90, 0, 9), _arc((0, height - radius), radius, 0, 90, 9)])
    mesh = lathe(profile, 36)
    if rng.random() < 0.5:
        return mesh
    return transform(mesh, rotation_about(1, np.pi / 2), np.array([-height / 2, 0, radius]))


def _star(size: float, rng: Generator) -> Mesh:
    depth, inner = size * rng.uniform(0.3, 0.38), rng.uniform(0.45, 0.52)
    angle = np.pi / 2 + np.arange(10) * np.pi / 5
    radius = np.where(np.arange(10) % 2 == 0, 1.0, inner) * size / 2 * 1.1
    x, z = radius * np.cos(angle), radius * np.sin(angle)
    z = z - z.min()
    centre_z = size / 2 * 1.1 * np.cos(np.pi / 5)
    parts = []
    for k in range(10):
        m = (k + 1) % 10
        parts.append(even_quad((x[k], -depth / 2, z[k]), (0, depth, 0), (x[m] - x[k], 0, z[m] - z[k]), size / 8))
        front = triangle((0, -depth / 2, centre_z), (x[k], -depth / 2, z[k]), (x[m], -depth / 2, z[m]), 4)
        back = triangle((0, depth / 2, centre_z), (x[m], depth / 2, z[m]), (x[k], depth / 2, z[k]), 4)
        # The ten triangles of a face share one planar chart, else the pattern would break at each of them.
        for part in (front, back):
            parts.append(Mesh(part.vertices, part.faces, part.vertices[:, [0, 2]].copy(), part.normals))
    return merge(parts)


def _bowl(size: float, rng: Generator) -> Mesh:
    radius, height = size / 2, size * rng.uniform(0.42, 0.52)
    outer = _smooth([(radius * 0.42, 0), (radius * 0.8, height * 0.35), (radius, height)], 14)
    inner = _smooth([(radius * 0.94, height), (radius * 0.72, height * 0.38), (0, height * 0.14)], 14)
    rim = np.array([outer[-1], inner[0]])
    return merge([lathe(outer), lathe(rim), lathe(inner), disc(radius * 0.42, 0, up=False)])


def _bottle(size: float, rng: Generator) -> Mesh:
    body, neck, height = size * rng.uniform(0.24, 0.28), size * rng.uniform(0.085, 0.1), size * 1.12
    side = np.stack([np.full(8, body), np.linspace(0, 0.55 * height, 8)], -1)
    shoulder = _smooth([(body, 0.55 * height), (body * 0.85, 0.66 * height), (neck, 0.77 * height), (neck, height)], 16)
    return merge([lathe(np.concatenate([side, shoulder[1:]])), disc(neck, height, up=True), disc(body, 0, up=False)])


def _prism(size: float, rng: Generator) -> Mesh:
    half, depth = size * rng.uniform(0.42, 0.5), size * rng.uniform(0.7, 0.9)
    top, y = half * 1.73, depth / 2
    slope = [even_quad((half, -y, 0), (0, depth, 0), (-half, 0, top), size / 7)]
    slope.append(even_quad((-half, y, 0), (0, -depth, 0), (half, 0, top), size / 7))
    ends = [
        triangle((-half, -y, 0), (half, -y, 0), (0, -y, top), 7),
        triangle((half, y, 0), (-half, y, 0), (0, y, top), 7),
    ]
    return merge([*slope, *ends, even_quad((-half, y, 0), (2 * half, 0, 0), (0, -depth, 0), size / 4)])


_BUILDERS: dict[str, Callable[[float, Generator], Mesh]] = {
    "ball": _ball,
    "box": _box,
    "cone": _cone,
    "cylinder": _cylinder,
    "ring": _ring,
    "pyramid": _pyramid,
    "vase": _vase,
    "capsule": _capsule,
    "star": _star,
    "bowl": _bowl,
    "bottle": _bottle,
    "prism": _prism,
}


def build_shape(shape: str, size: float, rng: Generator) -> Mesh:
    """A shape of about `size` metres with proportions drawn from `rng`, standing on z = 0."""
    return _BUILDERS[shape](size, rng)
