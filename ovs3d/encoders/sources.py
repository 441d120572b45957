"""What the name of an open_clip encoder stands for: an architecture, a file of weights, and the colours it expects."""

import difflib
import importlib.util
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import open_clip
import timm
from huggingface_hub import hf_hub_download, try_to_load_from_cache
from huggingface_hub.utils import (
    EntryNotFoundError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    validate_repo_id,
)
from open_clip.factory import HF_HUB_PREFIX, get_model_config
from open_clip.pretrained import get_pretrained_cfg

from ovs3d.encoders import weights
from ovs3d.errors import UserError

log = logging.getLogger(__name__)

TINY_NAME = "tiny-clip"
HUB_CONFIG = "open_clip_config.json"
HUB_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
PACKAGES = 'pip install "timm>=1.0.15" "transformers<5"'
"""Second step of the installation for towers of timm and tokenizers of the hub; nerfstudio itself pins timm 0.6.7."""


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
            f"{name} is not an encoder: write {TINY_NAME}, MODEL:PRETRAINED as in ViT-B-16:laion2b_s34b_b88k, "
            f"MODEL:/path/to/weights or {HF_HUB_PREFIX}ORG/NAME, with MODEL as open_clip spells it "
            f"({', '.join(near) or 'see its documentation'})."
        )
    check_packages(model, config)
    published = get_pretrained_cfg(model, asked)
    if published:
        tag = asked.lower().replace("-", "_")
        model = _activated(model, published)
        repository, _, file = published["hf_hub"].rpartition("/")
        files = (str(Path(file).with_suffix(".safetensors")), file) if file else HUB_WEIGHTS
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


def fetch(name: str, repository: str, files: Sequence[str], local: str) -> Path:
    """The first of `files` that a repository of the Hugging Face hub has: from the hub's cache, else downloaded.

    Args:
        name: What the user asked for.
        repository: `ORG/NAME`.
        files: Files, the preferred one first.
        local: How the user names a file of their own instead.

    Raises:
        MissingWeights: It is neither in the cache nor downloadable.
        UserError: The hub knows no such repository or file.
    """
    for file in files:
        cached = try_to_load_from_cache(repository, file)
        if isinstance(cached, str):
            return Path(cached)
    cause = "HF_HUB_OFFLINE is set"
    if not weights.hub_is_offline():
        log.info("Downloading %s from the hub's %s.", " or ".join(files), repository)
        try:
            with weights.network_timeout():
                return Path(_download(repository, files))
        except LocalEntryNotFoundError:
            cause = "the hub did not answer"
        except (EntryNotFoundError, RepositoryNotFoundError) as error:
            raise UserError(
                f"huggingface.co/{repository} does not exist, is private, or has no {' or '.join(files)} (for {name}): "
                "write the name of a public repository of an open_clip model, or log in to the hub."
            ) from error
        except Exception as error:  # The hub and its HTTP client have dozens of errors, none of them ours to mend.
            cause = type(error).__name__
    origin = f"{' or '.join(files)} of huggingface.co/{repository}"
    raise weights.missing_weights(name, origin, local, "--encoder", TINY_NAME, cause)


def _download(repository: str, files: Sequence[str]) -> str:
    for file in files[:-1]:
        try:
            return hf_hub_download(repository, file)
        except EntryNotFoundError as error:
            if isinstance(error, LocalEntryNotFoundError):  # The hub did not answer at all.
                raise
    return hf_hub_download(repository, files[-1])


def _hub_source(name: str) -> Source:
    repository = name.removeprefix(HF_HUB_PREFIX)
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise UserError(f"{name} is not a repository of the hub: write {HF_HUB_PREFIX}ORG/NAME.") from error
    local = f"MODEL:/path/to/{HUB_WEIGHTS[0]} with {HUB_CONFIG} beside it"
    config = _read_hub_config(fetch(name, repository, (HUB_CONFIG,), local))
    check_packages(name, config["model_cfg"])
    path = fetch(name, repository, HUB_WEIGHTS, local)
    # Repositories change under their name.
    return Source(name, path, f"open_clip/{name}/{weights.file_digest(path)}")


def _local_source(model: str, path: Path) -> Source:
    """A file of the user's. Colours and activation come from the hub's configuration beside it; else, the colours are
    those that all published weights of the model share, or CLIP's, and the activation is that of the model."""
    beside = path.with_name(HUB_CONFIG)
    if beside.is_file():
        config = _read_hub_config(beside)
        model, colours = _activated(model, config["model_cfg"]), _colours(config.get("preprocess_cfg", {}))
    else:
        tags = open_clip.list_pretrained_tags_by_model(model)
        colours, *others = [_colours(get_pretrained_cfg(model, tag)) for tag in tags] or [{}]
        if any(other != colours for other in others):
            colours = {}
            log.warning(
                "Published weights of %s differ in mean and standard deviation, and CLIP's are taken: if yours have "
                "others, put their %s beside %s.",
                *(model, HUB_CONFIG, path),
            )
    return Source(model, path, f"open_clip/{model}/{path.stem}-{weights.file_digest(path)}", colours)


def _read_hub_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if {"embed_dim", "vision_cfg", "text_cfg"} <= set(config["model_cfg"]):
            return config
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a configuration of open_clip ({error!r}): fetch it again.") from error
    raise UserError(f"{path} is not a configuration of open_clip: choose a repository of an open_clip model.")


def _activated(model: str, published: dict[str, Any]) -> str:
    """The spelling of the model with the activation of its weights: those of OpenAI and some others need QuickGELU."""
    quick = f"{model}-quickgelu"
    return quick if published.get("quick_gelu") and quick in open_clip.list_models() else model


def _colours(published: dict[str, Any]) -> dict[str, Any]:
    return {key: published[key] for key in ("mean", "std") if key in published}
