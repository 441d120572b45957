"""Meshes: rendered depth fused in a signed distance volume, coloured, and cut into classes."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Int64, UInt8
from scipy.spatial import KDTree

from ovs3d.errors import UserError
from ovs3d.export.pointcloud import MIN_VIEWS, LabelledPoints
from ovs3d.export.views import RenderedView
from ovs3d.files import whole_file
from ovs3d.palette import srgb_to_linear

TRUNCATION = 4.0
"""Voxels to either side of a surface in which distances to it are kept."""
MIN_TRIANGLES = 50
"""Connected pieces of fewer triangles float in the air, and are dropped."""
BLOCK, FIRST_BLOCKS = 8, 10_000
"""Voxels along a side of the blocks of the volume, and how many blocks there is room for at first; it grows."""
NO_SURFACE = "The run shows no surface that a mesh could be made of; train its geometry for more steps."


def import_open3d() -> Any:
    """Open3D, which takes seconds to load.

    Raises:
        UserError: it, or a library of the system that it needs, is missing.
    """
    try:
        return import_module("open3d")
    except (ImportError, OSError) as error:
        raise UserError(
            f"Open3D, which meshes are made with, does not load ({str(error).splitlines()[0]}); "
            "install the system's libusb-1.0 (Debian: apt install libusb-1.0-0), or pass --what masks points boxes."
        ) from error


def fuse_mesh(views: Sequence[RenderedView], voxel: float) -> trimesh.Trimesh:
    """The surface that the views show, with vertex colours, in the world of the views.

    Args:
        views: at least one.
        voxel: side of the voxels, in units of that world.

    Raises:
        UserError: Open3D does not load, or the views show no surface.
    """
    o3d = import_open3d()
    core, image = o3d.core, o3d.t.geometry.Image
    volume = o3d.t.geometry.VoxelBlockGrid(
        attr_names=("tsdf", "weight", "color"),
        attr_dtypes=(core.float32, core.float32, core.float32),
        attr_channels=((1), (1), (3)),
        voxel_size=voxel,
        block_resolution=BLOCK,
        block_count=FIRST_BLOCKS,
        device=core.Device("CPU:0"),
    )
    for view in views:
        if not view.depth.any():
            continue
        depth, rgb = image(np.ascontiguousarray(view.depth)), image(view.rgb.astype(np.float32) / 255.0)
        (fx, fy), (cx, cy) = view.focal, view.centre
        lens = core.Tensor(np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]))
        world_to_camera = np.eye(4)
        world_to_camera[:3, :3] = np.linalg.inv(view.rotation)
        world_to_camera[:3, 3] = -world_to_camera[:3, :3] @ view.position
        pose, farthest = core.Tensor(world_to_camera), 2.0 * float(view.depth.max())
        blocks = volume.compute_unique_block_coordinates(depth, lens, pose, 1.0, farthest, TRUNCATION)
        volume.integrate(blocks, depth, rgb, lens, lens, pose, 1.0, farthest, TRUNCATION)
    surface = volume.extract_triangle_mesh(float(min(MIN_VIEWS, len(views))))
    if "positions" not in surface.vertex or len(surface.triangle.indices) == 0:
        raise UserError(NO_SURFACE)
    vertices, faces = surface.vertex.positions.numpy(), surface.triangle.indices.numpy()
    colours = (surface.vertex.colors.numpy() * 255.0).round().astype(np.uint8)
    return without_small_pieces(trimesh.Trimesh(vertices, faces, vertex_colors=colours, process=False))


def without_small_pieces(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """The mesh without its small pieces.

    Raises:
        UserError: all pieces are small.
    """
    piece = trimesh.graph.connected_component_labels(mesh.face_adjacency, node_count=len(mesh.faces))
    kept = np.flatnonzero(np.bincount(piece)[piece] >= MIN_TRIANGLES)
    if len(kept) == 0:
        raise UserError(NO_SURFACE)
    return _part(mesh, kept)


def _part(mesh: trimesh.Trimesh, faces: Int64[np.ndarray, " faces"]) -> trimesh.Trimesh:
    """Some of the triangles with their vertices and colours."""
    part = mesh.submesh([faces], append=True, repair=False)
    assert isinstance(part, trimesh.Trimesh)
    return part


def label_vertices(mesh: trimesh.Trimesh, cloud: LabelledPoints) -> Int64[np.ndarray, " vertices"]:
    """The label of the point nearest to each vertex."""
    return cloud.labels[KDTree(cloud.points).query(mesh.vertices)[1]]


def cut_into_classes(
    mesh: trimesh.Trimesh, labels: Int64[np.ndarray, " vertices"], classes: Sequence[str]
) -> dict[str, trimesh.Trimesh]:
    """One mesh for each class that has a triangle; a triangle is of the class of most of its corners."""
    first, second, third = labels[mesh.faces].T
    label = np.where(second == third, second, first)
    parts = {name: np.flatnonzero(label == index) for index, name in enumerate(classes)}
    return {name: _part(mesh, faces) for name, faces in parts.items() if len(faces) > 0}


def write_meshes(
    folder: Path, mesh: trimesh.Trimesh, labels: Int64[np.ndarray, " vertices"], classes: Sequence[str]
) -> None:
    """Writes mesh.ply, whole, with the vertices' labels, and mesh.glb, one node for each class, named as the class.

    Colours are sRGB in mesh.ply, and linear in mesh.glb, as glTF wants them of vertices.
    """
    labelled = mesh.copy()
    labelled.vertex_attributes["label"] = labels.astype(np.int32)
    with whole_file(folder / "mesh.ply") as draft:
        labelled.export(draft)
    scene = trimesh.Scene()
    for name, part in cut_into_classes(mesh, labels, classes).items():
        visual: Any = part.visual
        visual.vertex_colors = to_linear(np.asarray(visual.vertex_colors))
        scene.add_geometry(part, node_name=name, geom_name=name)
    with whole_file(folder / "mesh.glb") as draft:
        scene.export(draft, tree_postprocessor=_unlit)


def to_linear(srgb: UInt8[np.ndarray, "n 4"]) -> UInt8[np.ndarray, "n 4"]:
    """Colours that are proportional to light, from those of pictures; the alpha stays."""
    linear = srgb_to_linear(srgb[:, :3] / 255.0)
    return np.concatenate([(255.0 * linear).round().astype(np.uint8), srgb[:, 3:]], axis=-1)


def _unlit(tree: dict[str, Any]) -> None:
    """Photographs have their light in them: without this material, viewers take the mesh for metal in a dark room."""
    tree["materials"] = [{"pbrMetallicRoughness": {"metallicFactor": 0.0}, "extensions": {"KHR_materials_unlit": {}}}]
    tree["extensionsUsed"] = [*tree.get("extensionsUsed", []), "KHR_materials_unlit"]
    for mesh in tree["meshes"]:
        for primitive in mesh["primitives"]:
            primitive["material"] = 0
