"""Meshes: a sphere's views give a sphere, its halves are named nodes, and missing libraries end in one sentence."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from trimesh.visual.color import ColorVisuals

from ovs3d.errors import UserError
from ovs3d.export import mesh as module
from ovs3d.export.mesh import cut_into_classes, fuse_mesh, label_vertices, to_linear, write_meshes
from ovs3d.export.pointcloud import LabelledPoints, fuse
from tests.export.synthetic import sphere_views

CLASSES = ("lower/half", "obere Hälfte", "nowhere")


@pytest.fixture(scope="module")
def cloud() -> LabelledPoints:
    return fuse(sphere_views())


@pytest.fixture(scope="module")
def sphere(cloud: LabelledPoints) -> trimesh.Trimesh:
    pytest.importorskip("open3d", reason="meshes need open3d", exc_type=ImportError)
    return fuse_mesh(sphere_views(), cloud.voxel)


def test_views_of_a_sphere_give_its_surface(sphere: trimesh.Trimesh, cloud: LabelledPoints) -> None:
    radius = np.linalg.norm(sphere.vertices, axis=-1)
    assert np.abs(np.median(radius) - 1.0) < 0.1 * cloud.voxel and np.abs(radius - 1.0).max() < 0.6 * cloud.voxel
    assert np.abs(sphere.vertices.mean(axis=0)).max() < 0.1 * cloud.voxel, "not shifted by half a pixel"
    assert sphere.area == pytest.approx(4.0 * np.pi, rel=0.05)
    outwards = (sphere.face_normals * sphere.triangles_center).sum(axis=-1)
    assert (outwards > 0.5).mean() > 0.99
    assert isinstance(sphere.visual, ColorVisuals)
    above = sphere.vertices[:, 2] > 2.0 * cloud.voxel
    assert (np.abs(sphere.visual.vertex_colors[above][:, :3] - [200.0, 0.0, 0.0]) <= 2.0).mean() > 0.99


def test_small_pieces_are_dropped(sphere: trimesh.Trimesh, cloud: LabelledPoints) -> None:
    views = sphere_views()
    views[0].depth[2:4, 2:4] = 1.0  # Floats beside the sphere.
    assert np.linalg.norm(fuse_mesh(views, cloud.voxel).vertices, axis=-1).max() < 1.1


def test_triangles_go_to_the_class_of_most_corners() -> None:
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [2, 0, 0]], float)
    mesh = trimesh.Trimesh(corners, [[0, 1, 2], [1, 3, 2], [1, 4, 3]], process=False)
    parts = cut_into_classes(mesh, np.array([0, 0, 1, 1, 2]), CLASSES)
    assert {name: len(part.faces) for name, part in parts.items()} == {"lower/half": 2, "obere Hälfte": 1}
    np.testing.assert_array_equal(parts["obere Hälfte"].triangles[0], corners[[1, 3, 2]])


def test_files_are_read_back(sphere: trimesh.Trimesh, cloud: LabelledPoints, tmp_path: Path) -> None:
    labels = label_vertices(sphere, cloud)
    write_meshes(tmp_path, sphere, labels, CLASSES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mesh.glb", "mesh.ply"]
    whole = trimesh.load_mesh(tmp_path / "mesh.ply", process=False)
    np.testing.assert_allclose(whole.vertices, sphere.vertices, atol=1e-6)
    assert np.array_equal(whole.metadata["_ply_raw"]["vertex"]["data"]["label"].ravel(), labels)
    scene = trimesh.load_scene(tmp_path / "mesh.glb")
    assert set(scene.graph.nodes_geometry) == {"lower/half", "obere Hälfte"}
    for name, side in (("lower/half", -1.0), ("obere Hälfte", 1.0)):
        turn, geometry = scene.graph[name]
        part = scene.geometry[geometry].copy().apply_transform(turn)
        assert np.quantile(side * part.vertices[:, 2], 0.05) > -cloud.voxel
        assert np.linalg.norm(part.vertices, axis=-1).max() < 1.1
    assert sum(len(part.faces) for part in scene.geometry.values()) == len(sphere.faces)


def test_colours_of_glb_are_linear_and_unlit(sphere: trimesh.Trimesh, cloud: LabelledPoints, tmp_path: Path) -> None:
    coloured: Any = sphere.copy()
    coloured.visual.vertex_colors = np.tile(np.array([188, 0, 255, 255], np.uint8), (len(sphere.vertices), 1))
    write_meshes(tmp_path, coloured, label_vertices(sphere, cloud), CLASSES)
    data = (tmp_path / "mesh.glb").read_bytes()
    length = int.from_bytes(data[12:16], "little")
    tree, binary = json.loads(data[20 : 20 + length]), data[28 + length :]
    assert tree["materials"][0]["extensions"] == {"KHR_materials_unlit": {}}
    assert "KHR_materials_unlit" in tree["extensionsUsed"]
    for mesh in tree["meshes"]:
        (primitive,) = mesh["primitives"]
        assert primitive["material"] == 0
        view = tree["bufferViews"][tree["accessors"][primitive["attributes"]["COLOR_0"]]["bufferView"]]
        start = view.get("byteOffset", 0)
        # 188 is half of the light of white in sRGB.
        assert tuple(binary[start : start + 4]) == (128, 0, 255, 255)
    whole: Any = trimesh.load_mesh(tmp_path / "mesh.ply")
    assert np.asarray(whole.visual.vertex_colors)[0].tolist() == [188, 0, 255, 255]


@pytest.mark.parametrize(("srgb", "linear"), [(0, 0), (10, 1), (64, 13), (128, 55), (188, 128), (255, 255)])
def test_transfer_curve_of_srgb(srgb: int, linear: int) -> None:
    assert to_linear(np.array([[srgb, srgb, srgb, 7]], np.uint8)).tolist() == [[linear, linear, linear, 7]]


def test_missing_system_library_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise OSError("libusb-1.0.so.0: cannot open shared object file")

    monkeypatch.setattr(module, "import_module", refuse)
    with pytest.raises(UserError, match=r"libusb-1\.0\.so\.0.*apt install") as caught:
        fuse_mesh(sphere_views(2), 0.1)
    assert "\n" not in str(caught.value)
