"""The scene generator: what it promises about words, geometry, cameras, pictures and files."""

import importlib.util
import itertools
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("open3d", reason="the ray caster needs open3d", exc_type=ImportError)

from tools.scenes import Compiled, cameras, compile_scene, is_held_out, raycast_view, sample_scene
from tools.scenes.cameras import look_at
from tools.scenes.dataset import write_dataset
from tools.scenes.meshes import even_quad, lathe
from tools.scenes.shapes import build_shape
from tools.scenes.textures import object_texture
from tools.scenes.vocabulary import COLOURS, PATTERNS, SHAPES, all_triples, parse_triple

PAIR = ("red striped cone", "red checkered cone")
SIZE = (64, 48)


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return compile_scene(sample_scene(7, required=PAIR))


def test_a_fifth_or_more_of_all_triples_is_held_out() -> None:
    triples = all_triples()
    assert len(triples) == len(SHAPES) * len(COLOURS) * len(PATTERNS) == len({t.name for t in triples})
    assert 0.20 <= np.mean([is_held_out(t) for t in triples]) <= 0.30


def test_held_out_set_never_changes() -> None:
    # Trained encoders depend on these; a change of the hash would leak test words into training.
    names = [t.name for t in all_triples() if is_held_out(t)]
    assert "red striped cone" in names
    assert "red checkered cone" not in names


def test_names_round_trip() -> None:
    assert all(parse_triple(t.name) == t for t in all_triples()[::13])
    with pytest.raises(ValueError, match="red stripy cone"):
        parse_triple("red stripy cone")


@pytest.mark.parametrize("seed", range(0, 60, 3))
def test_sampled_scene_keeps_its_rules(seed: int) -> None:
    scene = sample_scene(seed, allow_held_out=False)
    assert scene == sample_scene(seed, allow_held_out=False)
    assert 8 <= len(scene.objects) <= 12
    looks = [(o.triple.colour, o.triple.pattern) for o in scene.objects]
    assert len(set(looks)) == len(looks)
    assert scene.held_out == ()
    names = [info.name for info in scene.classes]
    assert len(set(names)) == len(names) < 255
    for a, b in itertools.combinations(scene.objects, 2):
        assert np.hypot(a.position[0] - b.position[0], a.position[1] - b.position[1]) > (a.size + b.size) / 2


def test_required_objects_are_present_and_conflicts_refused() -> None:
    scene = sample_scene(7, required=PAIR)
    assert set(PAIR) <= {o.triple.name for o in scene.objects}
    assert scene.required == PAIR
    with pytest.raises(ValueError, match="share colour and pattern"):
        sample_scene(7, required=("red striped cone", "red striped box"))


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_face_outward_and_stand_on_the_ground(shape: str) -> None:
    mesh = build_shape(shape, 0.4, np.random.default_rng(3))
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    assert np.sum(a * np.cross(b, c)) / 6 > 0.001  # Signed volume: positive only when faces turn outward.
    assert abs(mesh.vertices[:, 2].min()) < 1e-6
    assert 0.15 < np.ptp(mesh.vertices, axis=0).max() < 0.5
    geometric = np.cross(b - a, c - a)
    large = np.linalg.norm(geometric, axis=1) > 1e-10
    assert np.all(np.sum(geometric * mesh.normals[mesh.faces].mean(axis=1), axis=1)[large] > 0)


def _uv_stretch(vertices: np.ndarray, uv: np.ndarray, faces: np.ndarray) -> np.ndarray:
    area = 0.5 * np.linalg.norm(
        np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]]), axis=1
    )
    e, f = uv[faces[:, 1]] - uv[faces[:, 0]], uv[faces[:, 2]] - uv[faces[:, 0]]
    return 0.5 * np.abs(e[:, 0] * f[:, 1] - e[:, 1] * f[:, 0])[area > 1e-9] / area[area > 1e-9]


def test_uvs_are_metres() -> None:
    quad = even_quad((0, 0, 0), (0.6, 0, 0), (0, 0.3, 0.4), 0.1)
    assert np.allclose(_uv_stretch(quad.vertices, quad.uv, quad.faces), 1.0)
    slope = np.stack([np.linspace(0.3, 1e-3, 9), np.linspace(0, 0.5, 9)], -1)
    cone = lathe(slope, segments=200, cone=True)
    assert np.allclose(_uv_stretch(cone.vertices, cone.uv, cone.faces), 1.0, atol=2e-3)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_repeat_and_differ_clearly(pattern: str) -> None:
    texture = object_texture("blue", pattern, 0.1, np.random.default_rng(0))
    assert texture.metres == (0.4, 0.4)
    grey = texture.pixels.astype(float).mean(axis=-1)
    low, high = np.quantile(grey, [0.08, 0.92])
    assert (high - low > 25) == (pattern != "plain")
    # Tiles join without a seam: opposite edges differ no more than neighbouring columns do.
    assert np.abs(grey[:, 0] - grey[:, -1]).mean() <= 1.5 * np.abs(np.diff(grey, axis=1)).mean(axis=0).max()


