"""Questions in words about a generated room, and the classes that they are true of.

Words are those that tiny-clip was made for; which thing they are said of is drawn from a seed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Literal

import numpy as np
from numpy.random import Generator

from tools.encoders.captions import (
    COLOUR_WORDS,
    PATTERN_WORDS,
    SHAPE_WORDS,
    SURFACE_WORDS,
    THING_WORDS,
    Caption,
    attributes,
    truth,
)
from tools.scenes import ClassInfo, Triple
from tools.scenes.vocabulary import COLOURS, PATTERNS, SHAPES

Kind = Literal["name", "synonym", "attribute", "look-alike", "absent, two attributes shared", "absent"]
PRESENT: tuple[Kind, ...] = ("name", "synonym", "attribute", "look-alike")
ABSENT: tuple[Kind, ...] = ("absent, two attributes shared", "absent")
ABSENT_QUERIES = 12
"""Per scene and kind."""
VALUES: dict[str, tuple[str, ...]] = {"shape": SHAPES, "colour": tuple(COLOURS), "pattern": PATTERNS}
WORDS = {"shape": SHAPE_WORDS, "colour": COLOUR_WORDS, "pattern": PATTERN_WORDS}


@dataclass(frozen=True)
class WordQuery:
    """What is asked, and what it is true of."""

    kind: Kind
    text: str
    classes: tuple[str, ...]
    """Names of the scene's classes that are meant; none where nothing of the kind is there."""


def word_queries(classes: Sequence[ClassInfo], seed: int) -> list[WordQuery]:
    """All queries about a scene.

    Every class is asked by its name and by a synonym, every object by one of its attributes (shape, colour and pattern
    in turn), and every object that differs in one word from another one by its name again. What is not there is asked
    in two ways: one attribute of an object that is there is changed, or no object shares more than one with it.

    Args:
        classes: of the scene.
        seed: draws synonyms, and what is not there.
    """
    rng = np.random.default_rng([seed, 17])
    objects = [info for info in classes if info.kind == "object"]
    queries = [WordQuery("name", info.name, (info.name,)) for info in classes]
    queries += [_query("synonym", synonym(info, rng), classes) for info in classes]
    turns = zip(objects, cycle(VALUES), strict=False)
    queries += [_query("attribute", attribute_alone(info, name, rng), classes) for info, name in turns]
    queries += [
        WordQuery("look-alike", f"a {info.name}", (info.name,))
        for info in objects
        if any(shared(info, other) == 2 for other in objects)
    ]
    near = _distinct(_changed(objects, rng))
    far = _distinct(_unlike(objects, rng))
    queries += [WordQuery(ABSENT[0], triple.name, ()) for triple in near]
    queries += [WordQuery(ABSENT[1], triple.name, ()) for triple in far]
    return queries


def shared(a: ClassInfo | Triple, b: ClassInfo | Triple) -> int:
    """How many of shape, colour and pattern two objects share."""
    return sum(getattr(a, name) == getattr(b, name) for name in VALUES)


def synonym(info: ClassInfo, rng: Generator) -> Caption:
    """Other words for all that a class's name says; the same word where the language has no other."""
    if info.kind == "surface":
        return Caption(f"the {rng.choice(SURFACE_WORDS[info.material])}", (("material", info.material),))
    values = attributes(info)
    words = {name: _other_word(name, values[name], rng) for name in VALUES}
    return Caption("a {pattern} {colour} {shape}".format(**words), tuple(values.items()))


def attribute_alone(info: ClassInfo, name: str, rng: Generator) -> Caption:
    """What says one attribute of an object and nothing else."""
    value = attributes(info)[name]
    text = f"a {value}" if name == "shape" else f"a {value} {rng.choice(THING_WORDS)}"
    return Caption(text, ((name, value),))


def _query(kind: Kind, caption: Caption, classes: Sequence[ClassInfo]) -> WordQuery:
    meant = truth([caption], list(classes))[:, 0]
    return WordQuery(kind, caption.text, tuple(info.name for info, true in zip(classes, meant, strict=True) if true))


def _other_word(name: str, value: str, rng: Generator) -> str:
    others = [word for word in WORDS[name].get(value, ()) if word != value]
    return str(rng.choice(others)) if others else value


def _changed(objects: Sequence[ClassInfo], rng: Generator) -> Iterator[Triple]:
    """Objects with one attribute changed, such that no object of the scene is the result."""
    for name in cycle(VALUES):
        info = objects[rng.integers(len(objects))]
        values = {key: getattr(info, key) for key in VALUES} | {name: str(rng.choice(VALUES[name]))}
        triple = Triple(**values)
        if all(shared(triple, other) < 3 for other in objects):
            yield triple


def _unlike(objects: Sequence[ClassInfo], rng: Generator) -> Iterator[Triple]:
    """Objects that share at most one attribute with each of the scene's."""
    while True:
        triple = Triple(**{name: str(rng.choice(values)) for name, values in VALUES.items()})
        if all(shared(triple, other) < 2 for other in objects):
            yield triple


def _distinct(triples: Iterator[Triple]) -> list[Triple]:
    """The first `ABSENT_QUERIES` different ones."""
    found: dict[Triple, None] = {}
    for triple in triples:
        found.setdefault(triple)
        if len(found) == ABSENT_QUERIES:
            break
    return list(found)
