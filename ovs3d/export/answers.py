"""The answer to a query as files."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from rich.progress import track

from ovs3d.evaluation.report import write_json
from ovs3d.files import whole_file
from ovs3d.query.ask import Query
from ovs3d.scene import Scene
from ovs3d.views import photographs


def write_answers(scene: Scene, query: Query, names: Sequence[str], folder: Path) -> str | None:
    """Writes `query.json`, and for every view `pictures/<name>.png` and `masks/<name>.png`, 0 or 255.

    Masks have the size of the photographs. Pictures and masks of an earlier answer are removed.

    Args:
        scene: the run.
        query: what is asked.
        names: of photographs (`Scene.photographs`); none means all that are held out.
        folder: made if missing.

    Returns:
        The view that shows most of it, or None where no view shows any.
    """
    views = {name: scene.photograph(name) for name in names} or photographs(scene.held_out_outputs)
    question = scene.ask(query)
    for kind in ("pictures", "masks"):
        shutil.rmtree(folder / kind, ignore_errors=True)
    rows = []
    for name, photograph in track(views.items(), description="Looking"):
        result = scene.answer(question, photograph.camera)
        with whole_file(folder / "pictures" / f"{name}.png") as draft:
            result.save(draft)
        height, width = photograph.size
        mask = Image.fromarray(result.mask.numpy()).convert("L").resize((width, height), Image.Resampling.NEAREST)
        with whole_file(folder / "masks" / f"{name}.png") as draft:
            mask.save(draft)
        share = result.mask.float().mean().item()
        rows.append({"view": name, "share": share, "highest_score": float(result.scores.max())})
    most = max(rows, key=lambda row: row["share"])
    best = most["view"] if most["share"] > 0.0 else None
    write_json(folder / "query.json", {"query": question.name, "best_view": best, "views": rows})
    return best
