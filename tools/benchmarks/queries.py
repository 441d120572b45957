"""Rows of questions in words: the first on a view, further ones on it, and a search over scales in LERF's way."""

from collections.abc import Iterator
from functools import partial
from itertools import count, islice
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ovs3d.evaluation.results import ResultRow
from ovs3d.relevancy import relevancy
from ovs3d.scene import Scene
from ovs3d.teachers.text import embed_prompts
from tools.benchmarks.rendering import WIDTH, small_scene
from tools.benchmarks.timing import median_row, repeat, take_turns

SCALES = 30
"""At so many LERF (arXiv 2303.09553, section 3.4) decodes every pixel for a word."""
FEW, MANY = 8, 512
"""Classes and words whose inference is compared."""


def queries(room: Path, repetitions: int) -> Iterator[ResultRow]:
    """Words on views of 256x192; the cost does not depend on what was learned."""
    scene, views = small_scene(room)
    turns = count()
    words = (f"thing {index}" for index in count())

    def ask(number: int, again: bool) -> Tensor:
        view = 0 if again else next(turns) % 2  # Another one than that asked last.
        return scene.relevancy(list(islice(words, number)), views[view : view + 1])

    def segment(classes: int) -> Tensor:
        scene.model.text = normalize(torch.randn(classes, scene.model.text.shape[1]), dim=-1)
        scene.model.colours = torch.rand(classes, 3)
        return scene.segment(views[0:1]).labels

    first = repeat(lambda: ask(1, again=False), repetitions)
    yield median_row("text query, first view of 256x192", first, 1.0, "s", higher_is_better=False)
    pairs = take_turns(lambda: ask(1, again=True), lambda: search(scene, next(words)), repetitions)
    further = tuple(1e3 * seconds for seconds in pairs.ours)
    yield median_row("text query, a further word on the same view", further, 20.0, "ms", higher_is_better=False)
    yield median_row(f"text query, against a search over {SCALES} scales", pairs.ratios, None, "x")
    for number in (100, 1000):
        grown = take_turns(lambda: ask(1, again=True), partial(ask, number, again=True), repetitions)
        yield median_row(f"text query, {number} words against one", grown.ratios, number, "x", higher_is_better=False)
    grown = take_turns(lambda: ask(FEW, again=False), lambda: ask(MANY, again=False), repetitions)
    name = f"text query on a new view, {MANY} words against {FEW}"
    yield median_row(name, grown.ratios, 2.0, "x", higher_is_better=False)
    grown = take_turns(lambda: segment(FEW), lambda: segment(MANY), repetitions)
    yield median_row(f"segmentation, {MANY} classes against {FEW}", grown.ratios, 2.0, "x", higher_is_better=False)


@torch.no_grad()
def search(scene: Scene, word: str) -> Tensor:
    """The best of all scales for every pixel of a view, from latents that are already composited."""
    field, text = scene.model.semantic, embed_prompts(scene.text_encoder, [(word,)])
    latents = torch.rand(WIDTH * WIDTH * 3 // 4, field.latent.dim)
    return torch.stack([relevancy(field.feature_head(latents), text) for _ in range(SCALES)]).amax(dim=0)
