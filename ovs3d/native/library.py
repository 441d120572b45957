"""Compiles `grids.c` on first use, for the processor at hand, and loads it."""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import torch

from ovs3d.cache import user_cache

SOURCE = Path(__file__).with_name("grids.c")
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
OPENMP = ("-fopenmp",)


@lru_cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels; None where there is no C compiler, which is said once."""
    # OpenMP's threads are those of PyTorch: its runtime is loaded by now, and the linker takes what is loaded.
    assert torch.get_num_threads() > 0
    compiler = next(filter(None, map(shutil.which, filter(None, (os.environ.get("CC"), "cc", "gcc", "clang")))), None)
    if compiler is None:
        _warn("no C compiler was found")
        return None
    try:
        return ctypes.CDLL(str(_compiled(compiler)))
    except (OSError, subprocess.SubprocessError) as error:
        reason = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
        _warn((reason or "").strip().splitlines()[-1] if reason else type(error).__name__)
        return None


def _warn(reason: str) -> None:
    logging.getLogger(__name__).warning(
        "Training on a CPU will take about twice as long: the kernels cannot be compiled (%s). Install gcc or clang.",
        reason,
    )


def _compiled(compiler: str) -> Path:
    """Path of the shared library, compiled unless it lies in the cache."""
    key = hashlib.sha256(SOURCE.read_bytes())
    for part in (*FLAGS, *OPENMP, compiler, platform.platform(), _processor()):
        key.update(part.encode())
    path = user_cache() / "native" / f"grids-{key.hexdigest()[:16]}.so"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            built = Path(folder) / path.name
            try:
                _compile(compiler, built, OPENMP)
            except subprocess.CalledProcessError:  # Apple's clang comes without OpenMP.
                _compile(compiler, built, ())
            built.replace(path)  # In one step: several processes may compile at a time.
    return path


def _compile(compiler: str, out: Path, more: tuple[str, ...]) -> None:
    command = [compiler, *FLAGS, *more, str(SOURCE), "-o", str(out)]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)


def _processor() -> str:
    """What tells processors apart for which the compiler makes different code."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.machine())
