"""What is asked, as a vector and the vectors that it is not."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ovs3d.data.images import read_rgb
from ovs3d.errors import UserError
from ovs3d.query.calibration import Calibration
from ovs3d.query.score import Question, rivals
from ovs3d.relevancy import relevancy, unit
from ovs3d.spaces import ImageTextEncoder, TextEncoder
from ovs3d.teachers.text import embed_prompts

PICTURE_PARTS = (1, 2, 3)
"""Sides of the windows that a picture is seen through, as parts of its shorter side."""


@dataclass(frozen=True)
class Prototypes:
    """Mean unit feature of every class, as the scene shows it; zero where the class was not seen."""

    vectors: Float[Tensor, "classes dim"]
    seen: Bool[Tensor, " classes"]

    def nearest(self, vector: Float[Tensor, " dim"]) -> Float[Tensor, " dim"]:
        """The prototype that a vector of another picture is most like.

        The embedding of a whole picture lies aside of those of its parts, nearer to the right class than to others but
        often not nearer to the right pixels than their own class is.
        """
        similarity = relevancy(self.vectors, vector[None])[:, 0].masked_fill(~self.seen, -torch.inf)
        return self.vectors[similarity.argmax()]


def ask_words(
    text: str,
    encoder: TextEncoder,
    classes: Float[Tensor, "classes dim"],
    negatives: Sequence[str] | None,
    calibration: Calibration | None = None,
) -> Question:
    """A question in words.

    Args:
        text: what is asked.
        encoder: of the scene.
        classes: vectors of the scene's classes; their `rivals` are the negatives where none are named.
        negatives: words that it is not. The classes stay among the others: a calibration knows words among many.
        calibration: of the scene's words, where there is one.

    Raises:
        UserError: no negative is left.
    """
    vector = embed_prompts(encoder, [(text,)])[0]
    if negatives is None:
        others, stands = classes, rivals(vector, classes)
    else:
        named = embed_prompts(encoder, [(word,) for word in negatives]) if len(negatives) > 0 else classes[:0]
        others, stands = torch.cat([classes, named]), torch.arange(len(classes) + len(named)) >= len(classes)
    if not stands.any():
        raise UserError(f"Nothing is left to tell '{text}' from: name negatives, such as --negatives wall floor.")
    return Question(text, vector, others, stands, calibration, negatives is not None)


def ask_vector(name: str, vector: Float[Tensor, " dim"], prototypes: Prototypes) -> Question:
    """A question by a feature of a picture, against the scene's own classes but the one that it is most like.

    Words are no negatives here: pictures are nearer to one another than to any word (the gap between CLIP's towers).

    Raises:
        UserError: the vector has another size than the scene's, or the scene shows a single class.
    """
    vector, seen = unit(torch.as_tensor(vector).float().cpu()), prototypes.vectors[prototypes.seen]
    if len(vector) != seen.shape[1]:
        raise UserError(f"The vector has {len(vector)} numbers, the scene's features have {seen.shape[1]}.")
    if len(seen) < 2:
        raise UserError("A query by example needs a run of at least two classes that its views show; train with more.")
    others = torch.ones(len(seen), dtype=torch.bool)
    others[relevancy(seen, vector[None])[:, 0].argmax()] = False
    return Question(name, vector, seen, others)


def embed_picture(encoder: TextEncoder, picture: Path) -> Float[Tensor, " dim"]:
    """The vector of a photograph of what is asked: the mean over its middle square and windows about its middle.

    A scene's features come from windows that are often smaller than a thing; the whole picture alone is unlike them.

    Raises:
        UserError: it cannot be read, or the scene's space has no image encoder.
    """
    if not isinstance(encoder, ImageTextEncoder):
        raise UserError(f"The space {encoder.space} has no image encoder at hand, so that {picture} cannot be asked.")
    pixels = torch.from_numpy(read_rgb(picture, upright=True)).permute(2, 0, 1).float() / 255.0
    means = [unit(encoder.encode_image(windows_about_middle(pixels, parts))).mean(dim=0) for parts in PICTURE_PARTS]
    return unit(torch.stack(means).mean(dim=0)).cpu()


def windows_about_middle(image: Float[Tensor, "3 h w"], parts: int) -> Float[Tensor, "windows 3 side side"]:
    """Squares whose side is the picture's shorter one divided by `parts`: the middle one, and eight about it."""
    height, width = image.shape[1:]
    side = max(1, min(height, width) // parts)
    shifts = (0,) if parts == 1 else (-(side // 3), 0, side // 3)
    top, left = (height - side) // 2, (width - side) // 2
    corners = product((top + shift for shift in shifts), [left + shift for shift in shifts])
    return torch.stack([image[:, y : y + side, x : x + side] for y, x in corners])
