"""Files are whole or not there."""

from pathlib import Path

import pytest

from ovs3d.errors import UserError
from ovs3d.files import whole_file


def test_file_appears_at_the_end_of_the_block(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.ply"
    with whole_file(path) as draft:
        draft.write_text("content")
        assert draft.suffix == ".ply" and not path.exists()
    assert path.read_text() == "content" and list(path.parent.iterdir()) == [path]


def test_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("earlier")
    for path, named in ((tmp_path / "file" / "a.ply", "file"), (tmp_path / "file" / "b" / "a.ply", "file/b")):
        with pytest.raises(UserError, match=f"{tmp_path / named} cannot be made"), whole_file(path) as draft:
            draft.write_text("content")
    (tmp_path / "folder.ply").mkdir()
    with pytest.raises(UserError, match=r"folder\.ply cannot be written"), whole_file(tmp_path / "folder.ply") as draft:
        draft.write_text("content")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.ply"]


def test_interruption_keeps_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    path.write_text("earlier")
    with pytest.raises(KeyboardInterrupt), whole_file(path) as draft:
        draft.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "earlier" and list(tmp_path.iterdir()) == [path]
