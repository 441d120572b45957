"""Draws a scene description from a seed."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator

from .description import FurnitureSpec, LightSpec, ObjectSpec, PathSpec, RoomSpec, SceneDescription
from .materials import FLOORS, WALLS
from .vocabulary import Triple, all_triples, is_held_out, parse_triple

LAYOUTS = ("cluster", "ring", "rows", "table", "crates")
PATHS = ("orbit", "spiral", "walk")
LIGHT_COLOURS = ((1.0, 0.91, 0.78), (1.0, 0.96, 0.90), (1.0, 1.0, 1.0), (0.90, 0.95, 1.0))
GAP = 0.03


def sample_triples(rng: Generator, count: int, allow_held_out: bool, required: Sequence[Triple]) -> list[Triple]:
    """Distinct triples of which no two share colour and pattern: a window inside an object could not tell them."""
    pool = [t for t in all_triples() if allow_held_out or not is_held_out(t)]
    chosen = list(required)
    looks = {(t.colour, t.pattern) for t in chosen}
    if len(looks) < len(chosen):
        raise ValueError("two required objects share colour and pattern, so no window could tell them apart")
    for index in rng.permutation(len(pool)):
        triple = pool[index]
        if len(chosen) >= count:
            break
        crowded = sum(t.shape == triple.shape for t in chosen) >= 2 or sum(t.pattern == "plain" for t in chosen) >= 3
        if (triple.colour, triple.pattern) in looks or (crowded and triple.pattern == "plain"):
            continue
        if sum(t.shape == triple.shape for t in chosen) >= 2:
            continue
        chosen.append(triple)
        looks.add((triple.colour, triple.pattern))
    return [chosen[i] for i in rng.permutation(len(chosen))]


def _sizes(rng: Generator, count: int) -> list[float]:
    """Metres: most objects are of one kind of size, one or two are small."""
    small = int(rng.integers(1, 3))
    sizes = [float(s) for s in rng.uniform(0.26, 0.32, small)] + [
        float(s) for s in rng.uniform(0.42, 0.60, count - small)
    ]
    return [sizes[i] for i in rng.permutation(count)]


def _spot(layout: str, index: int, count: int, rng: Generator) -> tuple[float, float]:
    """Where a layout wants its next object on the floor, in metres from the middle."""
    if layout == "ring":
        angle = 2 * np.pi * (index + rng.uniform(-0.2, 0.2)) / count
        radius = rng.uniform(0.65, 1.0)
    elif layout == "rows":
        columns = int(np.ceil(count / 3))
        x, y = (index % columns - (columns - 1) / 2) * 0.58, (index // columns - 1) * 0.62
        return x + rng.uniform(-0.1, 0.1), y + rng.uniform(-0.1, 0.1)
    else:
        angle, radius = rng.uniform(0, 2 * np.pi), 1.0 * np.sqrt(rng.uniform(0, 1))
    return float(radius * np.cos(angle)), float(radius * np.sin(angle))


def _furniture(layout: str, rng: Generator) -> tuple[FurnitureSpec, ...]:
    if layout == "table":
        size = (float(rng.uniform(0.95, 1.15)), float(rng.uniform(0.8, 0.95)), float(rng.uniform(0.38, 0.5)))
        return (FurnitureSpec("wooden table", (0.0, 0.0), size, legs=True),)
    if layout == "crates":
        specs, start = [], rng.uniform(0, 2 * np.pi)
        for k in range(3):
            angle, radius, side = start + k * 2.1, rng.uniform(0.42, 0.55), float(rng.uniform(0.42, 0.5))
            centre = (float(radius * np.cos(angle)), float(radius * np.sin(angle)))
            specs.append(FurnitureSpec("wooden crate", centre, (side, side, float(rng.uniform(0.2, 0.5))), legs=False))
        return tuple(specs)
    return ()


Placed = list[tuple[float, float, float, float]]


def _place(layout: str, sizes: Sequence[float], furniture: Sequence[FurnitureSpec], rng: Generator) -> Placed:
    """(x, y, z, radius) of each object: on furniture where there is room, else on the floor, never touching."""
    placed: Placed = []
    carried = {k: 0 for k in range(len(furniture))}
    for index, size in enumerate(sizes):
        radius = 0.5 * size
        for attempt in range(1200):
            k = int(rng.integers(len(furniture))) if furniture else 0
            limit = 4 if layout == "table" else 1
            if furniture and attempt < 120 and carried[k] < limit:
                item = furniture[k]
                reach_x, reach_y = (max(0.0, item.size[a] / 2 - 0.95 * radius) for a in (0, 1))
                x, y = item.centre[0] + rng.uniform(-reach_x, reach_x), item.centre[1] + rng.uniform(-reach_y, reach_y)
                z = item.size[2]
            else:
                x, y = _spot(layout, index, len(sizes), rng)
                x, y, z, k = x * (1 + attempt / 400), y * (1 + attempt / 400), 0.0, -1
            apart = all(np.hypot(x - p[0], y - p[1]) > radius + p[3] + GAP for p in placed)
            blocked = z == 0.0 and any(
                abs(x - f.centre[0]) < f.size[0] / 2 + radius + GAP
                and abs(y - f.centre[1]) < f.size[1] / 2 + radius + GAP
                for f in furniture
            )
            if apart and not blocked:
                break
        else:
            raise ValueError(f"no room for object {index} of layout {layout}")
        if k >= 0 and z > 0.0:
            carried[k] += 1
        placed.append((float(x), float(y), float(z), float(radius)))
    return placed


def _lights(room: RoomSpec, rng: Generator) -> tuple[LightSpec, ...]:
    """One or two ceiling lamps and up to two windows, each of its own warmth."""
    lights = []
    width, depth = room.size
    for _ in range(int(rng.integers(1, 3))):
        side_x, side_y = (float(v) for v in rng.uniform(0.5, 1.3, 2))
        x, y = float(rng.uniform(-1.2, 1.2)), float(rng.uniform(-1.2, 1.2))
        corner = (x - side_x / 2, y + side_y / 2, room.height - 0.02)
        colour = np.array(LIGHT_COLOURS[int(rng.integers(4))]) * rng.uniform(0.8, 2.0)
        lights.append(LightSpec("ceiling lamp", corner, (side_x, 0, 0), (0, -side_y, 0), _vec3(colour)))
    for wall in rng.permutation(4)[: int(rng.integers(0, 3))]:
        length, height, low = float(rng.uniform(1.0, 1.8)), float(rng.uniform(0.9, 1.3)), float(rng.uniform(0.8, 1.1))
        offset = float(rng.uniform(-1.0, 1.0))
        colour = np.array(LIGHT_COLOURS[int(rng.integers(4))]) * rng.uniform(0.8, 2.2)
        x, y, inset = width / 2, depth / 2, 0.02
        corner, along = {
            0: ((-x + inset, offset - length / 2, low), (0.0, length, 0.0)),
            1: ((x - inset, offset + length / 2, low), (0.0, -length, 0.0)),
            2: ((offset + length / 2, -y + inset, low), (-length, 0.0, 0.0)),
            3: ((offset - length / 2, y - inset, low), (length, 0.0, 0.0)),
        }[int(wall)]
        lights.append(LightSpec("window", corner, along, (0.0, 0.0, height), _vec3(colour)))
    return tuple(lights)


def _vec3(values: Float[ndarray, "3"]) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return x, y, z


def sample_scene(seed: int, allow_held_out: bool = True, required: Sequence[str] = ()) -> SceneDescription:
    """Draws a scene; the same arguments always give the same scene.

    Args:
        seed: any non-negative integer.
        allow_held_out: whether objects may be of the triples that encoders never saw.
        required: class names of objects that must be in the scene, for example "red striped cone".

    Raises:
        ValueError: for an unknown required name, or required objects that share colour and pattern.
    """
    rng = np.random.default_rng([seed, int(allow_held_out), *"/".join(required).encode()])
    names = [parse_triple(name) for name in required]
    count = max(int(rng.integers(8, 13)), len(names))
    triples = sample_triples(rng, count, allow_held_out, names)
    sizes = _sizes(rng, len(triples))
    layout = LAYOUTS[int(rng.integers(len(LAYOUTS)))]
    furniture = _furniture(layout, rng)
    # Furniture is taken first: a table by the small objects, of which it carries several; crates by the large ones.
    order = sorted(range(len(sizes)), key=lambda i: sizes[i] if layout == "table" else -sizes[i])
    places = _place(layout, [sizes[i] for i in order], furniture, rng)
    objects = []
    for index, (x, y, z, _) in zip(order, places, strict=True):
        size, periods = sizes[index], rng.uniform(3.0, 5.5) if sizes[index] > 0.3 else rng.uniform(2.5, 3.2)
        angle, yaw, gloss = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi), rng.choice([0.0, 0.3, 0.8])
        objects.append(
            ObjectSpec(triples[index], size, (x, y, z), float(yaw), float(size / periods), float(angle), float(gloss))
        )
    room_size = (float(rng.uniform(5.2, 6.8)), float(rng.uniform(5.2, 6.8)))
    rug = (float(rng.uniform(-0.3, 0.3)), float(rng.uniform(-0.3, 0.3)), float(rng.uniform(1.0, 1.6)))
    room = RoomSpec(
        room_size,
        float(rng.uniform(2.5, 3.2)),
        str(rng.choice(list(WALLS))),
        str(rng.choice(list(FLOORS))),
        rug if rng.random() < 0.5 else None,
    )
    height = float(rng.uniform(0.75, 1.15)) + (0.25 if furniture else 0.0)
    path = PathSpec(
        str(rng.choice(PATHS)),
        float(rng.uniform(1.75, 2.0)) + (0.15 if furniture else 0.0),
        height,
        float(rng.uniform(0.25, 0.4)),
    )
    exposure = float(rng.uniform(0.15, 0.20))
    return SceneDescription(
        seed, room, layout, tuple(objects), furniture, _lights(room, rng), path, exposure, tuple(required)
    )
