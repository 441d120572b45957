"""Triangle meshes with UVs in metres, and the few primitives everything in a scene is made of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

Vec3 = tuple[float, float, float]


@dataclass(frozen=True)
class Mesh:
    """Triangles whose `uv` is measured in metres along the surface, so that a texture has one scale everywhere.

    Hard edges are duplicated vertices: `normals` are the shading normals, unit length, outward.
    """

    vertices: Float[ndarray, "vertices 3"]
    faces: Int[ndarray, "faces 3"]
    uv: Float[ndarray, "vertices 2"]
    normals: Float[ndarray, "vertices 3"]


def merge(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh of several; vertices are not welded."""
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes[:-1]])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)]),
        np.concatenate([mesh.uv for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
    )


def transform(mesh: Mesh, rotation: Float[ndarray, "3 3"], translation: Float[ndarray, "3"]) -> Mesh:
    """The mesh moved rigidly: p -> R p + t."""
    return replace(mesh, vertices=mesh.vertices @ rotation.T + translation, normals=mesh.normals @ rotation.T)


def rotation_about(axis: int, angle: float) -> Float[ndarray, "3 3"]:
    """Right-handed rotation about coordinate axis 0, 1 or 2 by `angle` radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = cos
    matrix[i, j], matrix[j, i] = -sin, sin
    return matrix


def _grid_faces(rows: int, columns: int) -> Int[ndarray, "faces 3"]:
    """Two triangles for each cell of a vertex grid of [rows, columns]."""
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    return np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])


def quad(
    corner: Vec3,
    edge_u: Vec3,
    edge_v: Vec3,
    steps_u: Float[ndarray, "columns"],
    steps_v: Float[ndarray, "rows"],
) -> Mesh:
    """A parallelogram with its normal along edge_u x edge_v, cut at the given fractions of its edges."""
    p, e, f = (np.asarray(v, dtype=np.float64) for v in (corner, edge_u, edge_v))
    s, t = np.meshgrid(steps_u, steps_v)
    vertices = p + s[..., None] * e + t[..., None] * f
    normal = np.cross(e, f) / np.linalg.norm(np.cross(e, f))
    uv = np.stack([s * np.linalg.norm(e), t * np.linalg.norm(f)], -1).reshape(-1, 2)
    return Mesh(
        vertices.reshape(-1, 3),
        _grid_faces(len(steps_v), len(steps_u)),
        uv,
        np.tile(normal, (vertices[..., 0].size, 1)),
    )


def even_quad(corner: Vec3, edge_u: Vec3, edge_v: Vec3, cell: float) -> Mesh:
    """`quad` cut into even cells of about `cell` metres."""
    n_u = max(1, round(float(np.linalg.norm(edge_u)) / cell))
    n_v = max(1, round(float(np.linalg.norm(edge_v)) / cell))
    return quad(corner, edge_u, edge_v, np.linspace(0, 1, n_u + 1), np.linspace(0, 1, n_v + 1))


def box(centre: Vec3, size: Vec3, cell: float) -> Mesh:
    """An axis-aligned box, seen from outside."""
    (cx, cy, cz), (sx, sy, sz) = centre, size
    x0, y0, z0, x1, y1, z1 = cx - sx / 2, cy - sy / 2, cz - sz / 2, cx + sx / 2, cy + sy / 2, cz + sz / 2
    return merge(
        [
            even_quad((x0, y0, z0), (sx, 0, 0), (0, 0, sz), cell),
            even_quad((x1, y0, z0), (0, sy, 0), (0, 0, sz), cell),
            even_quad((x1, y1, z0), (-sx, 0, 0), (0, 0, sz), cell),
            even_quad((x0, y1, z0), (0, -sy, 0), (0, 0, sz), cell),
            even_quad((x0, y0, z1), (sx, 0, 0), (0, sy, 0), cell),
            even_quad((x0, y1, z0), (sx, 0, 0), (0, -sy, 0), cell),
        ]
    )


def triangle(a: Vec3, b: Vec3, c: Vec3, cuts: int) -> Mesh:
    """A flat triangle, counter-clockwise seen from its front, cut into cuts^2 similar ones."""
    p, q, r = (np.asarray(v, dtype=np.float64) for v in (a, b, c))
    normal = np.cross(q - p, r - p)
    normal = normal / np.linalg.norm(normal)
    axis_u = (q - p) / np.linalg.norm(q - p)
    axis_v = np.cross(normal, axis_u)
    pairs = [(i, j) for i in range(cuts + 1) for j in range(cuts + 1 - i)]
    index = {pair: k for k, pair in enumerate(pairs)}
    weights = np.array(pairs) / cuts
    vertices = p + weights[:, :1] * (q - p) + weights[:, 1:] * (r - p)
    faces = [(index[i, j], index[i + 1, j], index[i, j + 1]) for i, j in pairs if i + j < cuts]
    faces += [(index[i + 1, j], index[i + 1, j + 1], index[i, j + 1]) for i, j in pairs if i + j < cuts - 1]
    uv = np.stack([(vertices - p) @ axis_u, (vertices - p) @ axis_v], -1)
    return Mesh(vertices, np.array(faces), uv, np.tile(normal, (len(vertices), 1)))


def lathe(profile: Float[ndarray, "points 2"], segments: int = 40, cone: bool = False) -> Mesh:
    """The surface that a curve (radius, z) sweeps about the z axis; its front lies to the right of the curve.

    A curve that rises along positive radius therefore faces outward. UVs are (arc at the largest radius, length along
    the curve); with `cone` the surface is unrolled without distortion instead, which needs a straight profile.
    """
    step = np.diff(profile, axis=0)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(step, axis=1))])
    tangent = np.gradient(profile, length, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    phi = np.linspace(0, 2 * np.pi, segments + 1)
    cos, sin = np.cos(phi)[None, :], np.sin(phi)[None, :]
    r, z = profile[:, :1], profile[:, 1:]
    vertices = np.stack([r * cos, r * sin, np.broadcast_to(z, (len(r), len(phi)))], -1)
    n_r, n_z = tangent[:, 1:], -tangent[:, :1]
    normals = np.stack([n_r * cos, n_r * sin, np.broadcast_to(n_z, (len(r), len(phi)))], -1)
    if cone:
        slope = abs(step[0, 0]) / float(np.linalg.norm(step[0]))
        slant = r / slope
        uv = np.stack([slant * np.cos(phi * slope), slant * np.sin(phi * slope)], -1)
    else:
        uv = np.stack(np.broadcast_arrays(phi[None, :] * profile[:, 0].max(), length[:, None]), -1)
    return Mesh(vertices.reshape(-1, 3), _grid_faces(len(profile), len(phi)), uv.reshape(-1, 2), normals.reshape(-1, 3))


def disc(radius: float, z: float, up: bool, rings: int = 5, segments: int = 40) -> Mesh:
    """A flat disc with planar UVs, facing up or down."""
    radii = np.linspace(radius, 0.0, rings + 1) if up else np.linspace(0.0, radius, rings + 1)
    mesh = lathe(np.stack([radii, np.full(rings + 1, z)], -1), segments)
    return replace(mesh, uv=mesh.vertices[:, :2].copy())
