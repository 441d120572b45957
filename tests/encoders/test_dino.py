"""Patch tokens of timm vision transformers against timm itself."""

import pytest
import timm
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer

from ovs3d.encoders.dino import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    VitPatchEncoder,
    fuse_attention,
    load_dino,
    load_tiny_dino,
    patch_tokens,
)
from ovs3d.errors import UserError
from tests.encoders.downloads import Exploit

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
def test_fused_attention_equals_timms_own():
    model = small_vit()
    images = torch.randn(2, 3, 24, 40)
    expected = patch_tokens(model, images)
    fuse_attention(model)
    torch.testing.assert_close(patch_tokens(model, images), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_encoder_normalises_as_imagenet_and_takes_any_grid():
    encoder = VitPatchEncoder(small_vit(), "toy", CPU, precision=torch.float32)
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


DINO = [
    ("vit_small_patch16_224_dino", 16, 384),
    pytest.param("vit_small_patch8_224_dino", 8, 384, marks=pytest.mark.slow),
    pytest.param("vit_base_patch16_224_dino", 16, 768, marks=pytest.mark.slow),
    pytest.param("vit_base_patch8_224_dino", 8, 768, marks=pytest.mark.slow),
]


@torch.no_grad()
@pytest.mark.parametrize(("name", "stride", "dim"), DINO)
def test_the_authors_models_equal_timms_own_tokens(name, stride, dim):
    torch.manual_seed(0)
    model = timm.create_model(name).eval()
    encoder = VitPatchEncoder(model, name, CPU, precision=torch.float32)
    assert (encoder.patch_stride, encoder.dim) == (stride, dim)
    images = torch.rand(1, 3, 224, 224)
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (IMAGENET_MEAN, IMAGENET_STD))
    tokens = encoder.encode_patches(images)
    assert tokens.shape == (1, dim, 224 // stride, 224 // stride)
    expected = model.forward_features((images - mean) / std)[:, 1:]
    torch.testing.assert_close(tokens.flatten(2).transpose(1, 2), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_half_precision_stays_within_a_hundredth(precision):
    encoder, images = VitPatchEncoder(small_vit(), "toy", CPU, torch.float32), torch.rand(1, 3, 32, 48)
    exact = F.normalize(encoder.encode_patches(images), dim=1)
    encoder.precision = precision
    assert 0.0 < (F.normalize(encoder.encode_patches(images), dim=1) - exact).abs().max() < 2e-2


def test_colours_come_from_the_model():
    model = small_vit()
    model.default_cfg = {"mean": (0.5,) * 3, "std": (0.5,) * 3}  # pyright: ignore[reportArgumentType]
    encoder = VitPatchEncoder(model, "toy", CPU, precision=torch.float32)
    images = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(encoder.encode_patches(images), patch_tokens(model, images * 2 - 1))


@pytest.fixture
def publish(monkeypatch):
    """Lets timm publish `vit_tiny_patch16_224` at an address, as timm 0.6.7 does with the weights of DINO."""
    create = timm.create_model

    def at(url: str) -> None:
        def published(name, pretrained=False):
            model = create(name)
            model.default_cfg = {**model.default_cfg, "url": url, "hf_hub_id": None}
            if pretrained:
                model.load_state_dict(torch.hub.load_state_dict_from_url(url))
            return model

        monkeypatch.setattr(timm, "create_model", published)

    return at


def test_downloaded_weights_are_read_without_executing_them(tmp_path, monkeypatch, publish):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model = timm.create_model("vit_tiny_patch16_224")
    path, trace = tmp_path / "hub" / "checkpoints" / "toy.pth", tmp_path / "trace"
    publish("https://example.org/toy.pth")
    with pytest.raises(
        UserError, match=r"https://example\.org/toy\.pth.*vit_tiny_patch16_224:/path/to/file.*tiny-dino"
    ):
        load_dino("vit_tiny_patch16_224", CPU)
    path.parent.mkdir(parents=True)
    torch.save(model.state_dict(), path)
    assert torch.equal(load_dino("vit_tiny_patch16_224", CPU).model.pos_embed, model.pos_embed)
    torch.save(Exploit(trace), path)
    with pytest.raises(UserError, match="UnpicklingError"):
        load_dino("vit_tiny_patch16_224", CPU)
    assert not trace.exists()


def test_a_model_without_published_weights_never_runs_on_random_ones(publish):
    publish("")
    with pytest.raises(UserError, match="no weights for vit_tiny_patch16_224: pass vit_tiny_patch16_224:/path"):
        load_dino("vit_tiny_patch16_224", CPU)


def test_an_unknown_name_lists_the_authors_models():
    with pytest.raises(UserError, match=r"dino_vitb8.*vit_small_patch8_224_dino.*vit_base_patch16_224_dino"):
        load_dino("dino_vitb8", CPU)


@pytest.mark.parametrize("name", ["resnet18", "deit_tiny_distilled_patch16_224", "vit_tiny_r_s16_p8_224"])
def test_a_model_that_is_no_plain_vision_transformer_is_refused(name, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({}, path)
    with pytest.raises(UserError, match="not a plain vision transformer"):
        load_dino(f"{name}:{path}", CPU)


def test_tiny_dino_gives_one_token_per_eight_pixels():
    encoder = load_tiny_dino(CPU)
    assert encoder.encode_patches(torch.rand(1, 3, 64, 96)).shape == (1, encoder.dim, 8, 12)
    assert encoder.space == "tiny-dino-v1"
