"""The fast renderer: one ray a pixel on the compiled meshes, baked light, mip-mapped textures, smoothed edges."""

from dataclasses import dataclass

import numpy as np
import open3d as o3d
from jaxtyping import Bool, Float, Int, UInt8
from numpy import ndarray

from ovs3d.palette import srgb_to_linear

from .cameras import Camera
from .compiled import Geometry, build_geometry
from .description import SceneDescription
from .lighting import bake, ray_scene
from .meshes import merge

IGNORE = 255
SHININESS = 40.0
SPECULAR = 0.12
EDGE_SAMPLES = np.array([(-0.375, -0.125), (0.125, -0.375), (0.375, 0.125), (-0.125, 0.375)])


def _srgb_table() -> UInt8[ndarray, "4097"]:
    """sRGB bytes of 4097 even steps of linear light."""
    linear = np.arange(4097) / 4096
    coded = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(255 * coded).astype(np.uint8)


_TO_BYTE = _srgb_table()
Hit = tuple[Int[ndarray, "rays"], Float[ndarray, "rays 2"], Float[ndarray, "rays"]]
"""Face index (past the end where nothing is), barycentric coordinates and distance of each ray."""


@dataclass(frozen=True)
class RaycastView:
    """A rendered view; `depth` is metres along the optical axis, 0 where nothing is, and `label` is 255 there."""

    rgb: UInt8[ndarray, "h w 3"]
    label: UInt8[ndarray, "h w"]
    depth: Float[ndarray, "h w"]


@dataclass(frozen=True)
class Compiled:
    """A scene ready to be rendered by either renderer.

    `atlas` holds every mip level of every texture as one list of linear colours; `levels[part, mip]` = (start, h, w).
    """

    geometry: Geometry
    scene: o3d.t.geometry.RaycastingScene
    corner_data: Float[ndarray, "faces 3 channels"]
    """Per face and corner: u, v in tiles, irradiance rgb, normal xyz, visibility of each light."""
    face_part: Int[ndarray, "faces"]
    labels: UInt8[ndarray, "parts"]
    glossy: Float[ndarray, "parts"]
    emitted: Float[ndarray, "parts 3"]
    atlas: Float[ndarray, "texels 3"]
    levels: Int[ndarray, "parts mips 3"]
    texels_per_metre: Float[ndarray, "parts"]
    light_points: Float[ndarray, "lights 3"]
    light_colours: Float[ndarray, "lights 3"]
    light_radiance: Float[ndarray, "lights 3"]
    """Radiance of each light after exposure, in the order of the description's lights."""


def _mip_atlas(geometry: Geometry, mips: int = 6) -> tuple[Float[ndarray, "texels 3"], Int[ndarray, "parts mips 3"]]:
    """Box-filtered levels of every texture, in linear light."""
    chunks, levels, start = [], [], 0
    for part in geometry.parts:
        level, rows = srgb_to_linear(part.texture.pixels / 255.0).astype(np.float32), []
        for _ in range(mips):
            h, w = level.shape[:2]
            chunks.append(level.reshape(-1, 3))
            rows.append((start, h, w))
            start += h * w
            if h % 2 == 0 and w % 2 == 0:
                level = 0.25 * (level[::2, ::2] + level[1::2, ::2] + level[::2, 1::2] + level[1::2, 1::2])
        levels.append(rows)
    return np.concatenate(chunks), np.array(levels, dtype=np.int32)


def compile_scene(description: SceneDescription) -> Compiled:
    """Builds the meshes, textures and light of a scene; about a second, and deterministic."""
    geometry = build_geometry(description)
    parts = geometry.parts
    mesh = merge([part.mesh for part in parts])
    scene = ray_scene(mesh.vertices, mesh.faces)
    lighting = bake(geometry, scene)
    tiles = np.concatenate([part.mesh.uv / np.asarray(part.texture.metres) for part in parts])
    data = np.concatenate([tiles, lighting.irradiance, mesh.normals, lighting.visibility], -1).astype(np.float32)
    atlas, levels = _mip_atlas(geometry)
    lights = iter(lighting.light_radiance)
    emitted = np.stack([np.zeros(3) if part.light is None else next(lights) for part in parts])
    centres = [np.add(spec.corner, np.add(spec.edge_u, spec.edge_v) * 0.5) for spec in description.lights]
    areas = [np.linalg.norm(np.cross(spec.edge_u, spec.edge_v)) for spec in description.lights]
    return Compiled(
        geometry,
        scene,
        data[mesh.faces],
        np.repeat(np.arange(len(parts)), [len(part.mesh.faces) for part in parts]),
        np.array([part.label for part in parts], dtype=np.uint8),
        np.array([part.glossy for part in parts], dtype=np.float32),
        emitted.astype(np.float32),
        atlas,
        levels,
        np.array([part.texture.pixels.shape[1] / part.texture.metres[0] for part in parts], dtype=np.float32),
        np.stack(centres).astype(np.float32),
        (lighting.light_radiance * np.array(areas)[:, None]).astype(np.float32),
        lighting.light_radiance,
    )


