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

PHOTO = "photo"
PHOTO_TEMPLATES = (
    "{}",
    "a photo of {}.",
    "a close-up photo of {}.",
    "a cropped photo of {}.",
    "a bright photo of {}.",
    "a dark photo of {}.",
    "a blurry photo of {}.",
    "there is {} in the scene.",
)
"""What `photo` stands for: some of the sentences that CLIP's authors average for ImageNet (openai/CLIP,
`Prompt_Engineering_for_ImageNet.ipynb`) and one of ViLD's, without their article, which words bring themselves."""


@runtime_checkable
class TextSettings(Protocol):
    """What decides where words come from; the data manager's configuration has it."""

    encoder: str
    teachers: tuple[str, ...]
    features: Path | None
    templates: tuple[str, ...]


def resolve_templates(asked: Sequence[str]) -> tuple[str, ...]:
    """The sentences that `--templates` means: those given, and for `photo` those of `PHOTO_TEMPLATES`.

    Raises:
        UserError: a sentence has no place for the word.
    """
    for template in asked:
        if template != PHOTO and "{}" not in template:
            raise UserError(
                f'The template "{template}" has no {{}} where the word goes; write it as "a photo of {{}}."'
            )
    return tuple(each for template in asked for each in (PHOTO_TEMPLATES if template == PHOTO else (template,)))


def text_encoder(settings: TextSettings) -> TextEncoder:
    """The vocabulary of features from files where there is one, else the encoder with the run's templates.

    Raises:
        UserError: neither can be had, or there are templates for a vocabulary, which knows no sentence.
    """
    if "files" in settings.teachers:
        if settings.features is None:
            raise UserError("The teacher 'files' needs --features FOLDER.")
        vocabulary = open_vocabulary(settings.features)
        if vocabulary is not None and settings.templates:
            raise UserError(f"{vocabulary.path} holds words and no sentences; train without --templates.")
        if vocabulary is not None:
            return vocabulary
    return load_encoder(settings.encoder, templates=settings.templates)


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
