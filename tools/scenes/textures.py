"""Tileable pictures: noise for everything, and the patterns that objects wear."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from numpy.random import Generator

from .vocabulary import COLOURS, SECOND_TONES

Grid = Float[ndarray, "h w"]


@dataclass(frozen=True)
class Texture:
    """A picture that repeats: `pixels` sRGB, one tile covers `metres` = (along u, along v) of the surface."""

    pixels: UInt8[ndarray, "h w 3"]
    metres: tuple[float, float]


def noise(size: int, cycles: float, rng: Generator, stretch: float = 1.0) -> Grid:
    """Periodic noise in about [-1, 1] of up to `cycles` cycles per tile; `stretch` > 1 elongates v."""
    fy, fx = np.meshgrid(np.fft.fftfreq(size) * size, np.fft.rfftfreq(size) * size, indexing="ij")
    radius = np.hypot(fx, fy * stretch)
    spectrum = np.exp(-((radius / cycles) ** 2)) * (radius > 0) / np.maximum(radius, 1.0) ** 0.5
    phase = np.exp(2j * np.pi * rng.random(radius.shape))
    field = np.fft.irfft2(spectrum * phase, s=(size, size))
    return (field / (2.5 * field.std())).astype(np.float64)


def to_pixels(colour: Float[ndarray, "h w 3"]) -> UInt8[ndarray, "h w 3"]:
    """Colours in [0, 1] as bytes."""
    return np.round(np.clip(colour, 0, 1) * 255).astype(np.uint8)


def tint(colour: tuple[float, float, float], shade: Grid) -> Float[ndarray, "h w 3"]:
    """One colour, multiplied by 1 + shade."""
    return np.asarray(colour)[None, None, :] * (1.0 + shade[..., None])


def _mask(pattern: str, size: int, periods: int, rng: Generator) -> Grid:
    """Where the second colour shows, in [0, 1], edges smoothed over about a pixel; `periods` along each axis."""
    y, x = np.meshgrid(*(np.arange(size) + 0.5,) * 2, indexing="ij")
    pitch = size / periods
    u, v = (x / pitch) % 1.0, (y / pitch) % 1.0
    if pattern == "striped":
        signed = rng.uniform(0.2, 0.25) - np.abs(u - 0.5)
    elif pattern == "zigzag":
        wave = np.abs(u - 0.5) * 2.0
        signed = 0.22 - np.abs((v + 0.55 * wave) % 1.0 - 0.5)
    elif pattern == "checkered":
        signed = np.minimum(0.25 - np.abs((u + 0.25) % 1.0 - 0.5), 0.25 - np.abs((v + 0.25) % 1.0 - 0.5))
        other = np.minimum(0.25 - np.abs((u + 0.75) % 1.0 - 0.5), 0.25 - np.abs((v + 0.75) % 1.0 - 0.5))
        signed = np.maximum(signed, other)
    else:
        assert pattern == "dotted", pattern
        radius = rng.uniform(0.25, 0.29)
        near = np.hypot(u - 0.5, v - 0.5)
        corner = np.hypot((u + 0.5) % 1.0 - 0.5, (v + 0.5) % 1.0 - 0.5)
        signed = radius * 0.85 - np.minimum(near, corner)
    return np.clip(signed * pitch + 0.5, 0, 1)


def _second_colour(colour: str, base: Float[ndarray, "3"], rng: Generator) -> Float[ndarray, "3"]:
    """A clearly different second colour for a pattern, by the rules of `SECOND_TONES`."""
    tone = SECOND_TONES[colour][int(rng.integers(len(SECOND_TONES[colour])))]
    if tone == "grey":
        return np.full(3, 0.42 if colour == "white" else 0.62)
    if tone == "dark":
        return base * 0.35
    if tone == "light":
        return base * 0.35 + 0.62
    return np.array(COLOURS[tone])


def object_texture(colour: str, pattern: str, period: float, rng: Generator) -> Texture:
    """The skin of an object: its pattern every `period` metres over a lightly mottled ground."""
    size, periods = 256, 4
    base = np.clip(np.array(COLOURS[colour]) + rng.normal(0, 0.02, 3), 0, 1)
    second = _second_colour(colour, base, rng)
    mask = np.zeros((size, size)) if pattern == "plain" else _mask(pattern, size, periods, rng)
    picture = base * (1 - mask[..., None]) + second * mask[..., None]
    # The mottling gives a radiance field something to match on plain objects; black needs an offset to show any.
    mottle = noise(size, 22, rng) * 0.10 + noise(size, 70, rng) * 0.05
    picture = picture * (1 + mottle[..., None]) + 0.02 * mottle[..., None]
    return Texture(to_pixels(picture), (periods * period, periods * period))
