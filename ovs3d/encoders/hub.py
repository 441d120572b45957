"""Files of open_clip models on the Hugging Face hub: from its cache on this machine, else downloaded."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download, try_to_load_from_cache
from huggingface_hub.utils import EntryNotFoundError, LocalEntryNotFoundError, RepositoryNotFoundError

from ovs3d.encoders import weights
from ovs3d.errors import UserError

log = logging.getLogger(__name__)

CONFIG = "open_clip_config.json"
WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""Names of the weights, the one that can hold nothing else first."""


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
    raise weights.missing_weights(name, origin, local, "--encoder", weights.TINY_CLIP, cause)


def _download(repository: str, files: Sequence[str]) -> str:
    for file in files[:-1]:
        try:
            return hf_hub_download(repository, file)
        except EntryNotFoundError as error:
            if isinstance(error, LocalEntryNotFoundError):  # The hub did not answer at all.
                raise
    return hf_hub_download(repository, files[-1])


def read_config(path: Path) -> dict[str, Any]:
    """The content of an `open_clip_config.json`: `model_cfg`, and mostly `preprocess_cfg`.

    Raises:
        UserError: It is damaged or describes no model of open_clip.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if {"embed_dim", "vision_cfg", "text_cfg"} <= set(config["model_cfg"]):
            return config
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a configuration of open_clip ({error!r}): fetch it again.") from error
    raise UserError(f"{path} is not a configuration of open_clip: choose a repository of an open_clip model.")
