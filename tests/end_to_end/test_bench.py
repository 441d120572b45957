"""`ovs3d bench` on scenes in the layouts of 3D-OVS and of LERF-OVS."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial import ConvexHull
from sklearn.metrics import jaccard_score

from ovs3d.benchmarks.lerf import query_scores
from ovs3d.benchmarks.ovs import paper_scores
from ovs3d.cli.main import main
from ovs3d.data.annotations import read_annotations
from ovs3d.data.cameras import resized
from ovs3d.evaluation.localisation import NEGATIVES
from ovs3d.evaluation.protocols import evaluate
from ovs3d.scene import Scene
from tests.end_to_end.box_scene import CLASSES, DIM, HEIGHT, SPACE, WIDTH, WORDS, write_scene
from tools.write_3d_ovs import Write3DOVS

SMALL = (
    "--geometry-steps", "6", "--max-num-iterations", "12", "--machine.device-type", "cpu",
    "--pipeline.datamanager.train-num-rays-per-batch", "256", "--pipeline.datamanager.semantic-rays", "256",
    "--pipeline.datamanager.table-rays", "5000",
)  # fmt: skip
ENLARGED = 4


def write_annotations(folder: Path, scene: Path, views: tuple[str, ...]) -> None:
    """Marks the hulls of the scene's boxes, in pictures that are several times as large as the photographs."""
    folder.mkdir(parents=True)
    for name in views:
        labels = np.asarray(Image.open(scene / "labels" / f"{name}.png"))
        shapes = []
        for index in range(1, len(CLASSES)):
            y, x = np.nonzero(labels == index)
            if len(x) > 20:
                corners = np.stack([x + dx for dx in (0, 1)] * 2), np.stack([y, y, y + 1, y + 1])
                points = ENLARGED * np.stack([each.ravel() for each in corners], axis=1)
                outline = points[ConvexHull(points).vertices].tolist()
                shapes.append({"label": CLASSES[index], "shape_type": "polygon", "points": outline})
        size = {"imageHeight": HEIGHT * ENLARGED, "imageWidth": WIDTH * ENLARGED}
        (folder / f"{name}.json").write_text(json.dumps({**size, "shapes": shapes}))


