"""Files of earlier answers: told from those of others. What the answers hold is tested in tests/end_to_end."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ovs3d.errors import UserError
from ovs3d.export.answers import answer_files, check_foreign, earlier_files, write_answers
from ovs3d.query.ask import Query


def test_earlier_answer_is_what_its_record_lists(tmp_path: Path) -> None:
    record = {"query": "a mug", "best_view": "a", "views": [{"view": "a"}, {"view": "left/b"}]}
    (tmp_path / "query.json").write_text(json.dumps(record))
    assert earlier_files(tmp_path) == set(answer_files(["a", "left/b"], found=True))
    (tmp_path / "query.json").write_text(json.dumps({**record, "best_view": None}))
    assert earlier_files(tmp_path) == set(answer_files(["a", "left/b"], found=False))


@pytest.mark.parametrize("content", [None, "no json", "[]", "{}", json.dumps({"views": [1], "best_view": None})])
def test_other_file_of_that_name_lists_nothing(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "query.json").write_text(content)
    assert earlier_files(tmp_path) == set()


def test_record_lists_nothing_outside_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "query.json").write_text(json.dumps({"best_view": None, "views": [{"view": "../../a"}]}))
    assert earlier_files(tmp_path) == {"query.json"}


def test_file_of_no_answer_is_named(tmp_path: Path) -> None:
    files = answer_files(["a"], found=True)
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.png").touch()
    check_foreign(tmp_path, files, {"masks/a.png"})
    with pytest.raises(UserError, match=r"masks/a\.png is of no earlier query.*--out"):
        check_foreign(tmp_path, files, set())


def test_unknown_views_are_refused_before_anything_is_rendered(tmp_path: Path) -> None:
    def photograph(name: str) -> None:
        raise UserError(f"There is no photograph {name}.")

    scene = cast(Any, SimpleNamespace(photograph=photograph))  # It can do nothing else.
    with pytest.raises(UserError, match="no photograph typo"):
        getattr(write_answers, "__wrapped__", write_answers)(scene, Query("a mug"), ["typo"], tmp_path)