def _sample(
    compiled: Compiled, part: Int[ndarray, "rays"], uv: Float[ndarray, "rays 2"], footprint: Float[ndarray, "rays"]
) -> Float[ndarray, "rays 3"]:
    """Texture colours, bilinear in the mip level whose texels are about as large as the pixel's footprint in metres."""
    texels = footprint * compiled.texels_per_metre.take(part)
    mips = compiled.levels.shape[1]
    mip = np.clip(np.round(np.log2(np.maximum(texels, 1e-6))), 0, mips - 1).astype(np.int32)
    level = compiled.levels.reshape(-1, 3).take(part * mips + mip, axis=0)
    start, h, w = level[:, 0], level[:, 1], level[:, 2]
    size = level[:, 2:0:-1].astype(np.float32)
    xy = uv * size - np.float32(0.5)
    floor = np.floor(xy)
    fx, fy = (xy - floor).T[..., None]
    floor = (floor - size * np.floor(floor / size)).astype(np.int32)
    left, above = np.minimum(floor[:, 0], w - 1), np.minimum(floor[:, 1], h - 1)
    right, below = np.where(left + 1 == w, 0, left + 1), start + np.where(above + 1 == h, 0, above + 1) * w
    above = start + above * w
    take = compiled.atlas.take
    top = take(above + left, axis=0)
    top += (take(above + right, axis=0) - top) * fx
    bottom = take(below + left, axis=0)
    bottom += (take(below + right, axis=0) - bottom) * fx
    bottom -= top
    bottom *= fy
    top += bottom
    return top


def _highlights(
    compiled: Compiled,
    point: Float[ndarray, "rays 3"],
    view: Float[ndarray, "rays 3"],
    normal: Float[ndarray, "rays 3"],
    visibility: Float[ndarray, "rays lights"],
) -> Float[ndarray, "rays 3"]:
    """Blinn's highlight of every light, for a surface of full gloss; `view` and `normal` have unit length."""
    total = np.zeros_like(point)
    for k, (centre, strength) in enumerate(zip(compiled.light_points, compiled.light_colours, strict=True)):
        to_light = centre - point
        distance2 = np.einsum("ij,ij->i", to_light, to_light)
        half = to_light / np.sqrt(distance2)[:, None] + view
        half /= np.linalg.norm(half, axis=1, keepdims=True)
        lobe = np.maximum(np.einsum("ij,ij->i", normal, half), 0) ** SHININESS
        total += (SPECULAR * lobe * visibility[:, k] / distance2)[:, None] * strength
    return total


