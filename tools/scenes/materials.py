"""Textures of walls, floors, furniture, rugs and windows."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator

from .textures import Grid, Texture, noise, tint, to_pixels

SIZE = 384
Colour = tuple[float, float, float]


def _pick(rng: Generator, *colours: Colour) -> Colour:
    return colours[int(rng.integers(len(colours)))]


def _axes(cells_u: float, cells_v: float) -> tuple[Grid, Grid]:
    """Cell coordinates (u along columns, v along rows) of every texel."""
    v, u = np.meshgrid(*((np.arange(SIZE) + 0.5) / SIZE,) * 2, indexing="ij")
    return u * cells_u, v * cells_v


def _cells(u: Grid, v: Grid, columns: int, rows: int, joint: float, rng: Generator) -> tuple[Grid, Grid]:
    """A shade per cell in [-1, 1], and a mask that is 1 within `joint` (a fraction of the tile) of cell edges."""
    shade = rng.uniform(-1, 1, (rows, columns))[v.astype(int) % rows, u.astype(int) % columns]
    edge_u, edge_v = np.minimum(u % 1, 1 - u % 1) / columns, np.minimum(v % 1, 1 - v % 1) / rows
    mask = np.clip((joint - np.minimum(edge_u, edge_v)) * SIZE + 0.5, 0, 1)
    return shade, mask


def _over(below: Float[ndarray, "h w 3"], above: Colour, mask: Grid) -> Float[ndarray, "h w 3"]:
    return below * (1 - mask[..., None]) + np.asarray(above) * mask[..., None]


def _brick(rng: Generator) -> Texture:
    base = _pick(rng, (0.58, 0.30, 0.22), (0.50, 0.32, 0.26), (0.66, 0.47, 0.36))
    columns, rows = 5, 15
    u, v = _axes(columns, rows)
    u = u + 0.5 * (v.astype(int) % 2)
    shade, mask = _cells(u, v, columns, rows, 0.005, rng)
    picture = tint(base, 0.18 * shade + 0.12 * noise(SIZE, 40, rng) + 0.08 * noise(SIZE, 120, rng))
    return Texture(to_pixels(_over(picture, (0.72, 0.69, 0.64), mask * 0.9)), (1.25, 1.25))


def _plaster(rng: Generator) -> Texture:
    base = _pick(rng, (0.80, 0.76, 0.68), (0.72, 0.76, 0.76), (0.78, 0.70, 0.60), (0.66, 0.72, 0.64))
    shade = 0.10 * noise(SIZE, 6, rng) + 0.08 * noise(SIZE, 45, rng) + 0.05 * noise(SIZE, 120, rng)
    return Texture(to_pixels(tint(base, shade)), (2.0, 2.0))


def _wallpaper(rng: Generator) -> Texture:
    base = _pick(rng, (0.74, 0.70, 0.60), (0.58, 0.66, 0.70), (0.70, 0.58, 0.56), (0.56, 0.64, 0.54))
    dark = (base[0] * 0.74, base[1] * 0.72, base[2] * 0.72)
    u, v = _axes(6, 6)
    u = u + 0.5 * (v.astype(int) % 2)
    x, y = u % 1 - 0.5, v % 1 - 0.5
    petals = 0.30 + 0.10 * np.cos(5 * np.arctan2(y, x)) - np.hypot(x, y)
    mask = np.clip(petals * 30, 0, 1) * np.clip((np.hypot(x, y) - 0.09) * 30, 0, 1)
    picture = _over(tint(base, 0.05 * noise(SIZE, 60, rng)), dark, mask)
    return Texture(to_pixels(picture), (1.5, 1.5))


def _stone(rng: Generator) -> Texture:
    base = _pick(rng, (0.56, 0.55, 0.52), (0.60, 0.54, 0.46))
    u, v = _axes(4, 8)
    u = u + 0.37 * (v.astype(int) % 2) + 0.08 * noise(SIZE, 8, rng)
    v = v + 0.08 * noise(SIZE, 8, rng)
    shade, mask = _cells(u % 4, v % 8, 4, 8, 0.007, rng)
    picture = tint(base, 0.25 * shade + 0.16 * noise(SIZE, 25, rng) + 0.08 * noise(SIZE, 100, rng))
    return Texture(to_pixels(_over(picture, (0.30, 0.29, 0.27), mask * 0.8)), (1.6, 1.6))


def wood(rng: Generator, boards: int, metres: float, base: Colour) -> Texture:
    """Boards along v with grain; one tile is `metres` wide and twice as long."""
    u, v = _axes(boards, 1)
    v = (v + rng.random(boards)[u.astype(int) % boards]) % 1.0
    shade, mask = _cells(u, v, boards, 1, 0.003, rng)
    grain = noise(SIZE, 90, rng, stretch=14.0)
    rings = np.sin(2 * np.pi * (u * 3 + 1.5 * noise(SIZE, 5, rng, stretch=4.0)))
    picture = tint(base, 0.18 * shade + 0.16 * grain + 0.05 * rings)
    return Texture(to_pixels(_over(picture, (base[0] * 0.3, base[1] * 0.3, base[2] * 0.3), mask)), (metres, 2 * metres))


def _wooden_panel(rng: Generator) -> Texture:
    return wood(rng, 8, 1.2, _pick(rng, (0.55, 0.38, 0.22), (0.68, 0.52, 0.34), (0.42, 0.28, 0.18)))


def _wooden_floor(rng: Generator) -> Texture:
    return wood(rng, 9, 1.1, _pick(rng, (0.62, 0.45, 0.28), (0.72, 0.57, 0.40), (0.45, 0.31, 0.21)))


def _tiles(rng: Generator) -> Texture:
    base = _pick(rng, (0.70, 0.68, 0.62), (0.55, 0.60, 0.62), (0.64, 0.48, 0.38))
    u, v = _axes(5, 5)
    shade, mask = _cells(u, v, 5, 5, 0.005, rng)
    picture = tint(base, 0.12 * shade + 0.14 * noise(SIZE, 18, rng) + 0.05 * noise(SIZE, 80, rng))
    return Texture(to_pixels(_over(picture, (0.38, 0.37, 0.35), mask)), (1.5, 1.5))


def _carpet(rng: Generator) -> Texture:
    base = _pick(rng, (0.46, 0.44, 0.46), (0.36, 0.42, 0.48), (0.52, 0.42, 0.36), (0.40, 0.46, 0.38))
    shade = 0.28 * noise(SIZE, 130, rng) + 0.16 * noise(SIZE, 12, rng)
    return Texture(to_pixels(tint(base, shade)), (1.2, 1.2))


def _concrete(rng: Generator) -> Texture:
    base = _pick(rng, (0.56, 0.56, 0.55), (0.48, 0.48, 0.48), (0.60, 0.58, 0.54))
    shade = 0.20 * noise(SIZE, 7, rng) + 0.10 * noise(SIZE, 40, rng)
    spots = np.clip((noise(SIZE, 45, rng) - 0.75) * 4, 0, 1)
    return Texture(to_pixels(tint(base, shade - 0.35 * spots)), (2.2, 2.2))


def _ceiling(rng: Generator) -> Texture:
    shade = 0.05 * noise(SIZE, 8, rng) + 0.05 * noise(SIZE, 70, rng)
    return Texture(to_pixels(tint((0.84, 0.83, 0.80), shade)), (2.0, 2.0))


def rug_texture(rng: Generator, diameter: float) -> Texture:
    """A woven round rug with rings; one tile covers the whole rug."""
    base = _pick(rng, (0.50, 0.36, 0.34), (0.36, 0.42, 0.50), (0.56, 0.50, 0.38), (0.40, 0.46, 0.38))
    u, v = _axes(2, 2)
    rings = np.sign(np.sin(np.hypot(u - 1, v - 1) * 2 * np.pi * 3.5 + rng.uniform(0, 6)))
    weave = noise(SIZE, 110, rng)
    return Texture(
        to_pixels(tint(base, 0.14 * rings + 0.20 * weave + 0.1 * noise(SIZE, 10, rng))), (diameter, diameter)
    )


def window_texture(rng: Generator, width: float, height: float) -> Texture:
    """A bright sky behind a dark cross; the picture is the light that the window sends."""
    u, v = _axes(2, 2)
    bar = np.minimum(np.minimum(u % 1, 1 - u % 1), np.minimum(v % 1, 1 - v % 1)) < 0.045
    sky = 0.92 + 0.08 * noise(SIZE, 5, rng)
    picture = np.where(bar, 0.10, sky)[..., None] * np.ones(3)
    return Texture(to_pixels(picture), (width, height))


WALLS: dict[str, Callable[[Generator], Texture]] = {
    "brick wall": _brick,
    "plaster wall": _plaster,
    "wallpaper": _wallpaper,
    "stone wall": _stone,
    "wooden panel wall": _wooden_panel,
}
FLOORS: dict[str, Callable[[Generator], Texture]] = {
    "wooden floor": _wooden_floor,
    "tiled floor": _tiles,
    "carpet": _carpet,
    "concrete floor": _concrete,
}


def surface_texture(material: str, rng: Generator) -> Texture:
    """The texture of a wall, floor, ceiling or piece of furniture.

    Raises:
        KeyError: for an unknown material.
    """
    others = {
        "white ceiling": _ceiling,
        "wooden table": lambda r: wood(r, 5, 0.6, _pick(r, (0.60, 0.40, 0.22), (0.40, 0.25, 0.15), (0.74, 0.58, 0.38))),
        "wooden crate": lambda r: wood(r, 4, 0.4, _pick(r, (0.66, 0.50, 0.30), (0.50, 0.36, 0.24))),
    }
    return {**WALLS, **FLOORS, **others}[material](rng)
