"""Light baked once per scene: direct light with soft shadows, and a few bounces, at every vertex."""

from dataclasses import dataclass

import numpy as np
import open3d as o3d
from jaxtyping import Float, Int
from numpy import ndarray

from ovs3d.palette import srgb_to_linear

from .compiled import Geometry
from .meshes import merge

LIGHT_SAMPLES = (3, 3)
BOUNCE_RAYS = 32
BOUNCES = 4
OFFSET = 2e-3


@dataclass(frozen=True)
class Lighting:
    """What light does at every vertex of the merged scene, already multiplied by the exposure.

    `irradiance` is divided by pi, so that times albedo it is radiance; `visibility` is the seen fraction of each light.
    """

    irradiance: Float[ndarray, "vertices 3"]
    visibility: Float[ndarray, "vertices lights"]
    light_radiance: Float[ndarray, "lights 3"]


def ray_scene(vertices: Float[ndarray, "vertices 3"], faces: Int[ndarray, "faces 3"]) -> o3d.t.geometry.RaycastingScene:
    """An Embree scene of all triangles as one geometry, so that a hit's primitive id is the global face index."""
    scene = o3d.t.geometry.RaycastingScene(nthreads=1)
    scene.add_triangles(
        o3d.core.Tensor.from_numpy(np.ascontiguousarray(vertices, dtype=np.float32)),
        o3d.core.Tensor.from_numpy(np.ascontiguousarray(faces, dtype=np.uint32)),
    )
    return scene


def _rays(origin: Float[ndarray, "rays 3"], direction: Float[ndarray, "rays 3"]) -> o3d.core.Tensor:
    return o3d.core.Tensor.from_numpy(np.concatenate([origin, direction], -1).astype(np.float32))


def _direct(
    geometry: Geometry,
    scene: o3d.t.geometry.RaycastingScene,
    points: Float[ndarray, "vertices 3"],
    normals: Float[ndarray, "vertices 3"],
) -> tuple[Float[ndarray, "vertices 3"], Float[ndarray, "vertices lights"]]:
    """Irradiance of all lights, by a grid of shadow rays to each, and the share of them that arrives."""
    total, seen = np.zeros_like(points), []
    for part in geometry.parts:
        light = part.light
        if light is None:
            continue
        corner, u, v = (np.asarray(x) for x in (light.corner, light.edge_u, light.edge_v))
        facing = np.cross(u, v)
        area = float(np.linalg.norm(facing))
        facing = facing / area
        mean = srgb_to_linear(part.texture.pixels / 255.0).mean(axis=(0, 1)) * np.asarray(light.radiance)
        n, visible = LIGHT_SAMPLES[0] * LIGHT_SAMPLES[1], np.zeros(len(points))
        for i in range(LIGHT_SAMPLES[0]):
            for j in range(LIGHT_SAMPLES[1]):
                sample = corner + u * (i + 0.5) / LIGHT_SAMPLES[0] + v * (j + 0.5) / LIGHT_SAMPLES[1] + facing * OFFSET
                to_light = sample - points
                distance2 = np.sum(to_light**2, -1)
                cos = np.sum(normals * to_light, -1) * np.maximum(-(to_light @ facing), 0) / np.maximum(distance2, 1e-3)
                ahead = cos > 0
                shade = np.zeros(len(points))
                rays = _rays(points[ahead], to_light[ahead])
                shade[ahead] = ~scene.test_occlusions(rays, tnear=0.0, tfar=1.0, nthreads=1).numpy()
                visible += shade / n
                strength = shade * np.maximum(cos, 0) * area / (n * np.maximum(distance2, 0.02))
                total += strength[:, None] * mean
        seen.append(visible)
    return total, np.stack(seen, -1)


def _hemisphere(normals: Float[ndarray, "vertices 3"], count: int) -> Float[ndarray, "count vertices 3"]:
    """The same cosine-weighted directions about every normal (a Fibonacci spiral), so that bounces are smooth."""
    k = np.arange(count) + 0.5
    r, phi = np.sqrt(k / count), k * np.pi * (3 - np.sqrt(5))
    helper = np.where(np.abs(normals[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    tangent = np.cross(helper, normals)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    bitangent = np.cross(normals, tangent)
    x, y, z = r * np.cos(phi), r * np.sin(phi), np.sqrt(1 - r**2)
    return x[:, None, None] * tangent + y[:, None, None] * bitangent + z[:, None, None] * normals


def bake(geometry: Geometry, scene: o3d.t.geometry.RaycastingScene) -> Lighting:
    """Radiosity at the vertices: E = E_direct + mean over the hemisphere of albedo * E at what a ray meets."""
    mesh = merge([part.mesh for part in geometry.parts])
    points = mesh.vertices + mesh.normals * OFFSET
    direct, visibility = _direct(geometry, scene, points, mesh.normals)
    counts = [len(part.mesh.vertices) for part in geometry.parts]
    colours = [srgb_to_linear(part.texture.pixels / 255.0).mean(axis=(0, 1)) for part in geometry.parts]
    reflects = np.repeat([part.light is None for part in geometry.parts], counts)
    albedo = np.repeat(np.stack(colours), counts, axis=0) * reflects[:, None]
    directions = _hemisphere(mesh.normals, BOUNCE_RAYS)
    rays = _rays(np.broadcast_to(points, directions.shape).reshape(-1, 3), directions.reshape(-1, 3))
    hit = scene.cast_rays(rays, nthreads=1)["primitive_ids"].numpy().reshape(BOUNCE_RAYS, -1)
    met = hit < len(mesh.faces)
    total = direct
    for _ in range(BOUNCES):
        outgoing = albedo * total
        per_face = outgoing[mesh.faces].mean(axis=1)
        gathered = np.zeros_like(total)
        for k in range(BOUNCE_RAYS):
            gathered += per_face[np.minimum(hit[k], len(per_face) - 1)] * met[k][:, None]
        total = direct + gathered / BOUNCE_RAYS
    subjects = np.repeat([k < len(geometry.description.objects) + 1 for k in range(len(counts))], counts)
    mean = float((albedo * total)[subjects].mean()) / np.pi
    gain = geometry.description.exposure / mean
    lights = np.stack([np.asarray(part.light.radiance) for part in geometry.parts if part.light is not None])
    return Lighting((total * gain / np.pi).astype(np.float32), visibility.astype(np.float32), lights * gain)
