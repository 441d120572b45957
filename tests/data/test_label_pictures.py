"""Label pictures laid out as ScanNet and Replica have them, taken over into a scene."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ovs3d.cli.main import main
from ovs3d.data.dataparser import OVS3DDataParserConfig
from ovs3d.data.label_pictures import convert_labels, read_names
from ovs3d.data.labels import load_label_map
from ovs3d.errors import UserError
from tests.data.scene_writer import HEIGHT, WIDTH, image_name, write_replica, write_scannet, write_transforms

TSV = """id\traw_category\tcategory\tcount\tnyu40id\teigen13id\tnyu40class
1\twall\twall\t8277\t1\t12\twall
2\tchair\tchair\t4646\t5\t4\tchair
22\tceiling: white\tceiling\t3047\t22\t3\tceiling
1163\tobject\tobject\t2000\t40\t7\totherprop
9\toffice chair\tchair\t595\t5\t4\tchair
13\tbanner\tbanner\t1\t\t\t
"""
REPLICA = {
    "classes": [{"id": 12, "name": "bin"}, {"id": 40, "name": "floor"}],
    "objects": [
        {"id": 3, "class_id": 12, "class_name": "bin", "oriented_bbox": {}},
        {"id": 7, "class_id": 40, "class_name": "floor", "oriented_bbox": {}},
        {"id": 8, "class_id": 40, "class_name": "floor", "oriented_bbox": {}},
    ],
    "id_to_label": [-1, -1, -1, 12, -1, -1, -1, 40, 40],
}


@pytest.fixture
def scannet(tmp_path: Path) -> Path:
    """ScanNet's layout: 16-bit raw ids in `label-filt`, named as the photographs; 0 is not annotated."""
    scene = write_scannet(tmp_path / "scene0000_00", 10)
    (tmp_path / "scannetv2-labels.combined.tsv").write_text(TSV)
    (scene / "label-filt").mkdir()
    for index in range(10):
        ids = np.zeros((2 * HEIGHT, 2 * WIDTH), np.uint16)
        ids[: HEIGHT // 2], ids[-HEIGHT:, :WIDTH], ids[-HEIGHT:, WIDTH:] = 1163, 9, 2
        ids[0, 0] = 22
        Image.fromarray(ids).save(scene / "label-filt" / f"{index}.png")
    return scene


@pytest.fixture
def replica(tmp_path: Path) -> Path:
    """Replica as Semantic-NeRF renders it: numbers from 0 in another name, class ids or object ids."""
    scene = write_replica(tmp_path / "room_0", 20)
    (scene / "info_semantic.json").write_text(json.dumps(REPLICA))
    for kind, (left, right) in {"semantic_class": (12, 40), "semantic_instance": (3, 8)}.items():
        (scene / kind).mkdir()
        for number in range(0, 16, 2):
            ids = np.full((HEIGHT, WIDTH), left, np.uint16)
            ids[:, WIDTH // 2 :], ids[0] = right, 0
            Image.fromarray(ids).save(scene / kind / f"{kind}_{number}.png")
    return scene


def held_out_labels(scene: Path, words: tuple[str, ...]) -> np.ndarray | None:
    """Labels of the first held-out view as indices into `words`, by the way that evaluation takes."""
    outputs = OVS3DDataParserConfig(data=scene, classes=words).setup().get_dataparser_outputs("test")
    return load_label_map(outputs.metadata["label_paths"][0], outputs.metadata["label_names"], words, (HEIGHT, WIDTH))


def test_scannet_ids_become_labels_of_their_names(scannet: Path) -> None:
    table = read_names(scannet.parent / "scannetv2-labels.combined.tsv")
    done = convert_labels(scannet, scannet / "label-filt", table)
    assert done.names == ("chair", "office chair", "ceiling white", "object") and done.unnamed == (0,)
    assert (done.pictures, done.views) == (9, 9)
    found = held_out_labels(scannet, ("office chair", "object"))
    assert found is not None
    assert (found[: HEIGHT // 4, 1:] == 1).all() and (found[HEIGHT // 4 : HEIGHT // 2] == -1).all()
    assert (found[HEIGHT // 2 :, : WIDTH // 2] == 0).all() and (found[HEIGHT // 2 :, WIDTH // 2 :] == -1).all()


def test_ids_of_one_name_are_one_class(scannet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = scannet.parent / "scannetv2-labels.combined.tsv"
    where = ["--pictures", str(scannet / "label-filt"), "--table", str(table)]
    assert main(["labels", str(scannet), *where, "--names", "nyu40class"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "9 of 9" in printed and "3 classes: chair, ceiling, otherprop" in printed
    found = held_out_labels(scannet, ("chair", "otherprop"))
    assert found is not None and (found[HEIGHT // 2 :] == 0).all()


def test_pictures_may_hold_another_columns_ids(scannet: Path) -> None:
    names = read_names(scannet.parent / "scannetv2-labels.combined.tsv", "nyu40class", "nyu40id")
    assert names == {1: "wall", 5: "chair", 22: "ceiling", 40: "otherprop"}


@pytest.mark.parametrize(("kind", "names"), [("semantic_class", None), ("semantic_instance", "objects")])
def test_replica_classes_and_objects(replica: Path, kind: str, names: str | None) -> None:
    done = convert_labels(replica, replica / kind, read_names(replica / "info_semantic.json", names))
    assert done.names == ("bin", "floor") and (done.pictures, done.views) == (8, 10)
    found = held_out_labels(replica, ("floor", "bin"))
    assert found is not None and (found[0] == -1).all()
    assert (found[1:, : WIDTH // 2] == 1).all() and (found[1:, WIDTH // 2 :] == 0).all()


def test_more_than_255_classes_need_sixteen_bits(tmp_path: Path) -> None:
    scene = write_transforms(tmp_path / "scene", count=2)
    ids = (np.arange(HEIGHT * WIDTH) % 300).reshape(HEIGHT, WIDTH).astype(np.uint16)
    (scene / "ids").mkdir()
    for index in range(2):
        Image.fromarray(ids).save(scene / "ids" / image_name(index))
    convert_labels(scene, scene / "ids", {number: f"class {number}" for number in range(1, 300)})
    found = held_out_labels(scene, ("class 299", "class 1"))
    assert found is not None
    np.testing.assert_array_equal(found, np.where(ids == 299, 0, np.where(ids == 1, 1, -1)))


def test_nothing_is_left_behind_when_a_picture_cannot_be_used(scannet: Path) -> None:
    Image.new("RGB", (WIDTH, HEIGHT)).save(scannet / "label-filt" / "9.png")
    before = sorted(scannet.iterdir())
    with pytest.raises(UserError, match=r"9\.png is a picture of mode RGB"):
        convert_labels(scannet, scannet / "label-filt", {2: "chair"})
    assert sorted(scannet.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "content", "arguments", "named"),
    [
        ("a.tsv", "number\tname\n1\twall\n", (), "--ids"),
        ("a.tsv", "id\twords\n1\twall\n", (), "--names"),
        ("a.tsv", "id\tname\n", (), "names no label"),
        ("a.tsv", "id\tname\n1\t\n", (), "names no label"),
        ("a.json", "[", (), "JSON"),
        ("a.json", '{"objects": []}', (), "'classes'"),
        ("a.json", '{"classes": [{"id": 1}]}', (), "class_name"),
    ],
)
def test_tables_that_cannot_be_used_are_named(
    name: str, content: str, arguments: tuple[str, ...], named: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=f"{name} .*{named}"):
        read_names(tmp_path / name, *arguments)


def test_wrong_places_are_named(scannet: Path) -> None:
    with pytest.raises(UserError, match="none of which the table names"):
        convert_labels(scannet, scannet / "label-filt", {500: "chair"})
    with pytest.raises(UserError, match="is named or numbered as one photograph"):
        convert_labels(scannet, scannet / "nowhere", {2: "chair"})
    (scannet / "labels").mkdir()
    with pytest.raises(UserError, match="labels exists; remove it"):
        convert_labels(scannet, scannet / "label-filt", {2: "chair"})
