"""Image-text encoders of open_clip, the bundled `tiny-clip` among them: one code path for both."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from huggingface_hub import constants
from jaxtyping import Float, Int
from open_clip.factory import HF_HUB_PREFIX
from torch import Tensor, nn

from ovs3d.encoders import weights
from ovs3d.encoders.dense import dense_embeddings, dense_stride
from ovs3d.encoders.familiarity import Familiarity
from ovs3d.encoders.sources import PACKAGES, find_source, tokenizer_repository
from ovs3d.encoders.weights import TINY_CLIP as TINY_NAME
from ovs3d.errors import UserError

ASSETS = Path(__file__).parent.parent / "assets"
TINY_SPACE = "tiny-clip-v2"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "config.json")
"""Files that a tokenizer of the hub is read from, where its repository has them."""
TEXT_BATCH = 256
"""Words that go through the text tower at a time."""


class OpenClipEncoder:
    """A frozen open_clip model as an image-text encoder (`ovs3d.spaces.ImageTextEncoder`).

    Models trained with a sigmoid (SigLIP) need nothing else: their probability sigmoid(scale * cosine + bias) has one
    scale and bias for all words, so that it orders words and places as the cosine does, and relevancy is compared only
    with relevancy. Their cosines are smaller than those of CLIP; normalised relevancy stretches them per word.
    """

    def __init__(
        self,
        model: nn.Module,
        model_name: str,
        space: str,
        device: torch.device,
        precision: torch.dtype,
        familiarity: Familiarity | None = None,
        templates: Sequence[str] = (),
    ) -> None:
        """Takes a built model.

        Args:
            model: open_clip model whose `visual.preprocess_cfg` tells mean and standard deviation.
            model_name: Name of its open_clip configuration, or `hf-hub:ORG/NAME`; chooses the tokenizer.
            space: Id of the embedding space.
            device: Where to run.
            precision: Of the image tower, under autocast (half precisions give embeddings equal to about 1e-2).
            familiarity: Watches the pictures of `encode_dense`, if given.
            templates: Sentences with {} for the word; without any, words are embedded as they stand.
        """
        self.space = space
        self.device = device
        self.precision = precision
        self.familiarity = familiarity
        self.templates = tuple(templates) or ("{}",)
        # nn.Module tells type checkers nothing about open_clip's attributes.
        self.model: Any = model.to(device).eval().requires_grad_(False)
        self.tower = self.model.visual
        size = self.tower.image_size
        self.image_size = int(size if isinstance(size, int) else size[0])
        self._tokenizer = load_tokenizer(model_name)
        # Not every tower tells its size: those of timm do not.
        self.dim = self.encode_text(("a word",)).shape[1]
        self.patch_stride = dense_stride(self.tower)
        config = self.tower.preprocess_cfg
        self._mean = torch.tensor(config["mean"], device=device).view(3, 1, 1)
        self._std = torch.tensor(config["std"], device=device).view(3, 1, 1)

    @torch.no_grad()
    def encode_text(self, words: Sequence[str]) -> Float[Tensor, "classes dim"]:
        """Unit-length embeddings of the words, each the mean over its unit-length templates; float32 on the CPU."""
        texts = [template.replace("{}", word) for word in words for template in self.templates]
        tokens = self._tokenizer(texts).to(self.device)
        parts = [self.model.encode_text(part).float() for part in tokens.split(TEXT_BATCH)]
        each = F.normalize(torch.cat(parts), dim=-1).unflatten(0, (-1, len(self.templates)))
        return F.normalize(each.mean(dim=1), dim=-1).cpu()

    @torch.no_grad()
    def encode_image(self, crops: Float[Tensor, "windows 3 h w"]) -> Float[Tensor, "windows dim"]:
        """Embeddings of RGB crops in [0, 1] of any size, not normalised; resized to `image_size` inside."""
        crops = crops.to(self.device)
        size = (self.image_size, self.image_size)
        if crops.shape[-2:] != size:
            crops = F.interpolate(crops, size=size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
        with weights.autocast(self.device, self.precision):
            return self.model.encode_image(self._normalise(crops)).float()

    @torch.no_grad()
    def encode_dense(self, images: Float[Tensor, "views 3 h w"]) -> Float[Tensor, "views dim gh gw"]:
        """Per-patch embeddings (`ovs3d.encoders.dense`) of RGB images in [0, 1], not normalised.

        Raises:
            ValueError: The image tower has no dense path (`patch_stride` is None).
        """
        if self.familiarity is not None:
            self.familiarity.observe(images)
        with weights.autocast(self.device, self.precision):
            return dense_embeddings(self.tower, self._normalise(images.to(self.device))).float()

    def _normalise(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        return (images - self._mean) / self._std


def load_tiny_clip(device: torch.device, templates: Sequence[str] = ()) -> OpenClipEncoder:
    """The bundled encoder `tiny-clip`: open_clip's own loader on a configuration and a file of this package."""
    open_clip.add_model_config(ASSETS / "tiny-clip.json")
    model = open_clip.create_model(TINY_NAME, pretrained=str(ASSETS / "tiny-clip.safetensors"))
    familiarity = Familiarity(TINY_NAME, ASSETS / "tiny-familiar.json", "tiles")
    precision = weights.fast_precision(device)
    return OpenClipEncoder(model, TINY_NAME, TINY_SPACE, device, precision, familiarity, templates)


def load_open_clip(name: str, device: torch.device, templates: Sequence[str] = ()) -> OpenClipEncoder:
    """An open_clip model by `MODEL:PRETRAINED` (a tag of open_clip), `MODEL:/path/to/weights` or `hf-hub:ORG/NAME`.

    Raises:
        UserError: Unknown model or tag, a package that it needs, or weights that cannot be had or read.
    """
    source = find_source(name)
    file = None if source.model.startswith(HF_HUB_PREFIX) else str(source.path)
    try:
        with weights.tensors_only():
            model = open_clip.create_model(source.model, pretrained=file, force_preprocess_cfg=source.colours)
    except Exception as error:  # open_clip, torch and safetensors each raise their own; the user's mend is the same.
        reason = weights.reason(error)
        raise UserError(
            f"{source.path} does not load as {source.model} ({reason}): pass a state dictionary of that model, as "
            ".safetensors or saved by torch.save."
        ) from error
    precision = weights.fast_precision(device)
    return OpenClipEncoder(model, source.model, source.space, device, precision, templates=templates)


def load_tokenizer(model_name: str) -> Callable[[list[str]], Int[Tensor, "words context"]]:
    """The tokenizer of an open_clip configuration, which pads to the model's context length.

    Raises:
        UserError: It lies on the hub and cannot be had, or the installed transformers is not one open_clip can use.
    """
    try:
        with weights.network_timeout():
            tokenizer = open_clip.get_tokenizer(model_name)
            tokenizer(["a word"])
    except AttributeError as error:
        raise UserError(f"open_clip cannot use the installed transformers ({error}): run {PACKAGES}.") from error
    except Exception as error:  # transformers and the hub have dozens of errors, none of them ours to mend.
        repository = tokenizer_repository(model_name)
        raise weights.MissingWeights(
            f"The tokenizer of {model_name} is not on this machine and could not be downloaded "
            f"({type(error).__name__}): on a connected machine run hf download {repository} {' '.join(TOKENIZER)}, and "
            f"copy the folder models--{repository.replace('/', '--')} from its cache to {constants.HF_HUB_CACHE}."
        ) from error
    return tokenizer
