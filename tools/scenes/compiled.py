"""From a description to triangles: meshes, textures and labels of everything in the scene."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator

from .description import FurnitureSpec, LightSpec, ObjectSpec, RoomSpec, SceneDescription
from .materials import rug_texture, surface_texture, window_texture
from .meshes import Mesh, box, disc, even_quad, lathe, merge, quad, rotation_about, transform
from .shapes import build_shape
from .textures import Texture, object_texture, to_pixels


@dataclass(frozen=True)
class Part:
    """One thing with one texture and one label; `radiance` is set for lights and replaces reflection."""

    name: str
    label: int
    mesh: Mesh
    texture: Texture
    glossy: float
    light: LightSpec | None = None


@dataclass(frozen=True)
class Geometry:
    """All parts of a scene."""

    description: SceneDescription
    parts: tuple[Part, ...]


def _object(spec: ObjectSpec, label: int, rng: Generator) -> Part:
    mesh = build_shape(spec.triple.shape, spec.size, rng)
    place = np.add(spec.position, (0, 0, 0.001))
    mesh = transform(mesh, rotation_about(2, spec.yaw), place)
    cos, sin = np.cos(spec.pattern_angle), np.sin(spec.pattern_angle)
    turned = mesh.uv @ np.array([[cos, sin], [-sin, cos]]) + rng.uniform(0, 1, 2) * spec.period
    texture = object_texture(spec.triple.colour, spec.triple.pattern, spec.period, rng)
    return Part(spec.triple.name, label, replace(mesh, uv=turned), texture, spec.glossy)


def _steps(length: float, fine: float) -> Float[ndarray, "steps"]:
    """Cuts of a floor edge, as fractions: about 6 cm within `fine` metres of the middle, 25 cm outside."""
    inner = np.linspace(-fine, fine, 2 * int(fine / 0.06) + 1)
    outer = np.linspace(fine, length / 2, max(2, int((length / 2 - fine) / 0.25) + 1))[1:]
    return (np.concatenate([-outer[::-1], inner, outer]) + length / 2) / length


def _shell(room: RoomSpec) -> tuple[Mesh, Mesh, Mesh]:
    """Floor, walls and ceiling, seen from inside."""
    (sx, sy), h = room.size, room.height
    x, y = sx / 2, sy / 2
    floor = quad((-x, -y, 0), (sx, 0, 0), (0, sy, 0), _steps(sx, 1.5), _steps(sy, 1.5))
    walls = [
        even_quad((x, -y, 0), (-sx, 0, 0), (0, 0, h), 0.22),
        even_quad((-x, y, 0), (sx, 0, 0), (0, 0, h), 0.22),
        even_quad((-x, -y, 0), (0, sy, 0), (0, 0, h), 0.22),
        even_quad((x, y, 0), (0, -sy, 0), (0, 0, h), 0.22),
    ]
    return floor, merge(walls), even_quad((-x, y, h), (sx, 0, 0), (0, -sy, 0), 0.3)


def _furniture(spec: FurnitureSpec) -> Mesh:
    (x, y), (sx, sy, sz) = spec.centre, spec.size
    if not spec.legs:
        return box((x, y, sz / 2 + 0.0005), (sx, sy, sz - 0.001), 0.06)
    top, leg = 0.05, 0.06
    parts = [box((x, y, sz - top / 2), (sx, sy, top), 0.05)]
    for side_x in (-1, 1):
        for side_y in (-1, 1):
            at = (x + side_x * (sx / 2 - leg), y + side_y * (sy / 2 - leg), (sz - top) / 2 + 0.0005)
            parts.append(box(at, (leg, leg, sz - top - 0.001), 0.08))
    return merge(parts)


def _rug(x: float, y: float, radius: float) -> Mesh:
    top = disc(radius, 0.012, up=True, rings=24, segments=72)
    rim = replace(lathe(np.array([[radius, 0.0], [radius, 0.012]]), 72))
    mesh = merge([replace(top, uv=top.uv + radius), rim])
    return transform(mesh, np.eye(3), np.array([x, y, 0.0]))


def build_geometry(description: SceneDescription) -> Geometry:
    """Meshes and textures of a description; deterministic."""
    labels = {info.name: k for k, info in enumerate(description.classes)}
    parts = []
    for k, spec in enumerate(description.objects):
        lift = 0.012 if description.room.rug is not None and spec.position[2] == 0.0 else 0.0
        lifted = replace(spec, position=(*spec.position[:2], spec.position[2] + lift))
        parts.append(_object(lifted, k, description.rng(f"object {k}")))
    room = description.room
    named = list(zip((room.floor, room.wall, "white ceiling"), _shell(room), strict=True))
    named += [(spec.material, _furniture(spec)) for spec in description.furniture]
    for name, mesh in named:
        # The same words give the same generator, so that three crates are made of one wood.
        parts.append(Part(name, labels[name], mesh, surface_texture(name, description.rng(name)), 0.0))
    if room.rug is not None:
        texture = rug_texture(description.rng("rug"), 2 * room.rug[2])
        parts.append(Part("round rug", labels["round rug"], _rug(*room.rug), texture, 0.0))
    for k, light in enumerate(description.lights):
        width, height = (float(np.linalg.norm(edge)) for edge in (light.edge_u, light.edge_v))
        if light.name == "window":
            texture = window_texture(description.rng(f"window {k}"), width, height)
        else:
            texture = Texture(to_pixels(np.full((8, 8, 3), 0.97)), (width, height))
        mesh = even_quad(light.corner, light.edge_u, light.edge_v, 10.0)
        parts.append(Part(light.name, labels[light.name], mesh, texture, 0.0, light))
    return Geometry(description, tuple(parts))