def test_depth_and_labels_agree_with_an_empty_room_by_hand(compiled: Compiled) -> None:
    camera = cameras(compiled.geometry.description, 4, 0)[0][0]
    view = raycast_view(compiled, camera, *SIZE)
    floor = [info.name for info in compiled.geometry.description.classes].index(
        compiled.geometry.description.room.floor
    )
    rows, columns = np.nonzero(view.label == floor)
    assert len(rows) > 50
    # A floor pixel's depth is where its ray meets z = 0: h / -d_z for a ray of unit length along the axis.
    focal = camera.focal * SIZE[0]
    local = np.stack([(columns + 0.5 - 32) / focal, -(rows + 0.5 - 24) / focal, -np.ones(len(rows))], -1)
    world = local @ camera.camera_to_world[:3, :3].T
    assert np.allclose(view.depth[rows, columns], camera.position[2] / -world[:, 2], atol=1e-3)


def test_surroundings_move_away_and_objects_stay(compiled: Compiled) -> None:
    description = compiled.geometry.description
    yard = description.in_a_yard(6.0)
    assert (yard.objects, yard.path, yard.furniture) == (description.objects, description.path, description.furniture)
    camera = look_at(np.array([2.0, 0.0, 1.0]), np.array([0.0, 0.0, 0.8]))
    near, far = raycast_view(compiled, camera, *SIZE), raycast_view(compile_scene(yard), camera, *SIZE)
    wall = [info.name for info in description.classes].index(description.room.wall)
    both = (near.label == wall) & (far.label == wall)
    assert both.sum() > 50 and np.median(far.depth[both] / near.depth[both]) > 3.0
    objects = near.label < len(description.objects)
    assert objects.sum() > 50 and np.array_equal(near.depth[objects], far.depth[objects])
    assert np.mean(far.label == 255) < 0.001 and 50 < far.rgb.mean() < 200


def test_raycast_is_deterministic_and_well_exposed(compiled: Compiled) -> None:
    camera = cameras(compiled.geometry.description, 3, 0)[0][0]
    first = raycast_view(compiled, camera, *SIZE)
    again = raycast_view(compile_scene(compiled.geometry.description), camera, *SIZE)
    assert np.array_equal(first.rgb, again.rgb)
    assert np.array_equal(first.label, again.label)
    assert 50 < first.rgb.mean() < 200
    assert np.mean(first.label == 255) < 0.001


def test_light_shines_from_its_front_and_shadows_fall(compiled: Compiled) -> None:
    light = compiled.geometry.description.lights[0]
    assert np.cross(light.edge_u, light.edge_v)[2] < 0  # A ceiling lamp shines down.
    irradiance = compiled.corner_data[..., 2:5]
    assert np.all(irradiance >= 0)
    assert np.all(np.isfinite(irradiance))
    floor = np.flatnonzero([part.name == compiled.geometry.description.room.floor for part in compiled.geometry.parts])
    on_floor = irradiance[np.isin(compiled.face_part, floor)].mean(axis=(1, 2))
    assert np.quantile(on_floor, 0.01) < 0.5 * np.median(on_floor)


@pytest.mark.parametrize("seed", [7, 101, 102, 103])
def test_cameras_surround_stay_clear_and_interpolate(seed: int) -> None:
    scene = sample_scene(seed)
    train, test = cameras(scene, 50, 12)
    assert (len(train), len(test)) == (50, 12)
    rotation = np.stack([c.camera_to_world[:3, :3] for c in train + test])
    assert np.allclose(rotation @ rotation.transpose(0, 2, 1), np.eye(3), atol=1e-9)
    position = np.stack([c.position for c in train])
    azimuth = np.sort(np.arctan2(position[:, 1], position[:, 0]))
    assert np.diff(np.append(azimuth, azimuth[0] + 2 * np.pi)).max() < np.radians(60)
    held_out = np.stack([c.position for c in test])
    nearest = np.sort(np.linalg.norm(held_out[:, None] - position[None], axis=-1), axis=1)
    assert nearest[:, 0].max() < 0.8
    for o in scene.objects:
        centre = np.array([*o.position[:2], o.position[2] + o.size / 2])
        assert np.linalg.norm(np.concatenate([position, held_out]) - centre, axis=1).min() > 0.5 * o.size + 0.3


