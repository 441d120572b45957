"""The open_clip encoder against open_clip itself, on randomly initialised towers."""

import json
from typing import Any

import huggingface_hub
import open_clip
import pytest
import torch
import torch.nn.functional as F
from open_clip.transform import PreprocessCfg, image_transform_v2
from torch import nn
from torchvision.transforms.functional import to_pil_image, to_tensor

from ovs3d.encoders.open_clip import OpenClipEncoder, load_open_clip, load_tiny_clip, load_tokenizer
from ovs3d.encoders.weights import MissingWeights, fast_precision
from ovs3d.errors import UserError
from ovs3d.teachers.clip_crops import ClipCrops
from ovs3d.teachers.clip_dense import ClipDense
from tests.teachers.fakes import picture

CPU = torch.device("cpu")
TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
VIT = {"image_size": 48, "layers": 3, "width": 64, "head_width": 32, "patch_size": 16}
RESNET = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 32, "patch_size": None}


@pytest.fixture(params=[VIT, RESNET], ids=["vit", "resnet"])
def model_name(request, tmp_path):
    name = f"toy-{request.node.callspec.id}"
    config = {"embed_dim": 24, "vision_cfg": request.param, "text_cfg": TEXT}
    (tmp_path / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / f"{name}.json")
    return name


@pytest.fixture
def encoder(model_name):
    torch.manual_seed(0)
    return OpenClipEncoder(open_clip.create_model(model_name), model_name, "toy", CPU, precision=torch.float32)


def test_crops_of_the_right_size_equal_open_clips_own(encoder):
    crops = torch.rand(3, 3, encoder.image_size, encoder.image_size)
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD))
    expected = encoder.model.encode_image((crops - mean) / std)
    assert torch.allclose(encoder.encode_image(crops), expected, atol=1e-5)
    assert encoder.encode_image(crops).shape == (3, encoder.dim)


def test_larger_crops_are_resized_with_antialias(encoder):
    # A pixel chequerboard is grey to every resize that removes what the small size cannot show.
    side = encoder.image_size * 4
    board = (torch.arange(side)[:, None] + torch.arange(side)) % 2
    board = board.float().expand(1, 3, -1, -1)
    assert torch.allclose(encoder.encode_image(board), encoder.encode_image(board * 0 + 0.5), atol=1e-3)


def test_words_are_unit_length_and_equal_open_clips_own(encoder, model_name):
    words = ["a red ball", "wall"]
    expected = F.normalize(encoder.model.encode_text(open_clip.get_tokenizer(model_name)(words)), dim=-1)
    assert torch.allclose(encoder.encode_text(words), expected, atol=1e-6)
    assert torch.allclose(encoder.encode_text(words).norm(dim=-1), torch.ones(2))


def test_templates_are_averaged_over_unit_vectors(encoder, model_name):
    words, templates = ["a {red} ball", "wall"], ("{}", "a photo of {}.", "{} in a scene")
    several = OpenClipEncoder(encoder.model, model_name, "toy", CPU, precision=torch.float32, templates=templates)
    for word, found in zip(words, several.encode_text(words), strict=True):
        sentences = encoder.encode_text([word, f"a photo of {word}.", f"{word} in a scene"])
        torch.testing.assert_close(found, F.normalize(sentences.mean(dim=0), dim=0), atol=1e-6, rtol=0)
    assert not torch.allclose(several.encode_text(words), encoder.encode_text(words), atol=1e-3)


