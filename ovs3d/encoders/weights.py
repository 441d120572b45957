"""Where pretrained weights come from, and what is said when they cannot be had."""

import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from ovs3d.errors import UserError

TINY_CLIP = "tiny-clip"
"""The image-text encoder that needs no download."""
NETWORK_TIMEOUT = 10.0
"""Seconds without an answer after which a download counts as impossible."""
FORCE_LOAD = ("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
"""Variables that overrule the argument `weights_only` of `torch.load`; PyTorch refuses both at once."""


def file_digest(path: Path) -> str:
    """First 12 hexadecimal digits of the file's SHA-256: two files of one name never share an embedding space."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def hub_is_offline() -> bool:
    """Whether the user forbade downloads through `HF_HUB_OFFLINE`, the variable of the Hugging Face hub."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


class MissingWeights(UserError):
    """Published weights that are neither on this machine nor downloadable."""


def missing_weights(weights: str, origin: str, local: str, option: str, tiny: str, cause: str) -> MissingWeights:
    """The sentence for weights that are neither on this machine nor downloadable.

    Args:
        weights: What is missing, as the user named it.
        origin: The file and where it is published.
        local: How a file of the user's is named instead, such as `MODEL:/path/to/file`.
        option: How the user asks for another encoder, such as `--encoder`.
        tiny: Name of the bundled encoder that needs no download.
        cause: What the attempt ended with, a few words.
    """
    return MissingWeights(
        f"The weights {weights} are not on this machine and could not be downloaded ({cause}): on a connected machine "
        f"download {origin} and pass {local}, or run once there and copy its cache to here (HF_HOME or TORCH_HOME); "
        f"{option} {tiny} works offline but knows coloured, patterned solids in rooms only."
    )


def existing_file(name: str, path: Path) -> Path:
    """`path` itself when it is a file.

    Raises:
        UserError: There is no such file.
    """
    if not path.is_file():
        raise UserError(f"There is no weights file {path} (from the encoder name {name}): correct the path.")
    return path


def load_weights(path: Path) -> dict[str, Tensor]:
    """State dictionary of a `.safetensors` or PyTorch file, read without executing anything stored in it.

    Raises:
        UserError: The file is damaged or holds no state dictionary.
    """
    from safetensors.torch import load_file

    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # Each format has its own errors for a damaged file; the user's mend is the same.
        raise UserError(f"{path} holds no weights ({reason(error)}): save its state dictionary again.") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path} holds no state dictionary: save it with torch.save(model.state_dict(), path).")
    return {name.removeprefix("module."): value for name, value in state.items()}


def reason(error: Exception) -> str:
    """Why weights do not load, on one line; PyTorch's own words would advise to unpickle the file after all."""
    text = str(error)
    if "weights_only" in text.lower():
        return "it is damaged, or holds more than tensors, as TorchScript archives and whole pickled models do"
    return text.splitlines()[0] if text else type(error).__name__


@contextmanager
def network_timeout(seconds: float = NETWORK_TIMEOUT) -> Iterator[None]:
    """Gives every socket opened inside a time limit, so that a dead network is an error and not a wait."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextmanager
def tensors_only() -> Iterator[None]:
    """Makes every `torch.load` inside read tensors and execute nothing, also where a library asks for more."""
    before = {name: os.environ.pop(name, None) for name in FORCE_LOAD}
    os.environ[FORCE_LOAD[0]] = "1"
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def fast_precision(device: torch.device) -> torch.dtype:
    """What image towers are computed in on this device, where that pays: features of half precision differ by 1e-2.

    bfloat16 on CUDA from Ampere on and on x86 processors with AMX tiles, float16 on CUDA's Volta and Turing, whose
    bfloat16 is slow; else float32.
    """
    if device.type == "cuda":
        generation = torch.cuda.get_device_capability(device)[0]
        return torch.bfloat16 if generation >= 8 else torch.float16 if generation == 7 else torch.float32
    has_tiles = device.type == "cpu" and torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if has_tiles else torch.float32


def autocast(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """Runs matrix products in `precision`; norms and softmax stay in float32, and so does everything under float32."""
    return torch.autocast(device.type, dtype=precision, enabled=precision != torch.float32)
