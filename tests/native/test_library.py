"""Compiling: once, for this processor, and a warning where there is no compiler."""

import logging
from pathlib import Path

import pytest

from ovs3d.native.library import library


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("OVS3D_CACHE", str(tmp_path))
    library.cache_clear()
    yield
    library.cache_clear()


def test_second_process_finds_what_the_first_compiled(tmp_path: Path) -> None:
    if library() is None:
        pytest.skip("no C compiler")
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
    assert caplog.text.count("no C compiler was found") == 1 and "Install gcc or clang" in caplog.text


def test_a_compiler_that_fails_is_quoted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    broken = tmp_path / "broken-cc"
    broken.write_text("#!/bin/sh\necho 'no space left for cc1' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    with caplog.at_level(logging.WARNING):
        assert library() is None
    assert "no space left for cc1" in caplog.text
