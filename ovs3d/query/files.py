"""The answer to a query as files."""

from collections.abc import Sequence
from pathlib import Path

from nerfstudio.cameras.cameras import Cameras
from PIL import Image
from rich.progress import track

from ovs3d.evaluation.report import write_json
from ovs3d.query.ask import Query, find_view
from ovs3d.scene import Scene


def write_answers(scene: Scene, query: Query, views: Sequence[str], folder: Path) -> str | None:
    """Writes `query.json`, and for every view `<name>.png` (the picture) and `masks/<name>.png` (0 or 255).

    Args:
        scene: the run.
        query: what is asked.
        views: stems of photographs; none means all that are held out.
        folder: made if missing.

    Returns:
        The view that shows most of it, or None where no view shows any.
    """
    cameras = {name: find_view(scene, name) for name in views} or held_out_cameras(scene)
    question = scene.ask(query)
    (folder / "masks").mkdir(parents=True, exist_ok=True)
    rows = []
    for name, camera in track(cameras.items(), description="Looking"):
        result = scene.answer(question, camera)
        result.save(folder / f"{name}.png")
        Image.fromarray(result.mask.numpy()).convert("L").save(folder / "masks" / f"{name}.png")
        rows.append({"view": name, "pixels": int(result.mask.sum()), "highest_score": float(result.scores.max())})
    most = max(rows, key=lambda row: row["pixels"])
    best = most["view"] if most["pixels"] > 0 else None
    write_json(folder / "query.json", {"query": question.name, "best_view": best, "views": rows})
    return best


def held_out_cameras(scene: Scene) -> dict[str, Cameras]:
    """Held-out cameras by the stems of their photographs."""
    outputs = scene.held_out_outputs
    names = [Path(path).stem for path in outputs.image_filenames]
    return {name: outputs.cameras[index : index + 1] for index, name in enumerate(names)}
