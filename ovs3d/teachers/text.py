"""Texts of the classes as unit vectors, from whatever knows the teacher's embedding space."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from ovs3d.errors import UserError
from ovs3d.relevancy import unit
from ovs3d.spaces import TextEncoder, check_same_space, load_encoder
from ovs3d.teachers.files import open_vocabulary


@runtime_checkable
class TextSettings(Protocol):
    """What decides where words come from; the data manager's configuration has it."""

    encoder: str
    teachers: tuple[str, ...]
    features: Path | None


def text_encoder(settings: TextSettings) -> TextEncoder:
    """The vocabulary of features from files where there is one, else the encoder."""
    if "files" in settings.teachers:
        if settings.features is None:
            raise UserError("The teacher 'files' needs --features FOLDER.")
        vocabulary = open_vocabulary(settings.features)
        if vocabulary is not None:
            return vocabulary
    return load_encoder(settings.encoder)


def embed_prompts(encoder: TextEncoder, prompts: Sequence[Sequence[str]]) -> Float[Tensor, "words dim"]:
    """Unit embeddings, each the mean over its prompts."""
    together = unit(encoder.encode_text([text for texts in prompts for text in texts]))
    return torch.stack([unit(each.mean(dim=0)) for each in together.split([len(texts) for texts in prompts])])


def embed_classes(
    settings: TextSettings, prompts: tuple[tuple[str, ...], ...], space: str
) -> Float[Tensor, "classes dim"]:
    """Unit embeddings of the classes.

    Raises:
        UserError: the words live in another embedding space than the features.
    """
    encoder = text_encoder(settings)
    check_same_space(encoder.space, space)
    return embed_prompts(encoder, prompts)
