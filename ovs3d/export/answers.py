"""The answer to a query as files."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track

from ovs3d.data.cameras import resized, smaller_size
from ovs3d.evaluation.report import write_json
from ovs3d.export.boxes import box_record
from ovs3d.files import whole_file
from ovs3d.query.ask import Query
from ovs3d.query.score import FOUND, Judgement
from ovs3d.scene import Scene

LOOK_SIDE = 800
"""Longest side in pixels of the views that are looked at: what words tell apart is coarser than a photograph."""


def write_answers(scene: Scene, query: Query, names: Sequence[str], folder: Path) -> str | None:
    """Writes `query.json`, `points.ply`, and for every view `pictures/<name>.png` and `masks/<name>.png`, 0 or 255.

    Points and boxes have the coordinates and units of the data, masks the size of the photographs; pictures have at
    most `LOOK_SIDE` pixels on the long side. Files of an earlier answer are removed.

    Args:
        scene: the run.
        query: what is asked.
        names: of photographs (`Scene.photographs`); none means all that are held out.
        folder: made if missing.

    Returns:
        The photograph that shows most of it, or None where it was not found.
    """
    views = {name: scene.photograph(name) for name in names or scene.names(scene.held_out_outputs)}
    question = scene.ask(query)
    for kind in ("pictures", "masks"):
        shutil.rmtree(folder / kind, ignore_errors=True)
    (folder / "points.ply").unlink(missing_ok=True)
    places, rows = scene.find(question), []
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
    return places.best_view


def enlarged_mask(judged: Judgement, size: tuple[int, int]) -> Image.Image:
    """Where something was found, 0 or 255, in a picture of `size` = (rows, columns)."""
    height, width = size
    shown = Image.fromarray(judged.shown.numpy().astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    return Image.fromarray(np.asarray(shown) > FOUND).convert("L")
