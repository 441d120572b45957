"""Points, meshes and boxes of a scene, from one rendering of its training views."""

from collections.abc import Collection
from pathlib import Path

from ovs3d.export.boxes import find_boxes, write_boxes
from ovs3d.export.mesh import fuse_mesh, label_vertices, write_meshes
from ovs3d.export.pointcloud import fuse, write_ply
from ovs3d.export.views import render_views
from ovs3d.scene import Scene


def write_shapes(scene: Scene, what: Collection[str], folder: Path, count: int, side: int) -> None:
    """Writes points.ply, boxes.json, mesh.ply and mesh.glb, in the coordinates and units of the data.

    Args:
        scene: a trained run.
        what: of "points", "boxes" and "mesh".
        folder: where to write.
        count: training views to render, at most.
        side: longest side of these views in pixels.

    Raises:
        UserError: the run shows no surface, or a mesh is asked for and Open3D does not load.
    """
    views = list(render_views(scene, count, side))
    cloud = fuse(views)
    if "points" in what:
        write_ply(folder / "points.ply", cloud)
    if "boxes" in what:
        write_boxes(folder / "boxes.json", find_boxes(cloud, len(scene.classes)), scene.classes)
    if "mesh" in what:
        mesh = fuse_mesh(views, cloud.voxel)
        write_meshes(folder, mesh, label_vertices(mesh, cloud), scene.classes)
