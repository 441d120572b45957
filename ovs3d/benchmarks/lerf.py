"""Benchmarks in the manner of LERF-OVS: photographs in which objects are marked for free text queries."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import mean

from ovs3d.benchmarks.plan import Plan
from ovs3d.benchmarks.tables import Measured
from ovs3d.data.annotations import AnnotatedView, read_annotations
from ovs3d.data.cameras import resized
from ovs3d.data.classes import name_key
from ovs3d.data.layouts import read_scene
from ovs3d.errors import UserError
from ovs3d.evaluation.localisation import NEGATIVES, is_localised, mask_iou, query_mask
from ovs3d.relevancy import against_negatives
from ovs3d.scene import Scene

ANNOTATIONS_FOLDER = "label"


def bench_lerf_ovs(plan: Plan) -> list[Measured]:
    """Trains and measures every scene DATA/<scene> that has annotations DATA/label/<scene>/<image stem>.json.

    The classes in training are all queries of the scene. The methods of this family know no such list while they train;
    3D-OVS's losses need one. The annotated views are held out, or, in the protocol "paper", trained on as LangSplat
    does.

    Raises:
        UserError: no scene is found, annotations cannot be used, or training fails.
    """
    labels = plan.data / ANNOTATIONS_FOLDER
    annotated = sorted(path.name for path in labels.glob("*") if path.is_dir())
    if len(annotated) == 0:
        raise UserError(f"{labels} holds no folder of annotations; put them into {labels}/<scene>/<image stem>.json.")
    views = {scene: read_annotations(labels / scene) for scene in plan.found(annotated)}
    for scene, of_scene in views.items():
        check_images(plan.data / scene, of_scene)
    miou, accuracy = {}, {}
    for scene, of_scene in views.items():
        queries = sorted({name_key(query.words): query.words for view in of_scene for query in view.queries}.values())
        held_out = [view.image for view in of_scene]
        flags = ("--classes", *queries, "--pipeline.datamanager.dataparser.held-out", *held_out)
        scores = plan.measure(scene, flags, partial(query_scores, views=of_scene))
        miou[scene], accuracy[scene] = 100 * scores["miou"], 100 * scores["localisation"]
    how = f"mean over (view, query); {plan.split}"
    return [
        Measured("mIoU of queries", "ours", f"one mask per query, cut at 0.4, {how}; all queries are classes", miou),
        Measured("localisation", "ours, localised", f"most relevant pixel in a box, {how}", accuracy),
    ]


def check_images(scene: Path, views: Sequence[AnnotatedView]) -> None:
    """Raises UserError where an annotation has no photograph."""
    stems = {view.image.stem for view in read_scene(scene).views}
    for view in views:
        if view.image not in stems:
            raise UserError(f"{scene} has no photograph {view.image}, which is annotated; name the annotation as it.")


def query_scores(
    scene: Scene, views: Sequence[AnnotatedView], negatives: Sequence[str] = NEGATIVES
) -> dict[str, float]:
    """`localisation` and `miou` of a run in [0, 1], means over all (view, query) as in LangSplat's evaluation.

    Each view is rendered in its annotation's size. A query is localised if the most relevant pixel lies in one of its
    boxes; its IoU is that of its own mask, whatever the other queries claim: see `ovs3d.evaluation.localisation`. The
    field gives one relevancy per query, so that no level is chosen as among LangSplat's three.

    Args:
        scene: a run whose held-out outputs contain the views.
        views: what is marked.
        negatives: phrases that every query is held against.
    """
    outputs = scene.held_out_outputs
    indices = {Path(path).stem: index for index, path in enumerate(outputs.image_filenames)}
    hits, overlaps = [], []
    for view in views:
        index = indices[view.image]
        camera = resized(outputs.cameras[index : index + 1], *view.size)
        words = [query.words for query in view.queries]
        cosines = scene.relevancy([*words, *negatives], camera)
        maps = against_negatives(cosines[..., : len(words)], cosines[..., len(words) :]).numpy()
        for number, query in enumerate(view.queries):
            hits.append(is_localised(maps[..., number], query.boxes))
            overlaps.append(mask_iou(query_mask(maps[..., number]), query.mask))
    return {"localisation": mean(map(float, hits)), "miou": mean(overlaps)}