def test_written_folder_follows_the_data_format(compiled: Compiled, tmp_path: Path) -> None:
    train, test = cameras(compiled.geometry.description, 3, 2)
    write_dataset(tmp_path, compiled, train, test, SIZE, "ray caster")
    written = json.loads((tmp_path / "transforms.json").read_text())
    names = [frame["file_path"] for frame in written["frames"]]
    assert written["train_filenames"] + written["test_filenames"] == names
    assert (written["w"], written["h"]) == SIZE
    words = (tmp_path / "classes.txt").read_text().splitlines()
    names = [info.name for info in compiled.geometry.description.classes]
    seen = {names[i] for camera in [*train, *test] for i in np.unique(raycast_view(compiled, camera, *SIZE).label)}
    assert words == [name for name in names if name in seen], "classes that no photograph shows are not listed"
    for frame, camera in zip(written["frames"], [*train, *test], strict=True):
        view = raycast_view(compiled, camera, *SIZE)
        label = np.asarray(Image.open(tmp_path / "labels" / f"{Path(frame['file_path']).stem}.png"))
        assert np.array_equal(np.array(words)[label], np.array(names)[view.label])
        depth = np.asarray(Image.open(tmp_path / frame["depth_file_path"]))
        assert np.abs(depth / 1000.0 - view.depth).max() < 6e-4
        photo = np.asarray(Image.open(tmp_path / frame["file_path"])).astype(int)
        assert np.abs(photo - view.rgb).mean() < 6
        assert np.allclose(frame["transform_matrix"], camera.camera_to_world, atol=1e-6)
    record = json.loads((tmp_path / "scene.json").read_text())
    assert "red striped cone" in record["held_out"]


def path_traced() -> np.ndarray:
    """The first view of the room by Cycles."""
    from tools.scenes.cycles import CyclesRenderer

    scene = compile_scene(sample_scene(7, required=PAIR))
    camera = cameras(scene.geometry.description, 3, 0)[0][0]
    return CyclesRenderer(scene, *SIZE, samples=24, threads=1).render(camera)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("bpy") is None, reason="needs Blender's bpy package")
def test_path_tracer_agrees_with_the_ray_caster(compiled: Compiled) -> None:
    # In a process of its own: Blender does not load where another package has loaded its own version of Embree.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        slow = pool.submit(path_traced).result().astype(float)
    camera = cameras(compiled.geometry.description, 3, 0)[0][0]
    fast = raycast_view(compiled, camera, *SIZE).rgb.astype(float)
    assert np.abs(slow.mean(axis=(0, 1)) - fast.mean(axis=(0, 1))).max() < 12
    assert np.corrcoef(slow.ravel(), fast.ravel())[0, 1] > 0.93


def test_bundled_scene_is_what_the_generator_makes() -> None:
    folder = Path(__file__).parents[2] / "data" / "room"
    record = json.loads((folder / "scene.json").read_text())
    scene = sample_scene(record["seed"], required=tuple(record["required"]))
    assert len(record["held_out"]) >= 2
    assert set(PAIR) <= {o.triple.name for o in scene.objects}
    written = json.loads((folder / "transforms.json").read_text())
    views = cameras(scene, len(written["train_filenames"]), len(written["test_filenames"]))
    camera = views[1][0]
    frame = next(f for f in written["frames"] if f["file_path"] == written["test_filenames"][0])
    assert np.allclose(frame["transform_matrix"], camera.camera_to_world, atol=1e-6)
    view = raycast_view(compile_scene(scene), camera, written["w"], written["h"])
    label = np.asarray(Image.open(folder / "labels" / f"{Path(frame['file_path']).stem}.png"))
    words, names = (
        np.array((folder / "classes.txt").read_text().splitlines()),
        np.array([c.name for c in scene.classes]),
    )
    # A pixel centre on an edge may fall to either side on another processor.
    assert np.mean(words[label] != names[view.label]) < 0.001
    assert np.abs(np.asarray(Image.open(folder / frame["file_path"])).astype(float) - view.rgb).mean() < 12


def test_objects_of_the_bundled_scene_are_large_enough() -> None:
    """In the views that show it, an object is on average as large as a square of a tenth of the picture's height."""
    folder = Path(__file__).parents[2] / "data" / "room"
    record = json.loads((folder / "scene.json").read_text())
    count = len(sample_scene(record["seed"], required=tuple(record["required"])).objects)
    labels = np.stack([np.asarray(Image.open(path)) for path in sorted((folder / "labels").glob("*.png"))])
    for k in range(count):
        areas = np.sum(labels == k, axis=(1, 2))
        assert np.mean(np.sqrt(areas[areas > 20])) > 0.1 * labels.shape[1]
