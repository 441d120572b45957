"""Patch encoders: DINO vision transformers of timm, the bundled `tiny-dino` among them."""

import difflib
import functools
import os
from pathlib import Path
from typing import Any, TypeGuard

import timm
import torch
import torch.nn.functional as F
from jaxtyping import Float
from timm.models.vision_transformer import PatchEmbed, VisionTransformer
from torch import Tensor, nn

from ovs3d.encoders import weights
from ovs3d.encoders.dense import resample_positions
from ovs3d.encoders.familiarity import Familiarity
from ovs3d.errors import UserError

ASSETS = Path(__file__).parent.parent / "assets"
TINY_NAME = "tiny-dino"
TINY_SPACE = "tiny-dino-v1"
DINO_NAMES = tuple(f"vit_{size}_patch{side}_224_dino" for size in ("small", "base") for side in (8, 16))
"""The models of DINO's authors (arXiv 2104.14294)."""
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class VitPatchEncoder:
    """A frozen timm VisionTransformer as a patch encoder (`ovs3d.spaces.PatchEncoder`)."""

    def __init__(
        self,
        model: VisionTransformer,
        space: str,
        device: torch.device,
        precision: torch.dtype,
        familiarity: Familiarity | None = None,
    ) -> None:
        """Takes a built model, whose `default_cfg` tells mean and standard deviation.

        `precision` is what it runs in, under autocast (half precisions give tokens equal to about 1e-2).
        """
        self.familiarity = familiarity
        self.space = space
        self.device = device
        self.precision = precision
        self.model = model.to(device).eval().requires_grad_(False)
        fuse_attention(model)
        self.dim = int(model.embed_dim)
        self.patch_stride = int(model.patch_embed.proj.stride[0])
        colours = getattr(model, "default_cfg", {})  # A model that timm did not create by name has none.
        self._mean = torch.tensor(colours.get("mean", IMAGENET_MEAN), device=device).view(3, 1, 1)
        self._std = torch.tensor(colours.get("std", IMAGENET_STD), device=device).view(3, 1, 1)

    @torch.no_grad()
    def encode_patches(self, images: Float[Tensor, "views 3 h w"]) -> Float[Tensor, "views dim gh gw"]:
        """Patch tokens of the last block after the final norm, for RGB images in [0, 1].

        The sides must be multiples of `patch_stride`; positional embeddings are resampled to any grid, as DINO does.
        """
        height, width = images.shape[-2:]
        if height % self.patch_stride or width % self.patch_stride:
            raise ValueError(f"The image sides must be multiples of {self.patch_stride}. Got: {height} x {width}.")
        if self.familiarity is not None:
            self.familiarity.observe(images)
        with weights.autocast(self.device, self.precision):
            return patch_tokens(self.model, (images.to(self.device) - self._mean) / self._std).float()


def fuse_attention(model: VisionTransformer) -> None:
    """Lets the attention of timm 0.6, which writes down every pair of tokens, run in PyTorch's fused kernel."""
    for block in model.blocks:
        attention: Any = block.attn
        if not hasattr(attention, "fused_attn"):  # timm 1 does it itself.
            attention.forward = functools.partial(fused_attention, attention)


def fused_attention(attention: Any, tokens: Float[Tensor, "views tokens dim"]) -> Float[Tensor, "views tokens dim"]:
    """Self-attention with the weights of timm's module; of its dropout there is none in evaluation."""
    qkv = attention.qkv(tokens).unflatten(-1, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)
    mixed = F.scaled_dot_product_attention(*qkv.unbind(0))
    return attention.proj(mixed.transpose(1, 2).flatten(2))


def patch_tokens(model: VisionTransformer, images: Float[Tensor, "views 3 h w"]) -> Float[Tensor, "views dim gh gw"]:
    """Normalised patch tokens of a timm ViT at any grid (timm 0.6 and 1.x); images already mean/std normalised."""
    tokens, grid = all_tokens(model, images)
    return tokens[:, model.num_prefix_tokens :].transpose(1, 2).unflatten(2, grid)


def all_tokens(
    model: VisionTransformer, images: Float[Tensor, "views 3 h w"]
) -> tuple[Float[Tensor, "views tokens dim"], tuple[int, int]]:
    """Prefix and patch tokens after the final norm, with the patch grid (gh, gw)."""
    cells = model.patch_embed.proj(images)
    grid = (cells.shape[2], cells.shape[3])
    native = model.patch_embed.grid_size
    prefix = [getattr(model, name, None) for name in ("cls_token", "reg_token")]
    prefix = [token[0] for token in prefix if token is not None]
    positions = model.pos_embed[0]
    if model.no_embed_class:
        # Positions cover the patches alone.
        front = prefix
    else:
        count = model.num_prefix_tokens
        front, positions = [torch.cat(prefix) + positions[:count]] if prefix else [], positions[count:]
    tokens = cells.flatten(2).transpose(1, 2) + resample_positions(positions, (native[0], native[1]), grid)
    front = [token.to(tokens.dtype).expand(len(images), -1, -1) for token in front]
    tokens = torch.cat([*front, tokens], dim=1)
    norm_pre = getattr(model, "norm_pre", None)  # timm 0.6 has none.
    tokens = tokens if norm_pre is None else norm_pre(tokens)
    return model.norm(model.blocks(tokens)), grid


