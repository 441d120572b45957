"""Compiling: once, for this processor, and a warning where there is no compiler."""

import logging
from pathlib import Path

import pytest

from ovs3d.native.library import find_compiler, library


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("OVS3D_CACHE", str(tmp_path))
    library.cache_clear()
    yield
    library.cache_clear()


def test_second_process_finds_what_the_first_compiled(tmp_path: Path) -> None:
    if find_compiler() is None:
        pytest.skip("no C compiler")
    assert library() is not None
    (built,) = (tmp_path / "native").iterdir()
    changed = built.stat().st_mtime_ns
    library.cache_clear()
    assert library() is not None and built.stat().st_mtime_ns == changed
    assert list((tmp_path / "native").iterdir()) == [built]


def test_without_a_compiler_training_goes_on_and_says_what_it_costs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with caplog.at_level(logging.WARNING):
        assert library() is None and library() is None
    assert caplog.text.count("no C compiler was found") == 1 and "install gcc or clang" in caplog.text


def test_a_compiler_that_fails_is_quoted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    broken = tmp_path / "broken-cc"
    broken.write_text("#!/bin/sh\nprintf 'grids.c: note\\nfatal error: no space left\\nstopped.\\n' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    with caplog.at_level(logging.WARNING):
        assert library() is None
    assert "(fatal error: no space left)" in caplog.text and "install gcc" not in caplog.text


def test_folder_that_cannot_be_written_costs_the_kernels_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    if find_compiler() is None:
        pytest.skip("no C compiler")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OVS3D_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        assert library() is None
    assert "Not a directory" in caplog.text
