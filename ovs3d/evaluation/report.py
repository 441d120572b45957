"""JSON files that name the machine, the versions and the commit that they were made with."""

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import torch

from ovs3d.files import json_text, whole_file


def header() -> dict:
    """The machine, the versions and the commit that a result was made with."""
    machine = {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_gb": _memory_gb(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
    versions = {name: _version(name) for name in ("ovs3d", "torch", "nerfstudio")}
    return {"machine": machine, "versions": versions | {"python": platform.python_version()}, "commit": _commit()}


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Writes `content` under a `header` of machine, versions and commit, all at once or not at all.

    Numbers that are not finite become null; numpy and torch scalars become numbers, arrays become lists.
    """
    text = json_text({"header": header(), **content})
    with whole_file(path) as draft:
        draft.write_text(text + "\n", encoding="utf-8")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if len(names) > 0 else platform.processor() or platform.machine()


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        # Windows has no sysconf.
        return None


def _commit() -> str | None:
    """The commit of the source tree, with "-dirty" where files differ from it; None outside of a source tree."""
    package = Path(__file__).resolve().parents[1]
    # An installed package may lie inside somebody else's repository, whose commit would mean nothing here.
    if not (package.parent / ".git").exists():
        return None
    command = ["git", "-C", str(package.parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
