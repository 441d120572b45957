"""Words for the classes of the generated rooms, and which caption is true of which class.

A caption states some attributes and is true of every class that has them all: "a striped thing" of the red striped
cone and of the blue striped ball alike.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from numpy import ndarray
from numpy.random import Generator

from tools.scenes import ClassInfo, Triple, is_held_out
from tools.scenes.vocabulary import COLOURS, PATTERNS, SHAPES

ATTRIBUTES = ("shape", "colour", "pattern", "material", "noun", "stuff")

SHAPE_WORDS = {
    "ball": ("ball", "sphere", "orb"),
    "box": ("box", "block"),
    "cylinder": ("cylinder", "tube"),
    "ring": ("ring", "torus", "hoop"),
    "capsule": ("capsule", "pill"),
    "bowl": ("bowl", "dish"),
    "bottle": ("bottle", "flask"),
    "vase": ("vase", "urn"),
    "prism": ("prism", "wedge"),
}
COLOUR_WORDS = {
    "red": ("red", "crimson", "scarlet"),
    "orange": ("orange", "tangerine"),
    "yellow": ("yellow", "lemon"),
    "green": ("green", "emerald"),
    "cyan": ("cyan", "turquoise", "aqua"),
    "blue": ("blue", "cobalt"),
    "purple": ("purple", "violet"),
    "pink": ("pink", "rose"),
    "brown": ("brown", "chocolate"),
    "black": ("black", "jet black"),
}
PATTERN_WORDS = {
    "plain": ("plain", "solid", "uniform"),
    "striped": ("striped", "stripy"),
    "checkered": ("checkered", "chequered", "checked"),
    "dotted": ("dotted", "spotted", "polka dot"),
    "zigzag": ("zigzag", "zig-zag", "chevron"),
}
PATTERN_NOUNS = {
    "striped": ("stripes",),
    "checkered": ("checks", "squares"),
    "dotted": ("dots", "spots", "polka dots"),
    "zigzag": ("zigzags", "chevrons"),
}
THING_WORDS = ("thing", "object", "solid", "toy")
SURFACE_WORDS = {
    "brick wall": ("bricks", "wall of bricks", "wall made of bricks"),
    "plaster wall": ("plastered wall", "plaster"),
    "wallpaper": ("papered wall", "wall with wallpaper"),
    "stone wall": ("wall of stones", "stones", "stonework"),
    "wooden panel wall": ("panelled wall", "wall of wooden panels", "wood panelling"),
    "wooden floor": ("wood floor", "floor boards", "parquet"),
    "tiled floor": ("tiles", "floor tiles", "tile floor"),
    "carpet": ("carpeted floor", "carpet floor"),
    "concrete floor": ("concrete", "cement floor"),
    "white ceiling": ("ceiling",),
    "round rug": ("rug", "circular rug", "round mat"),
    "wooden table": ("table", "table made of wood"),
    "wooden crate": ("crate", "wood crate", "wooden box crate"),
    "window": ("bright window", "window pane"),
    "ceiling lamp": ("lamp", "light", "ceiling light"),
}
SURFACE_NOUNS = {"wallpaper": "wall", "carpet": "floor"}
NAME_SHARE = 0.5
"""Share of captions that are the class name as it stands in classes.txt: at inference names come without a template."""


@dataclass(frozen=True)
class Caption:
    """A text and the attributes it states, as (attribute, value) pairs."""

    text: str
    stated: tuple[tuple[str, str], ...]


def attributes(info: ClassInfo) -> dict[str, str]:
    """Every attribute of a class that a caption may state."""
    if info.kind == "object":
        return {"shape": info.shape, "colour": info.colour, "pattern": info.pattern}
    result = {"material": info.material, "noun": SURFACE_NOUNS.get(info.material, info.material.split()[-1])}
    if info.material.startswith("wooden"):
        result["stuff"] = "wood"
    if info.material == "white ceiling":
        result["colour"] = "white"
    return result


def draw_caption(info: ClassInfo, rng: Generator) -> Caption:
    """A caption that is true of the class: its name, a paraphrase, or fewer words than its name."""
    if rng.random() < NAME_SHARE:
        stated = ("shape", "colour", "pattern") if info.kind == "object" else ("material",)
        return _caption(info, info.name, stated)
    caption = _object_caption(info, rng) if info.kind == "object" else _surface_caption(info, rng)
    article = ("", "a ", "the ")[rng.integers(3)]
    return Caption(article + caption.text, caption.stated)


def wrong_caption(info: ClassInfo, rng: Generator) -> Caption:
    """Name of another object that shares two attributes of three with this one, and is no held-out triple."""
    tables = {"colour": tuple(COLOURS), "pattern": PATTERNS, "shape": SHAPES}
    while True:
        name = ("colour", "pattern", "pattern", "shape")[rng.integers(4)]
        values = attributes(info) | {name: str(rng.choice(tables[name]))}
        triple = Triple(values["shape"], values["colour"], values["pattern"])
        if values != attributes(info) and not is_held_out(triple):
            return Caption(triple.name, tuple(values.items()))


def attribute_captions(rng: Generator) -> dict[str, list[Caption]]:
    """For each attribute of objects one caption per value that states it alone: the answers of a closed question."""
    things = {
        "colour": [(value, f"{_word(COLOUR_WORDS, value, rng)} {rng.choice(THING_WORDS)}") for value in COLOURS],
        "pattern": [(value, f"{_word(PATTERN_WORDS, value, rng)} {rng.choice(THING_WORDS)}") for value in PATTERNS],
        "shape": [(value, _word(SHAPE_WORDS, value, rng)) for value in SHAPES],
    }
    return {name: [Caption(text, ((name, value),)) for value, text in pairs] for name, pairs in things.items()}


def _caption(info: ClassInfo, text: str, stated: tuple[str, ...]) -> Caption:
    values = attributes(info)
    return Caption(text, tuple((name, values[name]) for name in stated))


def _word(table: dict[str, tuple[str, ...]], value: str, rng: Generator) -> str:
    """The value itself as often as all its synonyms together."""
    words = table.get(value, (value,))
    return value if rng.random() < 0.5 else str(rng.choice(words))


def _object_caption(info: ClassInfo, rng: Generator) -> Caption:
    shape, colour = _word(SHAPE_WORDS, info.shape, rng), _word(COLOUR_WORDS, info.colour, rng)
    pattern, thing = _word(PATTERN_WORDS, info.pattern, rng), str(rng.choice(THING_WORDS))
    marks = str(rng.choice(PATTERN_NOUNS.get(info.pattern, ("one colour",))))
    everything = ("shape", "colour", "pattern")
    options = [
        (f"{colour} {pattern} {shape}", everything),
        (f"{pattern} {colour} {shape}", everything),
        (f"{colour} {shape} with {marks}", everything),
        (f"{shape} with {marks} in {colour}", everything),
        (f"{colour} {shape}", ("shape", "colour")),
        (f"{colour} {shape}", ("shape", "colour")),
        (f"{pattern} {shape}", ("shape", "pattern")),
        (f"{colour} {pattern} {thing}", ("colour", "pattern")),
        (f"{colour} {thing}", ("colour",)),
        (f"{pattern} {thing}", ("pattern",)),
        (f"{shape}", ("shape",)),
    ]
    if info.pattern != "plain":
        options.append((f"{shape} with {colour} {marks}", everything))
    text, stated = options[rng.integers(len(options))]
    return _caption(info, text, stated)


def _surface_caption(info: ClassInfo, rng: Generator) -> Caption:
    options = [(info.name, ("material",))] + [(text, ("material",)) for text in SURFACE_WORDS[info.material]]
    options.append((attributes(info)["noun"], ("noun",)))
    if "stuff" in attributes(info):
        options += [("something wooden", ("stuff",)), ("wood", ("stuff",))]
    text, stated = options[rng.integers(len(options))]
    return _caption(info, text, stated)


def truth(captions: list[Caption], classes: list[ClassInfo]) -> Bool[ndarray, "classes captions"]:
    """Which caption is true of which class."""
    table = np.ones((len(classes), len(captions)), dtype=bool)
    values = [attributes(info) for info in classes]
    for name in ATTRIBUTES:
        stated = np.array([dict(caption.stated).get(name, "") for caption in captions])
        owned = np.array([value.get(name, "-") for value in values])
        table &= (stated[None, :] == "") | (stated[None, :] == owned[:, None])
    return table