def _shade(
    compiled: Compiled, origin: Float[ndarray, "3"], direction: Float[ndarray, "rays 3"], hit: Hit, pixel_angle: float
) -> Float[ndarray, "rays 3"]:
    """Linear colours of rays whose direction has unit length along the optical axis."""
    face, bary, depth = hit
    missed = face >= len(compiled.face_part)
    face, depth = np.where(missed, 0, face), np.where(missed, np.float32(0), depth)
    channels = compiled.corner_data.shape[-1]
    corners = compiled.corner_data.reshape(len(compiled.corner_data), -1).take(face, axis=0)
    data = corners[:, :channels]
    data = data + bary[:, :1] * (corners[:, channels : 2 * channels] - data)
    data += bary[:, 1:] * (corners[:, 2 * channels :] - corners[:, :channels])
    part = compiled.face_part.take(face)
    normal = data[:, 5:8]
    length = np.sqrt(np.einsum("ij,ij->i", direction, direction))
    cos = np.abs(np.einsum("ij,ij->i", normal, direction)) / length
    # The geometric mean of the two axes of the footprint on a slanted surface: a compromise of blur and aliasing.
    footprint = depth * np.float32(pixel_angle) / np.sqrt(np.maximum(cos, np.float32(0.06)))
    albedo = _sample(compiled, part, data[:, :2], footprint)
    colour = albedo * data[:, 2:5]
    glowing = np.flatnonzero(compiled.emitted.any(axis=1).take(part))
    colour[glowing] = albedo[glowing] * compiled.emitted[part[glowing]]
    shiny = np.flatnonzero(compiled.glossy.take(part) > 0)
    if len(shiny) > 0:
        n = normal[shiny] / np.linalg.norm(normal[shiny], axis=1, keepdims=True)
        point, view = origin + direction[shiny] * depth[shiny, None], -direction[shiny] / length[shiny, None]
        gloss = compiled.glossy[part[shiny], None]
        colour[shiny] += gloss * _highlights(compiled, point, view, n, data[shiny, 8:])
    colour[missed] = 0.0
    return colour


def _cast(
    compiled: Compiled, camera: Camera, xy: Float[ndarray, "rays 2"], width: int, height: int
) -> tuple[Float[ndarray, "3"], Float[ndarray, "rays 3"], Hit]:
    """Casts rays through picture points `xy` (pixels); directions have unit length along the optical axis."""
    focal = camera.focal * width
    local = np.stack([(xy[:, 0] - width / 2) / focal, -(xy[:, 1] - height / 2) / focal, -np.ones(len(xy))], -1)
    direction = (local @ camera.camera_to_world[:3, :3].T).astype(np.float32)
    origin = camera.position.astype(np.float32)
    rays = np.concatenate([np.broadcast_to(origin, direction.shape), direction], -1)
    answer = compiled.scene.cast_rays(o3d.core.Tensor.from_numpy(rays), nthreads=1)
    face = answer["primitive_ids"].numpy().astype(np.int64)
    return origin, direction, (face, answer["primitive_uvs"].numpy(), answer["t_hit"].numpy())


def _edges(part: Int[ndarray, "h w"]) -> Bool[ndarray, "h w"]:
    """Pixels beside a pixel of another part."""
    edge = np.zeros(part.shape, dtype=bool)
    across, down = part[:, 1:] != part[:, :-1], part[1:] != part[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    return edge


def raycast_view(compiled: Compiled, camera: Camera, width: int, height: int) -> RaycastView:
    """Renders one view; labels and depth are those of the pixel centres, colours are smoothed at edges.

    Args:
        compiled: the scene.
        camera: where to look from; its focal length is a fraction of `width`.
        width: of the picture, in pixels.
        height: of the picture, in pixels.
    """
    y, x = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
    centres = np.stack([x.reshape(-1), y.reshape(-1)], -1)
    angle = 1.0 / (camera.focal * width)
    origin, direction, hit = _cast(compiled, camera, centres, width, height)
    empty = hit[0] >= len(compiled.face_part)
    part = compiled.face_part.take(np.where(empty, 0, hit[0])).reshape(height, width)
    edge = _edges(part).reshape(-1)
    inner, rows = np.flatnonzero(~edge), np.flatnonzero(edge)
    colour = np.empty((len(centres), 3), dtype=np.float32)
    colour[inner] = _shade(compiled, origin, direction[inner], (hit[0][inner], hit[1][inner], hit[2][inner]), angle)
    points = (centres[rows][:, None, :] + EDGE_SAMPLES).reshape(-1, 2)
    fine = _shade(compiled, *_cast(compiled, camera, points, width, height), angle)
    colour[rows] = np.minimum(fine, 1.0).reshape(-1, len(EDGE_SAMPLES), 3).mean(axis=1)
    # A grazing hit on a sliver triangle can have no normal; it is black rather than no picture.
    colour = np.nan_to_num(colour, posinf=1.0)
    rgb = _TO_BYTE[(np.clip(colour, 0, 1) * 4096).astype(np.int32)].reshape(height, width, 3)
    label = np.where(empty, IGNORE, compiled.labels.take(part.reshape(-1))).astype(np.uint8)
    depth = np.where(empty, 0.0, hit[2]).astype(np.float32)
    return RaycastView(rgb, label.reshape(height, width), depth.reshape(height, width))
