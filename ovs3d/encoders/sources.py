"""What the name of an open_clip encoder stands for: an architecture, a file of weights, and the colours it expects."""

import difflib
import importlib.util
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import open_clip
import timm
from huggingface_hub.utils import HFValidationError, validate_repo_id
from open_clip.factory import HF_HUB_PREFIX, get_model_config
from open_clip.pretrained import get_pretrained_cfg

from ovs3d.encoders import weights
from ovs3d.encoders.hub import CONFIG, WEIGHTS, fetch, read_config
from ovs3d.errors import UserError

log = logging.getLogger(__name__)

PACKAGES = 'pip install "timm>=1.0.15" "transformers<5"'
"""Second step of the installation for towers of timm and tokenizers of the hub; nerfstudio itself pins timm 0.6.7."""
LOCAL = f"MODEL:/path/to/{WEIGHTS[0]} with {CONFIG} beside it"
"""How files of the user's take the place of a repository of the hub."""


@dataclass(frozen=True)
class Source:
    """An image-text encoder, found."""

    model: str
    """Name of the architecture for open_clip; `hf-hub:ORG/NAME` names its weights too."""
    path: Path
    """The weights."""
    space: str
    """Id of the embedding space."""
    colours: dict[str, Any] = field(default_factory=dict)
    """`mean` and `std` of the pictures, where they are not those of the architecture."""


def find_source(name: str) -> Source:
    """Finds, or downloads, what `MODEL:TAG`, `MODEL:/path/to/weights` or `hf-hub:ORG/NAME` stands for.

    Raises:
        UserError: Unknown model or tag, a package that the model needs, or weights that cannot be had or read.
    """
    if name.startswith(HF_HUB_PREFIX):
        return _hub_source(name)
    model, _, asked = name.partition(":")
    config = get_model_config(model)
    if config is None or not asked:
        near = difflib.get_close_matches(model, open_clip.list_models(), n=3, cutoff=0.4)
        raise UserError(
            f"{name} is not an encoder: write {weights.TINY_CLIP}, MODEL:PRETRAINED as in ViT-B-16:laion2b_s34b_b88k, "
            f"MODEL:/path/to/weights or {HF_HUB_PREFIX}ORG/NAME, with MODEL as open_clip spells it "
            f"({', '.join(near) or 'see its documentation'})."
        )
    check_packages(model, config)
    published = get_pretrained_cfg(model, asked)
    if published:
        tag = asked.lower().replace("-", "_")
        model = _activated(model, published)
        repository, _, file = published["hf_hub"].rpartition("/")
        files = (str(Path(file).with_suffix(".safetensors")), file) if file else WEIGHTS
        path = fetch(name, repository, files, f"{model}:/path/to/file")
        return Source(model, path, f"open_clip/{model}/{tag}", _colours(published))
    if "/" not in asked and not Path(asked).suffix:
        tags = open_clip.list_pretrained_tags_by_model(model)
        raise UserError(
            f"open_clip has no weights {asked} for {model}: use {', '.join(tags) or f'{model}:/path/to/weights'}."
        )
    return _local_source(model, weights.existing_file(name, Path(asked).expanduser()))


def check_packages(model: str, config: dict[str, Any]) -> None:
    """Refuses an architecture that needs a package which nerfstudio does not bring.

    Args:
        model: Name of the architecture.
        config: Its configuration for open_clip.

    Raises:
        UserError: Its image tower needs a newer timm, or its text tower or tokenizer transformers.
    """
    lacking = []
    if "timm_model_name" in config["vision_cfg"] and importlib.util.find_spec("timm.layers") is None:
        lacking.append(f"a newer timm than {timm.__version__}")
    text = config["text_cfg"]
    if {"hf_tokenizer_name", "hf_model_name"} & set(text) and importlib.util.find_spec("transformers") is None:
        lacking.append("the package transformers")
    if lacking:
        raise UserError(
            f"{model} needs {' and '.join(lacking)}: run {PACKAGES}, whatever pip says of nerfstudio's pin."
        )


def tokenizer_repository(model: str) -> str:
    """The repository of the hub that the tokenizer of an architecture, or of `hf-hub:ORG/NAME`, comes from."""
    own = model.removeprefix(HF_HUB_PREFIX)
    config = get_model_config(model) if own == model else _hub_config(model)["model_cfg"]
    return (config or {"text_cfg": {}})["text_cfg"].get("hf_tokenizer_name", own)


def _hub_config(name: str) -> dict[str, Any]:
    return read_config(fetch(name, name.removeprefix(HF_HUB_PREFIX), (CONFIG,), LOCAL))


def _hub_source(name: str) -> Source:
    repository = name.removeprefix(HF_HUB_PREFIX)
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise UserError(f"{name} is not a repository of the hub: write {HF_HUB_PREFIX}ORG/NAME.") from error
    check_packages(name, _hub_config(name)["model_cfg"])
    path = fetch(name, repository, WEIGHTS, LOCAL)
    # Repositories change under their name.
    return Source(name, path, f"open_clip/{name}/{weights.file_digest(path)}")


def _local_source(model: str, path: Path) -> Source:
    """A file of the user's. Colours and activation come from the hub's configuration beside it; else, the colours are
    those that all published weights of the model share, or CLIP's, and the activation is that of the model."""
    beside = path.with_name(CONFIG)
    if beside.is_file():
        config = read_config(beside)
        model, colours = _activated(model, config["model_cfg"]), _colours(config.get("preprocess_cfg", {}))
    else:
        tags = open_clip.list_pretrained_tags_by_model(model)
        colours, *others = [_colours(get_pretrained_cfg(model, tag)) for tag in tags] or [{}]
        if any(other != colours for other in others):
            colours = {}
            log.warning(
                "Published weights of %s differ in mean and standard deviation, and CLIP's are taken: if yours have "
                "others, put their %s beside %s.",
                *(model, CONFIG, path),
            )
    return Source(model, path, f"open_clip/{model}/{path.stem}-{weights.file_digest(path)}", colours)


def _activated(model: str, published: dict[str, Any]) -> str:
    """The spelling of the model with the activation of its weights: those of OpenAI and some others need QuickGELU."""
    quick = f"{model}-quickgelu"
    return quick if published.get("quick_gelu") and quick in open_clip.list_models() else model


def _colours(published: dict[str, Any]) -> dict[str, Any]:
    return {key: published[key] for key in ("mean", "std") if key in published}