def test_local_weights_load_and_name_their_space_by_content(encoder, model_name, tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(encoder.model.state_dict(), path)
    loaded = load_open_clip(f"{model_name}:{path}", CPU)
    crops = torch.rand(2, 3, 30, 40)
    loaded.precision = torch.float32
    assert torch.allclose(loaded.encode_image(crops), encoder.encode_image(crops), atol=1e-6)
    first = loaded.space
    encoder.model.logit_scale.data += 1
    torch.save(encoder.model.state_dict(), path)
    assert load_open_clip(f"{model_name}:{path}", CPU).space != first
    assert first.startswith(f"open_clip/{model_name}/weights-")


def test_weights_of_another_model_are_a_user_error(model_name, tmp_path):
    torch.save({"visual.proj": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(UserError, match=f"does not load as {model_name}"):
        load_open_clip(f"{model_name}:{tmp_path / 'other.pt'}", CPU)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_half_precision_stays_within_a_hundredth(encoder, precision):
    crops, images = torch.rand(4, 3, 32, 32), torch.rand(1, 3, 64, 96)
    exact = F.normalize(encoder.encode_image(crops), dim=-1), F.normalize(encoder.encode_dense(images), dim=1)
    encoder.precision = precision
    half = F.normalize(encoder.encode_image(crops), dim=-1), F.normalize(encoder.encode_dense(images), dim=1)
    for found, expected in zip(half, exact, strict=True):
        assert 0.0 < (found - expected).abs().max() < 2e-2


@pytest.mark.parametrize(
    ("capability", "precision"),
    [((6, 1), torch.float32), ((7, 0), torch.float16), ((7, 5), torch.float16), ((9, 0), torch.bfloat16)],
)
def test_gpus_compute_in_the_half_precision_that_they_have(monkeypatch, capability, precision):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert fast_precision(torch.device("cuda")) == precision


def test_tiny_clip_tells_plain_colours_apart():
    encoder = load_tiny_clip(CPU)
    colours = torch.tensor([[0.8, 0.1, 0.1], [0.13, 0.58, 0.18], [0.12, 0.24, 0.78]])
    crops = colours[:, :, None, None].expand(-1, -1, 40, 40)
    words = encoder.encode_text(["plain red ball", "plain green ball", "plain blue ball"])
    assert (F.normalize(encoder.encode_image(crops), dim=-1) @ words.T).argmax(-1).tolist() == [0, 1, 2]
    assert (encoder.space, words.shape[1]) == ("tiny-clip-v2", encoder.dim)


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "size", "dim"),
    [pytest.param("ViT-B-16", 224, 512, marks=pytest.mark.slow), ("RN50", 224, 1024)],
)
def test_real_architectures_equal_open_clip_with_its_own_preprocessing(name, size, dim):
    torch.manual_seed(0)
    model: Any = open_clip.create_model(name)
    encoder = OpenClipEncoder(model, name, "random", CPU, precision=torch.float32)
    assert (encoder.image_size, encoder.dim) == (size, dim)
    photographs = [to_pil_image(picture(size, size, seed)) for seed in range(2)]
    prepare: Any = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    expected = model.encode_image(torch.stack([prepare(photograph) for photograph in photographs]))
    found = encoder.encode_image(torch.stack([to_tensor(photograph) for photograph in photographs]))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    words = ["a red apple", "a wall"]
    expected = F.normalize(model.encode_text(open_clip.get_tokenizer(name)(words)), dim=-1)
    torch.testing.assert_close(encoder.encode_text(words), expected, atol=1e-5, rtol=1e-5)


class TimmLikeTower(nn.Module):
    """What SigLIP's image tower is to us: it tells its image size as a pair, its own colours, and no `output_dim`."""

    def __init__(self) -> None:
        super().__init__()
        self.image_size = (20, 20)
        self.preprocess_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.5, 0.5)}
        self.trunk = nn.Conv2d(3, 24, 20)

    def forward(self, images):
        return self.trunk(images).flatten(1)


@torch.no_grad()
def test_towers_of_timm_bring_their_own_sizes_and_colours(tmp_path):
    config = {"embed_dim": 24, "vision_cfg": VIT, "text_cfg": TEXT, "custom_text": True, "init_logit_bias": -10}
    (tmp_path / "toy-sigmoid.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "toy-sigmoid.json")
    model = open_clip.create_model("toy-sigmoid")
    model.visual = TimmLikeTower()  # pyright: ignore[reportAttributeAccessIssue]
    encoder = OpenClipEncoder(model, "toy-sigmoid", "toy", CPU, precision=torch.float32)
    assert (encoder.dim, encoder.image_size) == (24, 20)
    crops = torch.rand(2, 3, 20, 20)
    mean, std = torch.tensor([0.5, 0.5, 0.5]).view(3, 1, 1), torch.tensor([0.25, 0.5, 0.5]).view(3, 1, 1)
    torch.testing.assert_close(encoder.encode_image(crops), model.visual((crops - mean) / std))
    assert ClipCrops(encoder).extract(picture(30, 40)).shape[-1] == 24
    with pytest.raises(UserError, match=r"toy has no dense path.*ViT or ModifiedResNet.*clip-crops"):
        ClipDense(encoder)


def test_words_are_padded_to_the_context_of_the_model(encoder, model_name):
    asked = []
    encoder.model.token_embedding.register_forward_pre_hook(lambda _, inputs: asked.append(inputs[0].shape))
    encoder.encode_text(["a red ball", "wall"])
    assert asked == [(2, TEXT["context_length"])]


def test_a_coca_tower_encodes_crops_and_is_refused_by_the_dense_teacher(tmp_path):
    vision = {**VIT, "attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
    config = {
        "embed_dim": 24,
        "vision_cfg": vision,
        "text_cfg": {**TEXT, "embed_cls": True, "output_tokens": True},
        "multimodal_cfg": {**TEXT, "layers": 1},
        "custom_text": True,
    }
    (tmp_path / "toy-coca.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "toy-coca.json")
    encoder = OpenClipEncoder(open_clip.create_model("toy-coca"), "toy-coca", "toy", CPU, precision=torch.float32)
    assert encoder.encode_image(torch.rand(2, 3, 48, 48)).shape == encoder.encode_text(["a ball", "a wall"]).shape
    with pytest.raises(UserError, match=r"toy has no dense path.*ViT or ModifiedResNet.*clip-crops"):
        ClipDense(encoder)


def test_a_tokenizer_that_cannot_be_had_is_one_sentence(monkeypatch):
    def no_network(name):
        raise OSError("We couldn't connect")

    monkeypatch.setattr(open_clip, "get_tokenizer", no_network)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", "/some/cache")
    named = r"timm/ViT-B-16-SigLIP tokenizer.json .*folder models--timm--ViT-B-16-SigLIP .*to /some/cache\."
    with pytest.raises(MissingWeights, match=rf"tokenizer of ViT-B-16-SigLIP .*OSError.*{named}"):
        load_tokenizer("ViT-B-16-SigLIP")

    def too_new(words):
        raise AttributeError("TokenizersBackend has no attribute batch_encode_plus")

    monkeypatch.setattr(open_clip, "get_tokenizer", lambda name: too_new)
    with pytest.raises(UserError, match=r"cannot use the installed transformers.*transformers<5"):
        load_tokenizer("ViT-B-16-SigLIP")
