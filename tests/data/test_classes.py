"""Words from the command line and from files."""

from pathlib import Path

import pytest

from ovs3d.data.classes import read_classes_file, resolve_classes
from ovs3d.errors import UserError


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_file_with_comments_prompts_and_byte_order_mark(tmp_path: Path) -> None:
    text = "\ufeff# words\nred  apple : a red apple | an  apple\n\nwall # the back\n"
    assert read_classes_file(write(tmp_path / "classes.txt", text)) == (
        ("red apple", ("a red apple", "an apple")),
        ("wall", ("wall",)),
    )


def test_words_win_over_files_and_keep_their_order(tmp_path: Path) -> None:
    write(tmp_path / "classes.txt", "one\ntwo\n")
    assert resolve_classes(["z: zed", "a"], tmp_path) == (("z", ("zed",)), ("a", ("a",)))
    assert resolve_classes([], tmp_path) == (("one", ("one",)), ("two", ("two",)))


def test_only_the_3d_ovs_list_is_sorted(tmp_path: Path) -> None:
    write(tmp_path / "segmentations" / "classes.txt", "wood\nGrass\nbanana\n")
    assert [name for name, _ in resolve_classes([], tmp_path)] == ["Grass", "banana", "wood"]
    write(tmp_path / "classes.txt", "wood\nbanana\n")
    assert [name for name, _ in resolve_classes([], tmp_path)] == ["wood", "banana"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["classes.txt", "no class", "at least 2"]),
        ("# nothing\n\n", ["no class"]),
        ("wall\n", ["only the class 'wall'"]),
        ("wall\n\nWall  # again\n", ["line 3", "'Wall'", "line 1"]),
        ("wall\n: a prompt\n", ["line 2", "no class name"]),
        ("wall\ntable: a | \n", ["line 2", "empty prompt", "'table'"]),
    ],
)
def test_bad_files_are_named_with_their_line(tmp_path: Path, text: str, parts: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        read_classes_file(write(tmp_path / "classes.txt", text))
    assert all(part in str(caught.value) for part in parts)


def test_bad_words_are_named_by_their_place(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="entry 2 names the class 'a' again after --classes entry 1"):
        resolve_classes(["a", "a"], tmp_path)
    with pytest.raises(UserError, match="--classes gives only the class 'a'"):
        resolve_classes(["a"], tmp_path)
    with pytest.raises(UserError, match=r"No classes are given; .*classes\.txt"):
        resolve_classes([], tmp_path)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(UserError, match="save it as UTF-8"):
        read_classes_file(tmp_path / "classes.txt")
