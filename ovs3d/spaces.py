"""Embedding spaces: what an encoder is, how one is had by name, and that two spaces are never mixed.

A space id (`open_clip/ViT-B-16/laion2b_s34b_b88k`, `tiny-clip-v2`, ...) names weights and text tower together. Local
files carry a digest in their id, so that different weights never share one.
"""

import difflib
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ovs3d.errors import UserError

UNREADABLE = (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error)
"""All that numpy, and looking into what it gives, raise on files that are no whole .npz archives."""


@runtime_checkable
class TextEncoder(Protocol):
    """Words to vectors."""

    space: str
    dim: int

    def encode_text(self, words: Sequence[str]) -> Float[Tensor, "classes dim"]:
        """Unit-length float32 embeddings on the CPU, one row per word."""
        ...


@runtime_checkable
class ImageTextEncoder(TextEncoder, Protocol):
    """Words and pictures to vectors of one space."""

    image_size: int
    """Side of the square, in pixels, to which crops are resized."""

    patch_stride: int | None
    """Pixels per cell of `encode_dense`; None where there is no dense path."""

    precision: torch.dtype
    """What the image tower computes in; numbers of half precisions differ from those of float32 by about 1e-2."""

    def encode_image(self, crops: Float[Tensor, "windows 3 h w"]) -> Float[Tensor, "windows dim"]:
        """One vector per RGB crop in [0, 1], of any size; not normalised."""
        ...

    def encode_dense(self, images: Float[Tensor, "views 3 h w"]) -> Float[Tensor, "views dim gh gw"]:
        """One vector per patch of RGB images in [0, 1], sides multiples of `patch_stride`; not normalised."""
        ...


@runtime_checkable
class PatchEncoder(Protocol):
    """Pictures to patch features that tell objects apart, without words (DINO)."""

    space: str
    dim: int
    patch_stride: int
    precision: torch.dtype
    """As of `ImageTextEncoder`."""

    def encode_patches(self, images: Float[Tensor, "views 3 h w"]) -> Float[Tensor, "views dim gh gw"]:
        """One vector per patch of RGB images in [0, 1], sides multiples of `patch_stride`; not normalised."""
        ...


class Vocabulary:
    """A text encoder that is a table: the words whose embeddings lie in a `vocabulary.npz`, and no other."""

    def __init__(self, path: Path) -> None:
        """Reads `words` [N], `embeddings` [N, dim] and `space` from the file.

        Raises:
            UserError: The file is missing, unreadable, or its arrays do not fit together.
        """
        self.path = path
        try:
            with np.load(path, allow_pickle=False) as arrays:
                words, table, space = (arrays[key] for key in ("words", "embeddings", "space"))
        except UNREADABLE as error:
            raise UserError(
                f"{path} is not a vocabulary ({error}): it must be an .npz file with the arrays words, embeddings and "
                "space."
            ) from error
        if words.ndim != 1 or words.dtype.kind != "U" or table.ndim != 2 or len(words) != len(table) or space.ndim:
            raise UserError(
                f"{path} must hold words [N] (strings), embeddings [N, dim] and one space, but they have the shapes "
                f"{words.shape}, {table.shape} and {space.shape}: write the file again."
            )
        lengths = np.linalg.norm(table.astype(np.float64), axis=1)
        if not np.all(np.isfinite(lengths) & (lengths > 0)):
            word = words[~(np.isfinite(lengths) & (lengths > 0))][0]
            raise UserError(f"{path} has no finite, non-zero embedding for {word}: remove the word or embed it again.")
        self.space = str(space)
        self.dim = int(table.shape[1])
        self.words = tuple(str(word) for word in words)
        self._table = F.normalize(torch.from_numpy(table.astype(np.float32)), dim=-1)
        self._rows = {_plain(word): row for row, word in enumerate(self.words)}

    def encode_text(self, words: Sequence[str]) -> Float[Tensor, "classes dim"]:
        """Unit-length embeddings of words of the table; upper and lower case are the same.

        Raises:
            UserError: A word is not in the table; the nearest spellings are listed.
        """
        for word in words:
            if _plain(word) not in self._rows:
                near = difflib.get_close_matches(_plain(word), self._rows, n=3, cutoff=0.5)
                listed = ", ".join(self.words[self._rows[key]] for key in near) or ", ".join(self.words[:5]) + ", ..."
                raise UserError(f'"{word}" is not a word of {self.path}: ask for one of its words, such as {listed}.')
        return self._table[torch.tensor([self._rows[_plain(word)] for word in words], dtype=torch.long)]


def load_encoder(name: str, device: str | torch.device = "cpu", templates: Sequence[str] = ()) -> ImageTextEncoder:
    """The image-text encoder of a name.

    `tiny-clip` is bundled; `MODEL:PRETRAINED`, `MODEL:/path/to/weights` and `hf-hub:ORG/NAME` are open_clip's.

    Args:
        name: of the encoder.
        device: where it runs.
        templates: sentences with {} that every word is put into (`ovs3d.teachers.text`); none embeds bare words.

    Raises:
        UserError: Unknown name, or weights that cannot be had.
    """
    from ovs3d.encoders import open_clip

    if name == open_clip.TINY_NAME:
        return open_clip.load_tiny_clip(torch.device(device), templates)
    return open_clip.load_open_clip(name, torch.device(device), templates)


def load_patch_encoder(name: str, device: str | torch.device = "cpu") -> PatchEncoder:
    """The patch encoder `tiny-dino` (bundled), a ViT of timm by name, or `NAME:/path/to/weights`.

    Raises:
        UserError: Unknown name, or weights that cannot be had.
    """
    from ovs3d.encoders import dino

    if name == dino.TINY_NAME:
        return dino.load_tiny_dino(torch.device(device))
    return dino.load_dino(name, torch.device(device))


def check_same_space(a: str, b: str) -> None:
    """Refuses to compare vectors of two embedding spaces.

    Raises:
        UserError: The ids differ; both are named.
    """
    if a != b:
        raise UserError(
            f"Vectors of the embedding space {a} cannot be compared with vectors of {b}: use one encoder for both."
        )


def _plain(word: str) -> str:
    return " ".join(word.split()).casefold()
