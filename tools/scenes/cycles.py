"""The slow renderer: Blender's path tracer on the same meshes, textures, lights and cameras as the ray caster."""

import contextlib
import importlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from .cameras import Camera
from .compiled import Part
from .raycast import Compiled

# Blender's package makes its attributes when it is imported, so a type checker cannot see them.
bpy: Any = importlib.import_module("bpy")
SENSOR_MM = 36.0


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Sends what Blender writes to standard output, past Python, to nowhere."""
    kept, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(null)


def _mesh(part: Part) -> Any:
    """A Blender mesh with UVs in texture tiles and our shading normals."""
    mesh = bpy.data.meshes.new(part.name)
    mesh.from_pydata(part.mesh.vertices.tolist(), [], part.mesh.faces.tolist())
    layer = mesh.uv_layers.new(name="tiles")
    tiles = part.mesh.uv / np.asarray(part.texture.metres)
    layer.data.foreach_set("uv", tiles[part.mesh.faces.reshape(-1)].astype(np.float32).reshape(-1))
    mesh.polygons.foreach_set("use_smooth", np.ones(len(mesh.polygons), dtype=bool))
    mesh.normals_split_custom_set_from_vertices(part.mesh.normals.tolist())
    mesh.update()
    return mesh


def _image(part: Part) -> Any:
    """The texture; Blender's first row is v = 0, as is ours."""
    pixels = part.texture.pixels
    h, w = pixels.shape[:2]
    image = bpy.data.images.new(part.name, w, h)
    rgba = np.ones((h, w, 4), dtype=np.float32)
    rgba[..., :3] = pixels / 255.0
    image.pixels.foreach_set(rgba.reshape(-1))
    image.pack()
    return image


def _material(part: Part, radiance: tuple[float, float, float]) -> Any:
    """A diffuse or softly glossy surface, or a light that shines from its front only."""
    material = bpy.data.materials.new(part.name)
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    output, texture = nodes.new("ShaderNodeOutputMaterial"), nodes.new("ShaderNodeTexImage")
    texture.image = _image(part)
    if part.light is None:
        # A plain diffuse node where it will do: the principled one costs a third more time.
        shader = nodes.new("ShaderNodeBsdfPrincipled" if part.glossy > 0 else "ShaderNodeBsdfDiffuse")
        if part.glossy > 0:
            shader.inputs["Roughness"].default_value = 0.38
            shader.inputs["Specular IOR Level"].default_value = 0.6 * part.glossy
        links.new(texture.outputs["Color"], shader.inputs[0])
        links.new(shader.outputs["BSDF"], output.inputs["Surface"])
        return material
    shader, scale, mix = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeMix"), nodes.new("ShaderNodeMixShader")
    scale.data_type, scale.blend_type = "RGBA", "MULTIPLY"
    scale.inputs["Factor"].default_value = 1.0
    strongest = max(radiance)
    sockets = [socket for socket in scale.inputs if socket.type == "RGBA"]
    links.new(texture.outputs["Color"], sockets[0])
    sockets[1].default_value = (*(value / strongest for value in radiance), 1.0)
    result = next(socket for socket in scale.outputs if socket.type == "RGBA")
    links.new(result, shader.inputs["Color"])
    shader.inputs["Strength"].default_value = strongest
    side, dark = nodes.new("ShaderNodeNewGeometry"), nodes.new("ShaderNodeBsdfDiffuse")
    links.new(side.outputs["Backfacing"], mix.inputs[0])
    links.new(shader.outputs["Emission"], mix.inputs[1])
    links.new(dark.outputs["BSDF"], mix.inputs[2])
    links.new(mix.outputs["Shader"], output.inputs["Surface"])
    return material


def _settings(width: int, height: int, samples: int, threads: int) -> None:
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = width, height, 100
    scene.render.threads_mode, scene.render.threads = "FIXED", threads
    scene.render.use_persistent_data = True
    scene.render.image_settings.file_format = "PNG"
    cycles = scene.cycles
    cycles.device, cycles.samples, cycles.seed = "CPU", samples, 0
    cycles.use_adaptive_sampling = cycles.use_light_tree = False
    cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 5, 4, 2
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.sample_clamp_indirect = 4.0
    cycles.filter_width = 1.1
    # Plain sRGB, as the ray caster: a filmic curve would shift every colour that encoders learn.
    scene.view_settings.view_transform, scene.view_settings.look = "Standard", "None"
    scene.world = bpy.data.worlds.new("dark")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Strength"].default_value = 0.0


class CyclesRenderer:
    """One scene in Blender, ready for any number of views.

    There is one Blender in a process, so making a second renderer ends the first.
    """

    def __init__(self, compiled: Compiled, width: int, height: int, samples: int, threads: int) -> None:
        with _silent():
            bpy.ops.wm.read_factory_settings(use_empty=True)
            _settings(width, height, samples, threads)
            for part, radiance in zip(compiled.geometry.parts, compiled.emitted, strict=True):
                mesh = _mesh(part)
                red, green, blue = (float(value) for value in radiance)
                mesh.materials.append(_material(part, (red, green, blue)))
                bpy.context.scene.collection.objects.link(bpy.data.objects.new(part.name, mesh))
            self._camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
            self._camera.data.sensor_fit, self._camera.data.sensor_width = "HORIZONTAL", SENSOR_MM
            self._camera.data.clip_start, self._camera.data.clip_end = 0.02, 100.0
            bpy.context.scene.collection.objects.link(self._camera)
            bpy.context.scene.camera = self._camera

    def render(self, camera: Camera) -> UInt8[ndarray, "h w 3"]:
        """One path-traced, denoised view."""
        self._camera.data.lens = camera.focal * SENSOR_MM
        self._camera.matrix_world = camera.camera_to_world.T.tolist()
        with tempfile.TemporaryDirectory() as folder, _silent():
            path = Path(folder) / "view.png"
            bpy.context.scene.render.filepath = str(path)
            bpy.ops.render.render(write_still=True)
            return np.asarray(Image.open(path).convert("RGB"))
