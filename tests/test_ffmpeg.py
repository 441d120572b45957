"""ffmpeg must be found by the host's own look-up on a machine that has none installed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ovs3d.ffmpeg import ensure_ffmpeg


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A PATH without ffmpeg and an empty cache folder, which is returned."""
    monkeypatch.setenv("PATH", str(tmp_path / "no-programs"))
    monkeypatch.setenv("OVS3D_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_child_process_finds_a_program_that_runs(bare_machine: Path) -> None:
    assert shutil.which("ffmpeg") is None
    found = ensure_ffmpeg()
    assert found is not None and found.is_relative_to(bare_machine)
    done = subprocess.run(["ffmpeg", "-version"], capture_output=True, check=True)
    assert done.stdout.startswith(b"ffmpeg version")


def test_mediapy_of_the_host_finds_it(bare_machine: Path) -> None:
    mediapy = pytest.importorskip("mediapy")
    assert not mediapy.video_is_available()
    ensure_ffmpeg()
    assert mediapy.video_is_available()


def test_second_call_leaves_path_alone(bare_machine: Path) -> None:
    ensure_ffmpeg()
    path = os.environ["PATH"]
    ensure_ffmpeg()
    assert os.environ["PATH"] == path


def test_installed_ffmpeg_wins(bare_machine: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = tmp_path / "own" / "ffmpeg"
    own.parent.mkdir()
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", str(own.parent))
    assert ensure_ffmpeg() == own
    assert not bare_machine.exists()


def test_link_to_a_removed_program_is_replaced(bare_machine: Path, tmp_path: Path) -> None:
    link = bare_machine / "bin" / "ffmpeg"
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "gone")
    assert ensure_ffmpeg() == link
    assert link.resolve().is_file()


def test_unwritable_cache_does_not_break_the_command(bare_machine: Path) -> None:
    bare_machine.write_text("a file where the folder should be")
    assert ensure_ffmpeg() is None
