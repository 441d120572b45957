"""The words of the generated world: shapes, colours, patterns, and which of their triples are held out."""

import hashlib
from dataclasses import dataclass
from typing import Literal

SHAPES = (
    "ball",
    "box",
    "cone",
    "cylinder",
    "ring",
    "pyramid",
    "vase",
    "capsule",
    "star",
    "bowl",
    "bottle",
    "prism",
)
PATTERNS = ("plain", "striped", "checkered", "dotted", "zigzag")

# sRGB in [0, 1]. Bright enough to keep their name under warm and cold light.
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.80, 0.10, 0.10),
    "orange": (0.95, 0.48, 0.06),
    "yellow": (0.95, 0.84, 0.12),
    "green": (0.13, 0.58, 0.18),
    "cyan": (0.12, 0.76, 0.78),
    "blue": (0.12, 0.24, 0.78),
    "purple": (0.50, 0.16, 0.66),
    "pink": (0.96, 0.55, 0.72),
    "brown": (0.42, 0.25, 0.13),
    "white": (0.92, 0.92, 0.90),
    "black": (0.07, 0.07, 0.08),
}

# The second colour of a pattern. White and black avoid each other, else "white checkered" would equal "black
# checkered"; red has no light tone (it would be pink) and orange no dark one (it would be brown).
SECOND_TONES: dict[str, tuple[str, ...]] = {
    "red": ("white", "black", "dark"),
    "orange": ("white", "black", "light"),
    "yellow": ("white", "black", "dark"),
    "green": ("white", "black", "dark", "light"),
    "cyan": ("white", "black", "dark"),
    "blue": ("white", "black", "dark", "light"),
    "purple": ("white", "black", "light"),
    "pink": ("white", "black", "dark"),
    "brown": ("white", "black", "light"),
    "white": ("grey",),
    "black": ("grey",),
}

HELD_OUT_FRACTION = 0.25


@dataclass(frozen=True, order=True)
class Triple:
    """What an object is: one shape, one colour, one pattern."""

    shape: str
    colour: str
    pattern: str

    @property
    def name(self) -> str:
        """The class name, for example "red striped cone" or "plain red cone"."""
        if self.pattern == "plain":
            return f"plain {self.colour} {self.shape}"
        return f"{self.colour} {self.pattern} {self.shape}"


@dataclass(frozen=True)
class ClassInfo:
    """One line of classes.txt; `material` is set for surfaces, the other three for objects."""

    name: str
    kind: Literal["object", "surface"]
    shape: str = ""
    colour: str = ""
    pattern: str = ""
    material: str = ""


def all_triples() -> tuple[Triple, ...]:
    """Every triple of the world, in a fixed order."""
    return tuple(Triple(shape, colour, pattern) for shape in SHAPES for colour in COLOURS for pattern in PATTERNS)


def is_held_out(triple: Triple) -> bool:
    """Whether encoders must never see the triple in training; a fixed hash, the same on every machine."""
    digest = hashlib.sha256(f"ovs3d-held-out/{triple.name}".encode()).digest()
    return int.from_bytes(digest[:4], "big") < HELD_OUT_FRACTION * 2**32


def parse_triple(name: str) -> Triple:
    """The triple of a class name.

    Raises:
        ValueError: if the name is not one of an object of this world.
    """
    for triple in all_triples():
        if triple.name == name:
            return triple
    raise ValueError(f"no object of the generator is called {name!r}; names look like 'red striped cone'")
