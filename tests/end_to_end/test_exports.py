"""`ovs3d export` on a run: what lies where, in the coordinates of the data."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from plyfile import PlyData
from pycocotools.coco import COCO

from ovs3d.cli.main import main
from ovs3d.scene import Scene
from tests.end_to_end.box_scene import BOXES, CLASSES, DIM, HEIGHT, ROOM, SPACE, WIDTH

HELD_OUT = ("view_00", "view_08")


@pytest.fixture(scope="module")
def exports(run: Path) -> Path:
    """All that can be had without Open3D, where the command puts it by itself."""
    assert main(["export", str(run), "--what", "masks", "points", "boxes", "features"]) == 0
    return run / "export"


def distance_to_box(points: np.ndarray, low: tuple[float, ...], high: tuple[float, ...]) -> np.ndarray:
    """From points outside of an axis-aligned box; 0 inside."""
    return np.linalg.norm(np.maximum(np.maximum(low - points, points - high), 0.0), axis=-1)


def test_only_what_was_asked_for_is_written(exports: Path) -> None:
    names = ["boxes.json", "classes.json", "features.npz", "masks", "points.ply"]
    assert sorted(path.name for path in exports.iterdir()) == names
    named = json.loads((exports / "classes.json").read_text())["classes"]
    assert [(row["label"], row["name"]) for row in named] == list(enumerate(CLASSES))


def test_masks_are_the_segmentation_and_coco_reads_them(exports: Path, scene: Scene) -> None:
    coco = COCO(exports / "masks" / "held-out" / "coco.json")
    assert [coco.cats[index + 1]["name"] for index in range(len(CLASSES))] == list(CLASSES)
    for index, name in enumerate(HELD_OUT):
        labels = scene.segment(scene.held_out_outputs.cameras[index : index + 1]).labels.numpy()
        image = Image.open(exports / "masks" / "held-out" / f"{name}.png")
        assert image.mode == "P" and np.array_equal(np.asarray(image), labels)
        (image_id,) = [number for number, row in coco.imgs.items() if row["file_name"] == f"{name}.png"]
        assert (coco.imgs[image_id]["width"], coco.imgs[image_id]["height"]) == (WIDTH, HEIGHT)
        read = np.zeros_like(labels)
        for annotation in coco.loadAnns(coco.getAnnIds(image_id)):
            inside = coco.annToMask(annotation)
            assert annotation["area"] == inside.sum() == coco.loadAnns(annotation["id"])[0]["area"]
            read += inside * annotation["category_id"]
        annotated = read > 0
        assert np.array_equal(read[annotated], labels[annotated] + 1), "no pixel is of two classes"
        assert annotated.mean() > 0.95, "only crumbs are left out"


def test_points_lie_where_their_labels_say_in_the_data(exports: Path) -> None:
    vertices = PlyData.read(exports / "points.ply")["vertex"]
    points, labels = np.stack([vertices[axis] for axis in "xyz"], axis=-1), np.asarray(vertices["label"])
    assert len(points) > 200
    assert np.quantile(distance_to_box(points, *ROOM), 0.95) < 0.3
    distance = np.stack([distance_to_box(points, *box) for box in BOXES], axis=-1)
    for number in range(1, len(CLASSES)):
        of_class = labels == number
        assert of_class.sum() > 10 and np.median(distance[of_class, number - 1]) < 0.1
    assert np.mean(distance[labels == 0].min(axis=-1) > 0.0) > 0.9
    confidence = np.asarray(vertices["confidence"])
    assert confidence.min() > 0.0 and confidence.max() <= 1.0


def test_every_point_has_a_feature_of_its_class(exports: Path) -> None:
    vertices = PlyData.read(exports / "points.ply")["vertex"]
    with np.load(exports / "features.npz", allow_pickle=False) as arrays:
        features, labels = arrays["features"], arrays["labels"]
        assert str(arrays["space"]) == SPACE and tuple(arrays["classes"]) == CLASSES
        np.testing.assert_allclose(arrays["points"], np.stack([vertices[axis] for axis in "xyz"], axis=-1), atol=1e-6)
    assert features.dtype == np.float16 and features.shape == (len(vertices), DIM)
    np.testing.assert_allclose(np.linalg.norm(features.astype(np.float64), axis=-1), 1.0, atol=2e-3)
    assert np.array_equal(labels, vertices["label"])
    # Texts of the classes are the first unit vectors of the space.
    assert (features[:, : len(CLASSES)].argmax(axis=-1) == labels).mean() > 0.9


def test_boxes_of_the_data_are_found(exports: Path) -> None:
    rows = json.loads((exports / "boxes.json").read_text())["boxes"]
    for number, (low, high) in enumerate(BOXES, start=1):
        largest = next(row for row in rows if row["label"] == number)
        assert largest["class"] == CLASSES[number]
        assert np.linalg.norm(np.array(largest["centre"]) - np.add(low, high) / 2) < 0.3
        assert max(largest["extent"]) < 2.0 * max(np.subtract(high, low))
        axes = np.array(largest["axes"])
        np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-6)


def test_mesh_has_a_node_for_each_class(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("open3d", reason="meshes need open3d", exc_type=ImportError)
    assert main(["export", str(run), "--what", "mesh", "--out", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes.json", "mesh.glb", "mesh.ply"]
    nodes = trimesh.load_scene(tmp_path / "mesh.glb").graph.nodes_geometry
    assert set(nodes) == set(CLASSES)
    vertices = np.asarray(trimesh.load_mesh(tmp_path / "mesh.ply").vertices)
    assert np.median(distance_to_box(vertices, *ROOM)) < 0.1 and np.ptp(vertices, axis=0).max() > 3.0


def test_other_split_and_moved_photographs(run: Path, scene_folder: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(scene_folder, tmp_path / "elsewhere")
    out = tmp_path / "out"
    arguments = ["--what", "masks", "--split", "train", "--data", str(moved), "--out", str(out)]
    assert main(["export", str(run), *arguments]) == 0
    names = {path.stem for path in (out / "masks" / "train").glob("*.png")}
    assert len(names) == 10 and names.isdisjoint(HELD_OUT)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--what", "points", "--views", "1"], "at least 2 views"),
        (["--what", "boxes", "--side", "4"], "at least 16 pixels"),
        (["--what"], "--what names nothing"),
        (["--data", "{run}/gone"], "gone"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], named: str, run: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    assert main(["export", str(run), "--out", str(out), *(word.format(run=run) for word in arguments)]) == 2
    printed = capsys.readouterr().err.strip()
    assert named in printed and "\n" not in printed and not out.exists()
