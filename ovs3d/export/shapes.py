"""Points, their features, meshes and boxes of a scene, from one rendering of its training views."""

from collections.abc import Collection
from pathlib import Path

from ovs3d.export.boxes import find_boxes, write_boxes
from ovs3d.export.features import write_features
from ovs3d.export.mesh import fuse_mesh, label_vertices, write_meshes
from ovs3d.export.pointcloud import fuse, write_ply
from ovs3d.export.views import render_views
from ovs3d.scene import Scene


def write_shapes(scene: Scene, what: Collection[str], folder: Path, count: int, side: int) -> list[Path]:
    """Writes points.ply, features.npz, boxes.json, mesh.ply and mesh.glb, in the coordinates and units of the data.

    Args:
        scene: a trained run.
        what: of "points", "features", "boxes" and "mesh".
        folder: where to write.
        count: training views to render, at most.
        side: longest side of these views in pixels.

    Returns:
        The files.

    Raises:
        UserError: the run shows no surface, or a mesh is asked for and Open3D does not load.
    """
    views = list(render_views(scene, count, side))
    cloud = fuse(views)
    written = []
    if "points" in what:
        write_ply(folder / "points.ply", cloud)
        written.append(folder / "points.ply")
    if "features" in what:
        write_features(folder / "features.npz", scene, cloud)
        written.append(folder / "features.npz")
    if "boxes" in what:
        write_boxes(folder / "boxes.json", find_boxes(cloud, len(scene.classes)), scene.classes)
        written.append(folder / "boxes.json")
    if "mesh" in what:
        mesh = fuse_mesh(views, cloud.voxel)
        write_meshes(folder, mesh, label_vertices(mesh, cloud), scene.classes)
        written += [folder / "mesh.ply", folder / "mesh.glb"]
    return written
