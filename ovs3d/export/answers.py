"""The answer to a query as files."""

import json
import os
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track

from ovs3d.data.cameras import resized, smaller_size
from ovs3d.errors import UserError
from ovs3d.evaluation.report import write_json
from ovs3d.export.boxes import box_record
from ovs3d.files import make_folder, whole_file
from ovs3d.query.ask import Query
from ovs3d.query.places import Places
from ovs3d.query.score import FOUND, Judgement, Question
from ovs3d.scene import Scene
from ovs3d.views import Photograph

LOOK_SIDE = 800
"""Longest side in pixels of the views that are looked at: what words tell apart is coarser than a photograph."""


def write_answers(scene: Scene, query: Query, names: Sequence[str], folder: Path) -> str | None:
    """Writes `query.json`, `points.ply`, and for every view `pictures/<name>.png` and `masks/<name>.png`, 0 or 255.

    Points and boxes have the coordinates and units of the data, masks the size of the photographs; pictures have at
    most `LOOK_SIDE` pixels on the long side. When all are complete they replace those of an earlier answer.

    Args:
        scene: the run.
        query: what is asked.
        names: of photographs (`Scene.photographs`); none means all that are held out and that of most of it.
        folder: made if missing.

    Returns:
        The photograph that shows most of it, or None where it was not found.

    Raises:
        UserError: a file of these names is of no earlier answer, the folder cannot be made, or the query does not fit.
    """
    shown, earlier = list(names) or scene.names(scene.held_out_outputs), earlier_files(folder)
    views = {name: scene.photograph(name) for name in shown}
    check_foreign(folder, answer_files(views, found=True), earlier)
    question = scene.ask(query)
    places = scene.find(question)
    if not names and places.best_view is not None:
        views.setdefault(places.best_view, scene.photograph(places.best_view))
        check_foreign(folder, answer_files(views, found=True), earlier)
    files, draft = answer_files(views, places.best_view is not None), folder / f".query.{os.getpid()}"
    try:
        for name in files:
            make_folder((folder / name).parent)
        _write_parts(scene, question, places, views, draft)
        for name in files:
            (draft / name).replace(folder / name)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    for name in earlier - set(files):
        (folder / name).unlink(missing_ok=True)
    return places.best_view


def _write_parts(
    scene: Scene, question: Question, places: Places, views: Mapping[str, Photograph], folder: Path
) -> None:
    rows = []
    for name, photograph in track(views.items(), description="Looking"):
        camera = photograph.camera
        result = scene.answer(question, resized(camera, *smaller_size(camera, 0, LOOK_SIDE)))
        with whole_file(folder / "pictures" / f"{name}.png") as draft:
            result.save(draft)
        with whole_file(folder / "masks" / f"{name}.png") as draft:
            enlarged_mask(result.judged, photograph.size).save(draft)
        share = result.mask.float().mean().item()
        sure = None if result.confidence is None else float(result.confidence.max())
        scores = {"highest_score": float(result.scores.max()), "highest_confidence": sure}
        rows.append({"view": name, "share": share, **scores})
    if places.best_view is not None:
        places.save(folder / "points.ply")
    boxes = [box_record(box) for box in places.boxes]
    record = {"query": question.name, "best_view": places.best_view, "centroid": places.centroid, "boxes": boxes}
    write_json(folder / "query.json", {**record, "views": rows})


def answer_files(views: Iterable[str], found: bool) -> list[str]:
    """Files of an answer, below its folder; `query.json`, which tells of the others, is the last."""
    pictures = [f"{kind}/{name}.png" for name in views for kind in ("pictures", "masks")]
    return [*pictures, *(["points.ply"] if found else []), "query.json"]


def earlier_files(folder: Path) -> set[str]:
    """Files of the answer whose `query.json` lies in `folder`, below it; none where there is no such file."""
    try:
        record = json.loads((folder / "query.json").read_text(encoding="utf-8"))
        files = answer_files([row["view"] for row in record["views"]], record["best_view"] is not None)
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {name for name in files if ".." not in Path(name).parts}


def check_foreign(folder: Path, files: Iterable[str], earlier: Collection[str]) -> None:
    """Refuses to write over what is of no earlier answer.

    Raises:
        UserError: names the first such file.
    """
    for name in files:
        if name not in earlier and (folder / name).exists():
            raise UserError(
                f"{folder / name} is of no earlier query and would be lost; remove it, or give another --out."
            )


def enlarged_mask(judged: Judgement, size: tuple[int, int]) -> Image.Image:
    """Where something was found, 0 or 255, in a picture of `size` = (rows, columns)."""
    height, width = size
    shown = Image.fromarray(judged.shown.numpy().astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    return Image.fromarray(np.asarray(shown) > FOUND).convert("L")
