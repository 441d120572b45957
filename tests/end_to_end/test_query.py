"""Questions to the trained run of boxes: words, clicks, points and vectors, and the command."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from plyfile import PlyData
from torch import Tensor

from ovs3d.cli.main import main
from ovs3d.errors import UserError
from ovs3d.export import answers
from ovs3d.scene import Scene
from tests.end_to_end.box_scene import BOXES, CLASSES, DIM, SPACE


def iou(mask: Tensor, truth: Tensor) -> float:
    return (mask & truth).sum().item() / max(1, (mask | truth).sum().item())


def inside(points: np.ndarray, low: Sequence[float], high: Sequence[float]) -> np.ndarray:
    """Which points lie in a box, or a tenth of its least side outside of it."""
    margin = 0.1 * (np.array(high) - np.array(low)).min()
    return ((points > np.array(low) - margin) & (points < np.array(high) + margin)).all(axis=-1)


def truth(scene: Scene, name: str) -> tuple[str, Tensor]:
    """A held-out view that shows the class well, and where."""
    views = list(scene.held_out())
    index = CLASSES.index(name)
    best = max(views, key=lambda view: 0 if view.labels is None else int((view.labels == index).sum()))
    assert best.labels is not None
    return best.name, best.labels == index


@pytest.mark.parametrize("name", CLASSES[1:])
def test_every_kind_of_query_finds_the_box(scene: Scene, name: str) -> None:
    view, where = truth(scene, name)
    row, column = (int(axis.float().median()) for axis in where.nonzero(as_tuple=True))
    low, high = (np.array(corner) for corner in BOXES[CLASSES.index(name) - 1])
    top = tuple((0.5 * (low + high) * [1, 1, 0] + high * [0, 0, 1]).tolist())
    by_click = scene.query(click=(view, row, column))
    camera = next(each.camera for each in scene.held_out() if each.name == view)
    found = {
        "words": scene.query(name.upper(), camera),
        "click": by_click,
        "point": scene.query(camera=camera, point=tuple(np.array(top))),
        "vector": scene.query(camera=camera, vector=torch.eye(DIM)[CLASSES.index(name)], space=SPACE),
    }
    for kind, answer in found.items():
        assert iou(answer.mask, where) > 0.7, kind
        assert answer.found and answer.rgb.shape == (*where.shape, 3)
        assert torch.equal(answer.mask, answer.scores > 0.5)


def test_what_is_not_there_is_not_found(scene: Scene) -> None:
    camera = scene.held_out_outputs.cameras[0:1]
    answer = scene.query("door", camera, negatives=CLASSES)
    assert not answer.found
    assert answer.places.boxes == [] and answer.places.centroid is None and answer.places.best_view is None


def test_places_are_those_of_the_data(scene: Scene) -> None:
    """The scene's own coordinates differ from the data's by a turn, a shift and a scale."""
    for name in CLASSES[1:]:
        places = scene.query(name, scene.held_out_outputs.cameras[0:1]).places
        low, high = BOXES[CLASSES.index(name) - 1]
        assert len(places.found.points) > 50 and inside(places.found.points, low, high).mean() > 0.9
        assert places.centroid is not None and inside(places.centroid[None], low, high).all()


def test_question_that_does_not_fit_is_named(scene: Scene) -> None:
    camera = scene.held_out_outputs.cameras[0:1]
    with pytest.raises(UserError, match="cannot be compared"):
        scene.query(camera=camera, vector=torch.ones(DIM), space="another")
    with pytest.raises(UserError, match="no photograph named nowhere"):
        scene.query(click=("nowhere", 0, 0))
    with pytest.raises(UserError, match="lies outside"):
        scene.query(click=("view_00", 0, 999))
    camera = scene.held_out_outputs.cameras[0:1]
    with pytest.raises(UserError, match=r"\(50.0, 50.0, 50.0\) lies outside of the scene, whose places go from \["):
        scene.query(camera=camera, point=(50.0, 50.0, 50.0))
    with pytest.raises(UserError, match="needs a camera"):
        scene.query("door")


def test_command_writes_pictures_masks_and_numbers(
    run: Path, scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = CLASSES[1]
    view, where = truth(scene, name)
    assert main(["query", str(run), name, "--out", str(tmp_path)]) == 0
    answer = json.loads((tmp_path / "query.json").read_text())
    at = ", ".join(f"{number:.2f}" for number in answer["centroid"])
    assert f"points about ({at}), in a box of (" in capsys.readouterr().out
    held_out = scene.names(scene.held_out_outputs)
    assert answer["query"] == name
    assert [row["view"] for row in answer["views"]] == [*held_out, answer["best_view"]]
    assert (tmp_path / "pictures" / f"{answer['best_view']}.png").exists()
    mask = torch.from_numpy(np.asarray(Image.open(tmp_path / "masks" / f"{view}.png")) > 0)
    assert iou(mask, where) > 0.7
    shares = {row["view"]: row["share"] for row in answer["views"]}
    assert shares[view] == pytest.approx(mask.float().mean().item())
    low, high = BOXES[CLASSES.index(name) - 1]
    assert inside(np.array(answer["centroid"])[None], low, high).all() and len(answer["boxes"]) == 1
    vertices = PlyData.read(tmp_path / "points.ply")["vertex"]
    found = np.stack([vertices[axis] for axis in "xyz"], axis=-1)
    assert vertices["confidence"].min() > 0.5, "the answer's own"
    assert len(found) > 50 and inside(found, low, high).mean() > 0.9
    assert scene.query(name, scene.photograph(answer["best_view"]).camera).found
    assert (tmp_path / "pictures" / f"{view}.png").exists()
    assert main(["query", str(run), CLASSES[2], "--views", view, "--out", str(tmp_path)]) == 0
    assert [path.name for path in (tmp_path / "masks").iterdir()] == [f"{view}.png"], "the first answer is gone"
    assert main(["query", str(run), "door", "--negatives", *CLASSES, "--views", view, "--out", str(tmp_path)]) == 0
    assert not (tmp_path / "points.ply").exists(), "nothing is found now"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_of_others_stay(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = {"masks/photo.png": b"mask", "pictures/holiday.jpg": b"holiday"}
    for name, content in mine.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(content)
    command = ["query", str(run), CLASSES[1], "--views", "view_03", "--out", str(tmp_path)]
    for _ in range(2):
        assert main(command) == 0
    ours = {"query.json", "points.ply", "pictures/view_03.png", "masks/view_03.png"}
    there = contents(tmp_path)
    assert set(there) == ours | set(mine) and {name: there[name] for name in mine} == mine
    (tmp_path / "query.json").unlink()
    before = contents(tmp_path)
    assert main(command) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"{tmp_path / 'pictures' / 'view_03.png'} is of no earlier query" in said
    assert contents(tmp_path) == before


def test_earlier_answer_stays_until_the_next_is_complete(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["query", str(run), CLASSES[1], "--out", str(tmp_path)]
    assert main(command) == 0
    before, answer, asked = contents(tmp_path), Scene.answer, []

    def interrupted(*arguments: Any) -> Any:
        asked.append(arguments)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return answer(*arguments)

    monkeypatch.setattr(Scene, "answer", interrupted)
    assert main(command) == 130 and len(asked) == 2
    assert contents(tmp_path) == before


def test_masks_of_large_photographs_are_enlarged(
    run: Path, scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view, where = truth(scene, CLASSES[1])
    monkeypatch.setattr(answers, "LOOK_SIDE", max(where.shape) // 2)
    assert main(["query", str(run), CLASSES[1], "--views", view, "--out", str(tmp_path)]) == 0
    mask = np.asarray(Image.open(tmp_path / "masks" / f"{view}.png"))
    assert mask.shape == tuple(where.shape) and set(np.unique(mask)) == {0, 255}
    assert iou(torch.from_numpy(mask > 0), where) > 0.7


def test_command_looks_where_it_is_told(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--negatives", *CLASSES, "--views", "view_03", "--out", str(tmp_path)]
    assert main(["query", str(run), "door", *flags]) == 0
    answer = json.loads((tmp_path / "query.json").read_text())
    assert [row["view"] for row in answer["views"]] == ["view_03"] and answer["best_view"] is None
    assert "Nothing found" in capsys.readouterr().out
    assert main(["query", str(run), "--out", str(tmp_path)]) == 2
