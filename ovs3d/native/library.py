"""Compiles the kernels on first use, for the processor at hand, and loads it."""

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

from ovs3d.cache import user_cache

SOURCES = tuple(sorted(Path(__file__).parent.glob("*.c")))
FLAGS = ("-std=gnu11", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-shared", "-fPIC")
COST = "On a CPU, training will take about twice as long as it need"


@lru_cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels; None where they cannot be compiled, which is said once. Imports of PyTorch come before.

    PyTorch has loaded its OpenMP by then, and the library is bound to what is loaded: both share one set of threads.
    """
    compiler = find_compiler()
    if compiler is None:
        logging.getLogger(__name__).warning("%s: no C compiler was found; install gcc or clang.", COST)
        return None
    try:
        return ctypes.CDLL(str(_compiled(compiler)))
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        logging.getLogger(__name__).warning("%s: %s cannot compile the kernels (%s).", COST, compiler, _reason(error))
        return None


def find_compiler() -> str | None:
    """Path of the C compiler: $CC, or the first of cc, gcc and clang."""
    names = filter(None, (os.environ.get("CC"), "cc", "gcc", "clang"))
    return next(filter(None, map(shutil.which, names)), None)


def _reason(error: Exception) -> str:
    """The first line with an error among what the compiler said, or what else went wrong."""
    said = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line), lines[0] if len(lines) > 0 else type(error).__name__)


def _compiled(compiler: str) -> Path:
    """Path of the shared library, compiled unless it lies in the cache."""
    key = hashlib.sha256(b"".join(source.read_bytes() for source in SOURCES))
    for part in (*FLAGS, compiler, platform.platform(), _processor()):
        key.update(part.encode())
    path = user_cache() / "native" / f"kernels-{key.hexdigest()[:16]}.so"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            built = Path(folder) / path.name
            command = [compiler, *FLAGS, *map(str, SOURCES), "-lm", "-o", str(built)]
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
            built.replace(path)  # In one step: several processes may compile at a time.
    return path


def _processor() -> str:
    """What tells processors apart for which the compiler makes different code."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.machine())
