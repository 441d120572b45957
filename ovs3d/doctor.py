"""What works on this machine, and what to do where something does not."""

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module, metadata

import torch

from ovs3d.cache import user_cache
from ovs3d.encoders.dino import TINY_NAME as TINY_DINO
from ovs3d.encoders.open_clip import TINY_NAME as TINY_CLIP
from ovs3d.encoders.weights import MissingWeights
from ovs3d.errors import UserError
from ovs3d.ffmpeg import ensure_ffmpeg
from ovs3d.field.backbones import import_tinycudann
from ovs3d.native.library import find_compiler, library
from ovs3d.spaces import load_encoder, load_patch_encoder

ENOUGH_GB = 5.0
"""Free space for the features and the runs of a few scenes."""


@dataclass(frozen=True)
class Finding:
    """What was found of one thing that the project can use."""

    name: str
    works: bool
    found: str
    mend: str = ""
    needed: bool = False
    """Whether the demo fails without it."""


def examine(encoder: str, dino: str) -> Iterator[Finding]:
    """Looks at everything once; with HF_HUB_OFFLINE set before the first import, nothing is downloaded.

    Args:
        encoder: name of an image-text encoder, as of `ns-train --encoder`.
        dino: name of a patch encoder, as of `ns-train --dino`.
    """
    yield versions()
    yield device()
    yield kernels()
    yield weights("bundled encoders", lambda: (load_encoder(TINY_CLIP), load_patch_encoder(TINY_DINO)), needed=True)
    yield weights(encoder, lambda: load_encoder(encoder))
    yield weights(dino, lambda: load_patch_encoder(dino))
    yield video_program()
    yield tiny_cuda_nn()
    yield open3d()
    yield disk()


def versions() -> Finding:
    """Of Python and of the packages that decide what works."""
    packages = ("ovs3d", "torch", "nerfstudio", "open_clip_torch", "timm")
    listed = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    return Finding("versions", True, f"Python {platform.python_version()}, {listed}")


def device() -> Finding:
    """Where training runs."""
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        return Finding("device", True, f"{properties.name}, {properties.total_memory / 1e9:.0f} GB")
    found = f"no CUDA device; {os.cpu_count()} CPU cores"
    return Finding("device", True, found, "train with ovs3d-tiny, whose sizes are for CPUs")


def kernels() -> Finding:
    """The kernels in C."""
    if library() is not None:
        return Finding("kernels in C", True, f"compiled by {find_compiler()}")
    return Finding("kernels in C", False, "not compiled", "install gcc or clang, or train on a CPU in twice the time")


def weights(name: str, load: Callable[[], object], needed: bool = False) -> Finding:
    """Weights that are on this machine and load."""
    try:
        load()
    except MissingWeights as error:
        return Finding(name, False, "not on this machine", f"the first run with a network loads it. {error}", needed)
    except UserError as error:
        return Finding(name, False, "cannot be used", str(error), needed)
    except Exception as error:  # Of the libraries below; a doctor says what it met and goes on.
        return Finding(name, False, "cannot be loaded", f"{type(error).__name__}: {error}".splitlines()[0], needed)
    return Finding(name, True, "weights load", needed=needed)


def video_program() -> Finding:
    """An `ffmpeg` that the host's commands find."""
    path = ensure_ffmpeg()
    if path is None:
        return Finding("ffmpeg", False, "none", "pip install imageio-ffmpeg", needed=True)
    return Finding("ffmpeg", True, str(path), needed=True)


def tiny_cuda_nn() -> Finding:
    """The second backbone."""
    try:
        import_tinycudann()
    except UserError as error:
        return Finding("tiny-cuda-nn (optional)", False, "not used", str(error))
    return Finding("tiny-cuda-nn (optional)", True, "installed")


def open3d() -> Finding:
    """Open3D, which `ns-export`, the meshes of `ovs3d export` and the scene tools load."""
    try:
        import_module("open3d")
    except (ImportError, OSError) as error:
        mend = "install the system's libusb-1.0 (Debian: apt install libusb-1.0-0), for meshes and ns-export"
        return Finding("Open3D", False, str(error).splitlines()[0], mend)
    return Finding("Open3D", True, f"version {metadata.version('open3d')}")


def disk() -> Finding:
    """Free space where features are kept."""
    folder = user_cache()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free / 1e9
    mend = "" if free > ENOUGH_GB else "free space, or set OVS3D_CACHE to a larger disk"
    return Finding("disk", free > ENOUGH_GB, f"{free:.0f} GB free for {folder}", mend)
