"""Patch tokens of timm vision transformers against timm itself."""

import pytest
import timm
import torch
from timm.models.vision_transformer import VisionTransformer

from ovs3d.encoders.dino import IMAGENET_MEAN, IMAGENET_STD, VitPatchEncoder, load_dino, load_tiny_dino, patch_tokens
from ovs3d.errors import UserError

CPU = torch.device("cpu")


def small_vit(**options):
    torch.manual_seed(0)
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2, "num_classes": 0}
    return VisionTransformer(**sizes, **options).eval()


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"no_embed_class": True}, {"class_token": False, "global_pool": "avg"}])
def test_native_size_equals_timms_own_tokens(options):
    model = small_vit(**options)
    model.norm = torch.nn.LayerNorm(24)
    images = torch.randn(2, 3, 32, 32)
    expected = model.forward_features(images)[:, model.num_prefix_tokens :]
    assert torch.allclose(patch_tokens(model, images).flatten(2).transpose(1, 2), expected, atol=1e-5)


@torch.no_grad()
def test_encoder_normalises_as_imagenet_and_takes_any_grid():
    encoder = VitPatchEncoder(small_vit(), "toy", CPU, bf16=False)
    images = torch.rand(1, 3, 16, 40)
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (IMAGENET_MEAN, IMAGENET_STD))
    assert torch.allclose(encoder.encode_patches(images), patch_tokens(encoder.model, (images - mean) / std))
    assert encoder.encode_patches(images).shape == (1, 24, 2, 5)
    with pytest.raises(ValueError, match="multiples of 8"):
        encoder.encode_patches(torch.rand(1, 3, 17, 40))


def test_local_weights_load_under_both_spellings(tmp_path):
    torch.manual_seed(3)
    model = timm.create_model("vit_tiny_patch16_224", num_classes=0)
    path = tmp_path / "weights.pth"
    torch.save({**model.state_dict(), "head.weight": torch.zeros(1)}, path)
    encoder = load_dino(f"vit_tiny_patch16_224:{path}", CPU)
    assert torch.equal(encoder.model.pos_embed, model.pos_embed)
    assert (encoder.patch_stride, encoder.dim) == (16, 192)
    torch.save({"pos_embed": torch.zeros(1)}, path)
    with pytest.raises(UserError, match="does not fit"):
        load_dino(f"vit_tiny_patch16_224:{path}", CPU)


def test_a_model_that_is_no_vision_transformer_is_refused(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({}, path)
    with pytest.raises(UserError, match="not a plain vision transformer"):
        load_dino(f"resnet18:{path}", CPU)


def test_tiny_dino_gives_one_token_per_eight_pixels():
    encoder = load_tiny_dino(CPU)
    assert encoder.encode_patches(torch.rand(1, 3, 64, 96)).shape == (1, encoder.dim, 8, 12)
    assert encoder.space == "tiny-dino-v1"
