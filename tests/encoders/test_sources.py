"""What the names of encoders stand for, on a machine without a network."""

import importlib.util
import json
import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import open_clip
import pytest
import torch
import torch.nn.functional as F
from open_clip.factory import get_model_config
from open_clip.pretrained import get_pretrained_cfg
from safetensors.torch import save as to_safetensors

from ovs3d.encoders import weights
from ovs3d.encoders.hub import CONFIG as HUB_CONFIG
from ovs3d.encoders.hub import WEIGHTS as HUB_WEIGHTS
from ovs3d.encoders.open_clip import OpenClipEncoder
from ovs3d.encoders.sources import Source, check_packages, find_source, tokenizer_repository
from ovs3d.errors import UserError
from ovs3d.spaces import load_encoder
from tests.encoders.downloads import Exploit, HubCache

CONFIG = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    "quick_gelu": True,
}
HALF = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
CLIP_MEAN = open_clip.OPENAI_DATASET_MEAN


@pytest.fixture
def hub(tmp_path, monkeypatch) -> HubCache:
    return HubCache(tmp_path / "hub", monkeypatch)


@pytest.fixture
def toy(tmp_path) -> str:
    (tmp_path / "toy-hub.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(tmp_path / "toy-hub.json")
    return "toy-hub"


@pytest.fixture
def every_package(monkeypatch):
    """As if timm were new and transformers installed."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: SimpleNamespace(name=name))


def architecture(model: str) -> dict:
    config = get_model_config(model)
    assert config is not None
    return config


def a_file(folder: Path, content: bytes = b"weights") -> Path:
    (folder / "own.pt").write_bytes(content)
    return folder / "own.pt"


def test_a_tag_is_found_in_the_hubs_cache_safe_format_first(hub):
    repository = "laion/CLIP-ViT-B-16-laion2B-s34B-b88K"
    old = hub.put(repository, HUB_WEIGHTS[1], b"pickled")
    expected = Source(
        "ViT-B-16", old, "open_clip/ViT-B-16/laion2b_s34b_b88k", find_source("ViT-B-16:laion2b_s34b_b88k").colours
    )
    # Tags are found in any spelling that open_clip takes, and mean one space.
    assert find_source("ViT-B-16:laion2B-s34B-b88K") == expected
    new = hub.put(repository, HUB_WEIGHTS[0], b"safe")
    assert find_source("ViT-B-16:laion2b_s34b_b88k") == replace(expected, path=new)


def test_weights_trained_with_quickgelu_get_it_under_both_names(hub):
    hub.put("timm/vit_base_patch16_clip_224.openai", HUB_WEIGHTS[0], b"weights")
    source = find_source("ViT-B-16:openai")
    assert source == find_source("ViT-B-16-quickgelu:openai")
    assert (source.model, source.space) == ("ViT-B-16-quickgelu", "open_clip/ViT-B-16-quickgelu/openai")


def test_the_quickgelu_spelling_changes_the_activation_alone():
    quick = [pair for pair in open_clip.list_pretrained() if get_pretrained_cfg(*pair).get("quick_gelu")]
    assert len(quick) > 20
    for model, _ in quick:
        plain = model.removesuffix("-quickgelu")
        assert architecture(f"{plain}-quickgelu") == {**architecture(plain), "quick_gelu": True}


def test_every_tag_lies_on_the_hub_under_a_model_that_exists():
    for model, tag in open_clip.list_pretrained():
        repository, _, _ = get_pretrained_cfg(model, tag)["hf_hub"].rpartition("/")
        assert repository.count("/") == 1
        assert architecture(model)


@torch.no_grad()
def test_a_repository_of_the_hub_brings_architecture_colours_and_activation(hub, toy):
    torch.manual_seed(0)
    model = open_clip.create_model(toy).eval()
    hub.put("org/toy", HUB_CONFIG, json.dumps({"model_cfg": CONFIG, "preprocess_cfg": HALF}).encode())
    hub.put("org/toy", HUB_WEIGHTS[0], to_safetensors(model.state_dict()))
    encoder = load_encoder("hf-hub:org/toy")
    crops = torch.rand(2, 3, 32, 32)
    assert isinstance(encoder, OpenClipEncoder)
    encoder.precision = torch.float32
    torch.testing.assert_close(encoder.encode_image(crops), model.encode_image(crops * 2 - 1), atol=1e-5, rtol=0)
    words = F.normalize(model.encode_text(open_clip.get_tokenizer(toy)(["a wall"])), dim=-1)
    torch.testing.assert_close(encoder.encode_text(["a wall"]), words, atol=1e-5, rtol=0)
    assert (encoder.dim, encoder.image_size) == (24, 32)
    assert encoder.space.startswith("open_clip/hf-hub:org/toy/")
    # Other weights under the same name are another space.
    model.logit_scale.data += 1
    hub.put("org/toy", HUB_WEIGHTS[0], to_safetensors(model.state_dict()))
    assert load_encoder("hf-hub:org/toy").space != encoder.space


def test_repositories_that_cannot_be_used_are_named(hub):
    with pytest.raises(UserError, match=rf"{HUB_CONFIG} of huggingface.co/org/none.*HF_HOME.*tiny-clip"):
        find_source("hf-hub:org/none")
    hub.put("org/config", HUB_CONFIG, json.dumps({"model_cfg": CONFIG}).encode())
    with pytest.raises(UserError, match=rf"{HUB_WEIGHTS[0]} or {HUB_WEIGHTS[1]} of huggingface.co/org/config"):
        find_source("hf-hub:org/config")
    for content in (b"{", b"[]", b'{"model_cfg": {"embed_dim": 3}}'):
        hub.put("org/other", HUB_CONFIG, content)
        with pytest.raises(UserError, match="not a configuration of open_clip"):
            find_source("hf-hub:org/other")
    with pytest.raises(UserError, match="write hf-hub:ORG/NAME"):
        find_source("hf-hub:no such name")


def test_tokenizer_comes_from_the_repository_that_the_model_names(hub):
    assert tokenizer_repository("xlm-roberta-base-ViT-B-32") == "xlm-roberta-base"
    for text, repository in ({}, "org/toy"), ({"hf_tokenizer_name": "org/words"}, "org/words"):
        config = {**CONFIG, "text_cfg": {**CONFIG["text_cfg"], **text}}
        hub.put("org/toy", HUB_CONFIG, json.dumps({"model_cfg": config}).encode())
        assert tokenizer_repository("hf-hub:org/toy") == repository


def test_missing_weights_say_which_file_goes_where(hub):
    with pytest.raises(weights.MissingWeights) as error:
        find_source("ViT-B-16:openai")
    assert "open_clip_model.safetensors" in str(error.value)
    assert "huggingface.co/timm/vit_base_patch16_clip_224.openai" in str(error.value)
    # With the activation that these weights need.
    assert "ViT-B-16-quickgelu:/path/to/file" in str(error.value)


def test_own_files_get_the_colours_of_the_published_ones(tmp_path, every_package, toy):
    path = a_file(tmp_path)
    assert find_source(f"ViT-B-16-SigLIP:{path}").colours == {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    assert find_source(f"ViT-B-16:{path}").colours["mean"] == CLIP_MEAN
    assert find_source(f"{toy}:{path}").colours == {}


def test_own_files_with_the_hubs_configuration_beside_them_follow_it(tmp_path, caplog):
    path = a_file(tmp_path)
    with caplog.at_level(logging.WARNING):
        source = find_source(f"ViT-L-14:{path}")
    # Some of its published weights saw other colours.
    assert source.colours == {} and HUB_CONFIG in caplog.text
    caplog.clear()
    content = {"model_cfg": {**architecture("ViT-L-14"), "quick_gelu": True}, "preprocess_cfg": HALF}
    (tmp_path / HUB_CONFIG).write_text(json.dumps(content))
    source = find_source(f"ViT-L-14:{path}")
    assert (source.model, source.colours) == ("ViT-L-14-quickgelu", HALF)
    assert not caplog.records


@pytest.mark.parametrize(
    ("model", "lacking"),
    [
        ("ViT-B-16-SigLIP", r"a newer timm than .* and the package transformers"),
        ("convnext_base", r"a newer timm than [\d.]+: run"),
        ("roberta-ViT-B-32", r"the package transformers: run"),
    ],
)
def test_packages_that_a_model_needs_are_named_before_any_download(model, lacking, monkeypatch, hub):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    tag = open_clip.list_pretrained_tags_by_model(model)[0]
    with pytest.raises(UserError, match=rf'{model} needs {lacking}.*pip install "timm>=1\.0\.15" "transformers<5"'):
        find_source(f"{model}:{tag}")
    check_packages("ViT-B-16", architecture("ViT-B-16"))


def test_nothing_stored_in_a_file_is_executed(tmp_path, toy, monkeypatch):
    path, trace = tmp_path / "own.pt", tmp_path / "trace"
    torch.save({"state_dict": Exploit(trace)}, path)
    # The user's way of loading old checkpoints of nerfstudio must not open this door.
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(UserError, match="holds more than tensors"):
        load_encoder(f"{toy}:{path}")
    with pytest.raises(UserError, match="holds more than tensors"):
        weights.load_weights(path)
    with pytest.raises(Exception, match="weights_only"), weights.tensors_only():
        torch.load(path, weights_only=False)
    assert not trace.exists()
    torch.load(path, weights_only=False)
    assert trace.exists()


def test_a_torchscript_archive_is_refused_in_words(tmp_path, toy):
    path = tmp_path / "ViT.pt"
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), path)
    with pytest.raises(UserError, match=rf"{path} does not load as {toy} .*TorchScript.*state dictionary"):
        load_encoder(f"{toy}:{path}")