def tiny_vit() -> VisionTransformer:
    """The architecture of tiny-dino, with random weights."""
    return VisionTransformer(img_size=64, patch_size=8, embed_dim=128, depth=5, num_heads=4, num_classes=0)


def load_tiny_dino(device: torch.device) -> VitPatchEncoder:
    """The bundled encoder `tiny-dino`."""
    model = tiny_vit()
    model.load_state_dict(weights.load_weights(ASSETS / "tiny-dino.safetensors"))
    familiarity = Familiarity(TINY_NAME, ASSETS / "tiny-familiar.json", "pictures")
    return VitPatchEncoder(model, TINY_SPACE, device, weights.fast_precision(device), familiarity)


def load_dino(name: str, device: torch.device) -> VitPatchEncoder:
    """A timm vision transformer by name, with timm's weights or those of `NAME:/path/to/weights`.

    The tag may be joined either way (`vit_small_patch8_224_dino`, `vit_small_patch8_224.dino`).

    Raises:
        UserError: Not a ViT of the installed timm, or weights that cannot be had or read.
    """
    asked, _, local = name.partition(":")
    known = [spelling for spelling in _spellings(asked) if timm.is_model(spelling)]
    if not known:
        near = difflib.get_close_matches(asked, timm.list_models("vit_*"), n=3, cutoff=0.6) or DINO_NAMES
        raise UserError(f"timm {timm.__version__} has no model {asked}: use {TINY_NAME} or one like {', '.join(near)}.")
    model_name = known[0]
    path = weights.existing_file(name, Path(local).expanduser()) if local else None
    if path is None:
        model, space = _download(asked, model_name), f"timm/{_spellings(asked)[-1]}"
    else:
        model, space = timm.create_model(model_name), f"timm/{asked}/{path.stem}-{weights.file_digest(path)}"
    if not _is_plain(model):
        raise UserError(
            f"{asked} ({type(model).__name__}) is not a plain vision transformer: use one of DINO, such as "
            f"vit_small_patch8_224_dino, or {TINY_NAME}."
        )
    model.reset_classifier(0)
    if path is not None:
        state = {key: value for key, value in weights.load_weights(path).items() if not key.startswith("head.")}
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            raise UserError(f"{path} does not fit {model_name}: pass weights of that model.") from error
    return VitPatchEncoder(model, space, device, weights.fast_precision(device))


def _is_plain(model: nn.Module) -> TypeGuard[VisionTransformer]:
    """Subclasses have further tokens, hybrids a convolutional network in front, and some no table of positions."""
    return type(model) is VisionTransformer and type(model.patch_embed) is PatchEmbed and model.pos_embed is not None


def _spellings(name: str) -> list[str]:
    """The name as given, with timm 0.6's joint and, last, with timm 1.x's (`.` before the tag)."""
    joined = name.replace(".", "_")
    return [name, joined, joined.removesuffix("_dino") + ".dino" if joined.endswith("_dino") else name]


def _download(name: str, model_name: str) -> VisionTransformer:
    """A timm model with its published weights: from a cache, else downloaded."""
    published = timm.create_model(model_name).default_cfg
    url, on_hub, local = published.get("url") or "", published.get("hf_hub_id"), f"{name}:/path/to/file"
    if not url and not on_hub:
        raise UserError(f"timm {timm.__version__} has no weights for {model_name}: pass {local}.")
    cached = Path(torch.hub.get_dir()) / "checkpoints" / os.path.basename(url)
    missing = functools.partial(
        weights.missing_weights, model_name, f"huggingface.co/{on_hub}" if on_hub else url, local, "--dino", TINY_NAME
    )
    # timm reads the hub's variable only for weights that lie on the hub.
    if not on_hub and weights.hub_is_offline() and not cached.is_file():
        raise missing("HF_HUB_OFFLINE is set")
    try:
        with weights.network_timeout(), weights.tensors_only():
            return timm.create_model(model_name, pretrained=True)
    except Exception as error:  # timm, the hub and urllib have dozens of network errors, none of them ours to mend.
        raise missing(type(error).__name__) from error
