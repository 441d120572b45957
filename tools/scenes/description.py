"""What a scene is, before any triangle: plain data, drawn from one seed by `sampling.sample_scene`."""

from dataclasses import dataclass, replace

import numpy as np

from .vocabulary import ClassInfo, Triple, is_held_out

GENERATOR_VERSION = "2"


@dataclass(frozen=True)
class ObjectSpec:
    """One object: `size` in metres, standing at `position` (its lowest point), turned by `yaw` radians."""

    triple: Triple
    size: float
    position: tuple[float, float, float]
    yaw: float
    period: float
    """Metres from one stripe, check or dot to the next."""
    pattern_angle: float
    glossy: float
    """Strength of the highlight, 0 to 1."""


@dataclass(frozen=True)
class FurnitureSpec:
    """A wooden thing that carries objects: a box-shaped crate, or a table (a top on four legs); sizes in metres."""

    material: str
    centre: tuple[float, float]
    size: tuple[float, float, float]
    legs: bool


@dataclass(frozen=True)
class LightSpec:
    """A bright rectangle (corner, two edges in metres; it shines along edge_u x edge_v) of relative `radiance`."""

    name: str
    corner: tuple[float, float, float]
    edge_u: tuple[float, float, float]
    edge_v: tuple[float, float, float]
    radiance: tuple[float, float, float]


@dataclass(frozen=True)
class RoomSpec:
    """A room [-x/2, x/2] x [-y/2, y/2] x [0, height], in metres, with one material for all walls."""

    size: tuple[float, float]
    height: float
    wall: str
    floor: str
    rug: tuple[float, float, float] | None
    """Centre x, y and radius of a round rug."""


@dataclass(frozen=True)
class PathSpec:
    """A closed camera path: azimuth, height, radius and target are smooth functions of one parameter in [0, 1)."""

    kind: str
    radius: float
    height: float
    spread: float
    """Radius in metres of the disc that the looked-at point wanders in."""


@dataclass(frozen=True)
class SceneDescription:
    """Everything that defines a scene; meshes, textures, light and pictures follow from it without further choice."""

    seed: int
    room: RoomSpec
    layout: str
    objects: tuple[ObjectSpec, ...]
    furniture: tuple[FurnitureSpec, ...]
    lights: tuple[LightSpec, ...]
    path: PathSpec
    exposure: float
    """Mean radiance, of 1, that the objects and the floor are exposed to."""
    required: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """The classes of the scene, objects first; a label is an index into this tuple."""
        infos = [
            ClassInfo(o.triple.name, "object", o.triple.shape, o.triple.colour, o.triple.pattern) for o in self.objects
        ]
        names = [self.room.wall, self.room.floor, "white ceiling"]
        names += ["round rug"] if self.room.rug is not None else []
        names += [f.material for f in self.furniture] + [light.name for light in self.lights]
        infos += [ClassInfo(name, "surface", material=name) for name in dict.fromkeys(names)]
        return tuple(infos)

    @property
    def held_out(self) -> tuple[str, ...]:
        """Names of the scene's objects that encoders never saw in training."""
        return tuple(o.triple.name for o in self.objects if is_held_out(o.triple))

    def in_a_yard(self, factor: float) -> "SceneDescription":
        """The same things on open ground: walls, ceiling, lamps and windows `factor` times as large and as far away."""

        def grown(vector: tuple[float, float, float]) -> tuple[float, float, float]:
            x, y, z = vector
            return factor * x, factor * y, factor * z

        (x, y), height = self.room.size, self.room.height
        room = replace(self.room, size=(factor * x, factor * y), height=factor * height)
        lights = tuple(
            replace(light, corner=grown(light.corner), edge_u=grown(light.edge_u), edge_v=grown(light.edge_v))
            for light in self.lights
        )
        return replace(self, room=room, lights=lights)

    def rng(self, purpose: str) -> np.random.Generator:
        """A generator of its own for each purpose, so that a change in one part leaves the others alone."""
        return np.random.default_rng([self.seed, *purpose.encode()])