@pytest.fixture(scope="module")
def ovs_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scene `bed` alone, in the layout of 3D-OVS."""
    scene = write_scene(tmp_path_factory.mktemp("boxes") / "boxes")
    meta = json.loads((scene / "transforms.json").read_text())
    Image.fromarray(np.full((HEIGHT, WIDTH), 2000, np.uint16)).save(scene / "depth.png")
    meta["frames"] = [{**frame, "depth_file_path": "depth.png"} for frame in meta["frames"]]
    (scene / "transforms.json").write_text(json.dumps(meta))
    root = tmp_path_factory.mktemp("3d-ovs")
    Write3DOVS(scene, root / "bed").run()
    return root


@pytest.mark.slow
def test_3d_ovs_is_trained_once_and_measured(ovs_root: Path, features_folder: Path, tmp_path: Path, capsys) -> None:
    command = ["bench", "3d-ovs", "--data", str(ovs_root), "--protocol", "paper", "--method", "ovs3d-tiny",
               "--output-dir", str(tmp_path), "--", "--features", str(features_folder), *SMALL]  # fmt: skip
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert all(number in printed for number in ("89.5", "86.8", "54.8", "93.4", "97.1"))
    rows = {row["name"]: row for row in json.loads((tmp_path / "3d-ovs-paper-ovs3d-tiny-0.json").read_text())["rows"]}
    assert rows["mean, mIoU (3D-OVS)"]["value"] is None and rows["mean, mIoU (3D-OVS)"]["target"] == 86.8
    run = tmp_path / "3d-ovs-paper-bed" / "ovs3d-tiny" / "seed-0"
    scene = Scene.load(run)
    assert scene.classes == tuple(sorted(CLASSES))
    assert len(scene.train_outputs.image_filenames) == 12, "the paper's protocol trains on all views"
    assert rows["bed, mIoU"]["value"] == pytest.approx(100 * evaluate(scene)["segmentation"]["miou"])
    assert rows["bed, mIoU (3D-OVS)"]["value"] == pytest.approx(100 * paper_scores(scene)["miou_paper"])
    before = (run / "config.yml").stat().st_mtime_ns
    assert main([*command[:2], "--json", *command[2:]]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["rows"] == list(rows.values()) and Path(report["written"]["table"]).is_file()
    assert (run / "config.yml").stat().st_mtime_ns == before
    assert main([*command, "--max-num-iterations", "60"]) == 2
    assert "other data or flags" in capsys.readouterr().err


def test_paper_scores_equal_sklearn_at_an_eighth(ovs_root: Path, run: Path) -> None:
    scene = Scene.load(run, data=ovs_root / "bed")
    height, width = HEIGHT // 8, WIDTH // 8
    values, hits = [], []
    for view, index in zip((0, 8), range(2), strict=True):
        camera = resized(scene.held_out_outputs.cameras[index : index + 1], height, width)
        predicted = scene.segment(camera).labels.numpy()
        masks = {}
        for number, name in enumerate(scene.classes):
            mask = Image.open(ovs_root / "bed" / "segmentations" / f"{view:02d}" / f"{name}.png")
            masks[number] = np.asarray(mask.resize((width, height), Image.Resampling.NEAREST)) == 255
            values.append(jaccard_score(masks[number].ravel(), (predicted == number).ravel()))
        hits.append(np.mean([masks[best][y, x] for (y, x), best in np.ndenumerate(predicted)]))
    scores = paper_scores(scene)
    assert scores["miou_paper"] == pytest.approx(np.mean(values)) and scores["miou_paper"] > 0.5
    assert scores["accuracy_paper"] == pytest.approx(np.mean(hits))


def test_queries_of_a_good_field_are_found_and_swapped_ones_are_not(
    scene: Scene, scene_folder: Path, tmp_path: Path
) -> None:
    write_annotations(tmp_path / "label", scene_folder, ("view_00", "view_08"))
    views = read_annotations(tmp_path / "label")
    assert sum(len(view.queries) for view in views) >= 4
    scores = query_scores(scene, views, negatives=("anything else",))
    assert scores["localisation"] == 1.0 and scores["miou"] > 0.5
    for path in (tmp_path / "label").iterdir():
        swapped = path.read_text().replace("red box", "?").replace("blue box", "red box").replace("?", "blue box")
        path.write_text(swapped.replace("green box", "door"))
    wrong = query_scores(scene, read_annotations(tmp_path / "label"), negatives=("anything else",))
    assert wrong["localisation"] < 0.5 and wrong["miou"] < 0.2


@pytest.mark.slow
def test_lerf_ovs_holds_the_annotated_views_out(scene_folder: Path, features_folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "lerf_ovs"
    (root / "label" / "ramen").mkdir(parents=True)
    (root / "figurines").symlink_to(scene_folder)
    write_annotations(root / "label" / "figurines", scene_folder, ("view_03", "view_04"))
    features = shutil.copytree(features_folder, tmp_path / "features")
    # Without the canonical phrases in the vocabulary queries cannot be held against them.
    rows = np.vstack([np.eye(DIM, dtype=np.float32), np.repeat(np.eye(DIM, dtype=np.float32)[4:5], 4, axis=0)])
    np.savez(features / "vocabulary.npz", words=np.array([*WORDS, *NEGATIVES]), embeddings=rows, space=SPACE)
    out = tmp_path / "out"
    command = ["bench", "lerf-ovs", "--data", str(root), "--method", "ovs3d-tiny", "--output-dir", str(out)]
    assert main([*command, "--", "--features", str(features), *SMALL]) == 0
    scene = Scene.load(out / "lerf-ovs-held-out-figurines" / "ovs3d-tiny" / "seed-0")
    assert scene.classes == ("blue box", "green box", "red box")
    assert [Path(path).stem for path in scene.held_out_outputs.image_filenames] == ["view_03", "view_04"]
    assert len(scene.train_outputs.image_filenames) == 10
    written = json.loads((out / "lerf-ovs-held-out-ovs3d-tiny-0.json").read_text())["rows"]
    values = {row["name"]: row["value"] for row in written}
    scores = query_scores(scene, read_annotations(root / "label" / "figurines"))
    assert values["figurines, localisation"] == pytest.approx(100 * scores["localisation"])
    assert values["figurines, mIoU of queries"] == pytest.approx(100 * scores["miou"])
    assert values["mean, localisation"] is None
