"""Image-text encoders of open_clip, the bundled `tiny-clip` among them: one code path for both."""

import contextlib
import difflib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from huggingface_hub import try_to_load_from_cache
from jaxtyping import Float
from open_clip.factory import get_model_config
from open_clip.pretrained import download_pretrained, get_pretrained_cfg
from torch import Tensor, nn

from ovs3d.encoders import weights
from ovs3d.encoders.dense import dense_embeddings, dense_stride
from ovs3d.encoders.familiarity import Familiarity
from ovs3d.errors import UserError

ASSETS = Path(__file__).parent.parent / "assets"
TINY_NAME = "tiny-clip"
TINY_SPACE = "tiny-clip-v2"
TEXT_BATCH = 256
"""Words that go through the text tower at a time."""


class OpenClipEncoder:
    """A frozen open_clip model as an image-text encoder (`ovs3d.spaces.ImageTextEncoder`)."""

    def __init__(
        self,
        model: nn.Module,
        model_name: str,
        space: str,
        device: torch.device,
        bf16: bool,
        familiarity: Familiarity | None = None,
    ) -> None:
        """Takes a built model.

        Args:
            model: open_clip model whose `visual.preprocess_cfg` tells mean and standard deviation.
            model_name: Name of its open_clip configuration; chooses the tokenizer.
            space: Id of the embedding space.
            device: Where to run.
            bf16: Run the image tower under bfloat16 autocast (embeddings equal to about 1e-2).
            familiarity: Watches the pictures of `encode_dense`, if given.
        """
        self.space = space
        self.device = device
        self.bf16 = bf16
        self.familiarity = familiarity
        # nn.Module tells type checkers nothing about open_clip's attributes.
        self.model: Any = model.to(device).eval().requires_grad_(False)
        self.tower = self.model.visual
        size = self.tower.image_size
        self.image_size = int(size if isinstance(size, int) else size[0])
        self.dim = int(self.tower.output_dim)
        self._tokenizer = open_clip.get_tokenizer(model_name)
        config = self.tower.preprocess_cfg
        self._mean = torch.tensor(config["mean"], device=device).view(3, 1, 1)
        self._std = torch.tensor(config["std"], device=device).view(3, 1, 1)

    @property
    def patch_stride(self) -> int:
        """Pixels per cell of `encode_dense`; raises UserError for a tower without a dense path."""
        return dense_stride(self.tower)

    @torch.no_grad()
    def encode_text(self, words: Sequence[str]) -> Float[Tensor, "classes dim"]:
        """Unit-length embeddings of the words as they stand, without a template; float32 on the CPU."""
        tokens = self._tokenizer(list(words)).to(self.device)
        parts = [self.model.encode_text(part).float() for part in tokens.split(TEXT_BATCH)]
        return F.normalize(torch.cat(parts), dim=-1).cpu()

    @torch.no_grad()
    def encode_image(self, crops: Float[Tensor, "windows 3 h w"]) -> Float[Tensor, "windows dim"]:
        """Embeddings of RGB crops in [0, 1] of any size, not normalised; resized to `image_size` inside."""
        crops = crops.to(self.device)
        size = (self.image_size, self.image_size)
        if crops.shape[-2:] != size:
            crops = F.interpolate(crops, size=size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
        with self._autocast():
            return self.model.encode_image(self._normalise(crops)).float()

    @torch.no_grad()
    def encode_dense(self, images: Float[Tensor, "views 3 h w"]) -> Float[Tensor, "views dim gh gw"]:
        """Per-patch embeddings (`ovs3d.encoders.dense`) of RGB images in [0, 1], not normalised.

        Raises:
            UserError: The image tower has no dense path.
        """
        if self.familiarity is not None:
            self.familiarity.observe(images)
        with self._autocast():
            return dense_embeddings(self.tower, self._normalise(images.to(self.device))).float()

    def _normalise(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        return (images - self._mean) / self._std

    def _autocast(self) -> torch.autocast | contextlib.nullcontext:
        return torch.autocast(self.device.type, dtype=torch.bfloat16) if self.bf16 else contextlib.nullcontext()


def load_tiny_clip(device: torch.device) -> OpenClipEncoder:
    """The bundled encoder `tiny-clip`: open_clip's own loader on a configuration and a file of this package."""
    open_clip.add_model_config(ASSETS / "tiny-clip.json")
    model = open_clip.create_model(TINY_NAME, pretrained=str(ASSETS / "tiny-clip.safetensors"))
    familiarity = Familiarity(TINY_NAME, ASSETS / "tiny-familiar.json", "tiles")
    return OpenClipEncoder(model, TINY_NAME, TINY_SPACE, device, weights.bf16_is_faster(device), familiarity)


def load_open_clip(name: str, device: torch.device) -> OpenClipEncoder:
    """An open_clip model by `MODEL:PRETRAINED` (a tag of open_clip) or `MODEL:/path/to/weights`.

    Raises:
        UserError: Unknown model or tag, or weights that cannot be had or read.
    """
    model_name, _, pretrained = name.partition(":")
    config = get_model_config(model_name)
    if config is None or not pretrained:
        near = difflib.get_close_matches(model_name, open_clip.list_models(), n=3, cutoff=0.4)
        raise UserError(
            f"{name} is not an encoder: write {TINY_NAME}, MODEL:PRETRAINED as in ViT-B-16:laion2b_s34b_b88k, or "
            f"MODEL:/path/to/weights, with MODEL as open_clip spells it ({', '.join(near) or 'see its documentation'})."
        )
    published = get_pretrained_cfg(model_name, pretrained)
    if published:
        path, space = _published_weights(model_name, pretrained, published), f"open_clip/{model_name}/{pretrained}"
    elif "/" in pretrained or Path(pretrained).suffix:
        path = weights.existing_file(name, Path(pretrained).expanduser())
        space = f"open_clip/{model_name}/{path.stem}-{weights.file_digest(path)}"
    else:
        tags = open_clip.list_pretrained_tags_by_model(model_name)
        raise UserError(f"open_clip has no weights {pretrained} for {model_name}: use one of {', '.join(tags)}.")
    colours = {key: published[key] for key in ("mean", "std") if key in published}
    try:
        model = open_clip.create_model(model_name, pretrained=str(path), force_preprocess_cfg=colours)
    except Exception as error:  # open_clip, torch and safetensors each raise their own; the user's mend is the same.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} does not load as {model_name} ({reason}): pass weights of that model.") from error
    return OpenClipEncoder(model, model_name, space, device, weights.bf16_is_faster(device))


def _published_weights(model_name: str, tag: str, published: dict) -> Path:
    """Path of the weights open_clip publishes under a tag: from the hub's cache, else downloaded."""
    cached = _cached(published)
    if cached is not None:
        return cached
    if weights.hub_is_offline():
        cause = "HF_HUB_OFFLINE is set"
    else:
        logging.getLogger(__name__).info("Downloading the weights %s of %s.", tag, model_name)
        try:
            with weights.network_timeout():
                return Path(download_pretrained(published))
        except Exception as error:  # The hub and urllib have dozens of network errors, none of them ours to mend.
            cause = type(error).__name__
    raise weights.missing_weights(f"{model_name}:{tag}", model_name, "--encoder", TINY_NAME, cause)


def _cached(published: dict) -> Path | None:
    repository, _, filename = published.get("hf_hub", "").rpartition("/")
    names = [filename] if filename else ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"]
    names += [str(Path(name).with_suffix(".safetensors")) for name in names]
    for name in names if repository else ():
        path = try_to_load_from_cache(repository, name)
        if isinstance(path, str):
            return Path(path)
    return None
