"""Meshes out of formulas: blended bodies, swept tubes, turned and draped surfaces. Lengths are centimetres. No VTK window."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float32]  # (N, 3) cm
Values = NDArray[np.float32]  # (N,)
Matrix = NDArray[np.float64]  # (4, 4), from local to world coordinates
Image = NDArray[np.uint8]  # (H, W, 3) RGB


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """Triangles with smooth normals; a colour for each point, or a place in a texture."""

    points: Points
    triangles: NDArray[np.int64]  # (M, 3)
    normals: Points
    colours: Image | None = None  # (N, 3) RGB
    places: NDArray[np.float32] | None = None  # (N, 2) in a texture, 0 to 1

    def coloured(self, colours: NDArray[np.uint8]) -> "Mesh":
        """The same with a colour for each point, or one for all."""
        return replace(self, colours=np.ascontiguousarray(np.broadcast_to(colours, self.points.shape), np.uint8))


def vertex_normals(points: Points, triangles: NDArray[np.int64]) -> Points:
    """Unit normals, the mean of the faces around each point weighted by their area."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    faces = np.cross(b - a, c - a)
    normals = np.stack(
        [sum(np.bincount(triangles[:, i], faces[:, axis], len(points)) for i in range(3)) for axis in range(3)],
        axis=1,
    )
    lengths = np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    return np.asarray(normals / lengths, np.float32)


def meshed(points: NDArray[np.floating], triangles: NDArray[np.integer]) -> Mesh:
    """A mesh with its normals."""
    corners, faces = np.asarray(points, np.float32), np.asarray(triangles, np.int64)
    return Mesh(points=corners, triangles=faces, normals=vertex_normals(corners, faces))


def merged(*meshes: Mesh) -> Mesh:
    """One mesh of several coloured ones."""
    starts = np.cumsum([0, *(len(mesh.points) for mesh in meshes[:-1])])
    colours = [mesh.colours for mesh in meshes if mesh.colours is not None]
    return Mesh(
        points=np.concatenate([mesh.points for mesh in meshes]),
        triangles=np.concatenate([mesh.triangles + start for mesh, start in zip(meshes, starts, strict=True)]),
        normals=np.concatenate([mesh.normals for mesh in meshes]),
        colours=np.concatenate(colours) if colours else None,
    )


def moved(mesh: Mesh, matrix: Matrix) -> Mesh:
    """The mesh under a rotation and a shift."""
    turn = matrix[:3, :3].astype(np.float32)
    points = mesh.points @ turn.T + matrix[:3, 3].astype(np.float32)
    return replace(mesh, points=points, normals=mesh.normals @ turn.T)


def mirrored(mesh: Mesh) -> Mesh:
    """The mesh with left and right (y) changed."""
    other = np.array([1, -1, 1], np.float32)
    return replace(
        mesh,
        points=mesh.points * other,
        normals=mesh.normals * other,
        triangles=np.ascontiguousarray(mesh.triangles[:, ::-1]),
    )


# Signed distances, negative inside, and their smooth union: the exponential one of "smooth minimum" fame.


def capsule(p: Points, a: ArrayLike, b: ArrayLike, radius_a: float, radius_b: float) -> Values:
    """About the distance to a capsule whose radius goes from one to the other."""
    start, axis = np.asarray(a, np.float32), np.asarray(b, np.float32) - np.asarray(a, np.float32)
    along = np.clip((p - start) @ axis / max(float(axis @ axis), 1e-9), 0, 1)
    away = p - start - along[:, None] * axis
    distance: Values = np.sqrt(np.einsum("ij,ij->i", away, away)) - (radius_a + (radius_b - radius_a) * along)
    return distance


def ellipsoid(p: Points, centre: ArrayLike, radii: ArrayLike) -> Values:
    """About the distance to an ellipsoid along the axes."""
    radii = np.asarray(radii, np.float32)
    scaled = np.linalg.norm((p - np.asarray(centre, np.float32)) / radii, axis=1)
    distance: Values = (scaled - 1) * float(radii.min())
    return distance


def blend(distances: Sequence[Values], softness: float) -> Values:
    """-k log(sum(exp(-d / k))): bodies flow into each other within about `softness` cm."""
    stack = np.stack(distances)
    least = stack.min(axis=0)
    total: Values = least - softness * np.log(np.exp((least - stack) / softness).sum(axis=0))
    return total


def solid(distance: Callable[[Points], Values], low: Sequence[float], high: Sequence[float], step: float) -> Mesh:
    """The surface where a distance is zero, on a grid of `step` cm between two corners."""
    from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D

    axes = [np.arange(start, stop + step, step, dtype=np.float32) for start, stop in zip(low, high, strict=True)]
    z, y, x = np.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    values = distance(np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1))
    image = vtkImageData()
    image.SetDimensions(*(len(axis) for axis in axes))
    image.SetOrigin(*(float(axis[0]) for axis in axes))
    image.SetSpacing(step, step, step)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(values, np.float32), deep=True))
    contour = vtkFlyingEdges3D()
    contour.SetInputData(image)
    contour.SetValue(0, 0.0)
    contour.ComputeNormalsOff()
    contour.ComputeScalarsOff()
    contour.Update()
    surface = contour.GetOutput()
    points = vtk_to_numpy(surface.GetPoints().GetData()).copy()
    triangles = vtk_to_numpy(surface.GetPolys().GetConnectivityArray()).reshape(-1, 3)[:, ::-1]
    return meshed(points, np.ascontiguousarray(triangles))


def lattice(rows: int, columns: int, *, closed: bool) -> NDArray[np.int64]:
    """Triangles between the points of `rows` rings or lines, row by row; `closed` joins the last column to the first."""
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(columns if closed else columns - 1), indexing="ij")
    a, b = row * columns + column, row * columns + (column + 1) % columns
    c, d = a + columns, b + columns
    return np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])


def turned(profile: ArrayLike, sides: int = 20) -> Mesh:
    """A surface of revolution about x; `profile` is (K, 2): x and radius."""
    line = np.asarray(profile, np.float32)
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    points = np.stack(
        [
            np.repeat(line[:, :1], sides, 1),
            line[:, 1:] * np.cos(angle)[None],
            line[:, 1:] * np.sin(angle)[None],
        ],
        axis=-1,
    )
    return meshed(points.reshape(-1, 3), lattice(len(line), sides, closed=True))


def swept(path: ArrayLike, radius: ArrayLike, sides: int = 8) -> Mesh:
    """A tube along (K, 3) points, as thick as `radius`: one, or one for each point."""
    line = np.asarray(path, np.float64)
    tangent = np.gradient(line, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    aside = np.empty_like(line)
    last = np.cross(tangent[0], (0.31, 0.2, 0.93))
    for i, direction in enumerate(tangent):  # carried along without a twist
        last = last - (last @ direction) * direction
        last = last / max(float(np.linalg.norm(last)), 1e-9)
        aside[i] = last
    other = np.cross(tangent, aside)
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)[None, :, None]
    around = aside[:, None] * np.cos(angle) + other[:, None] * np.sin(angle)
    thick = np.broadcast_to(np.asarray(radius, np.float64), (len(line),))[:, None, None]
    points = (line[:, None] + thick * around).reshape(-1, 3).astype(np.float32)
    triangles = lattice(len(line), sides, closed=True)
    return Mesh(points=points, triangles=triangles, normals=around.reshape(-1, 3).astype(np.float32))


def smooth_path(corners: Sequence[ArrayLike], num_points: int) -> NDArray[np.float64]:
    """(num_points, 3) along a Catmull-Rom spline through the corners."""
    knots = [np.asarray(corner, np.float64) for corner in corners]
    knots = [2 * knots[0] - knots[1], *knots, 2 * knots[-1] - knots[-2]]
    at = np.linspace(0, len(knots) - 3 - 1e-9, num_points)
    i, t = at.astype(int), (at % 1)[:, None]
    stack = np.stack(knots)
    p0, p1, p2, p3 = (stack[i + k] for k in range(4))
    path: NDArray[np.float64] = 0.5 * (
        2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    )
    return path


def surface(
    x: NDArray[np.floating], y: NDArray[np.floating], z: NDArray[np.floating], *, repeat: tuple[float, float] = (1, 1)
) -> Mesh:
    """A sheet over (R, C) grids of coordinates, with its places in a texture."""
    rows, columns = x.shape
    u, v = np.meshgrid(np.linspace(0, repeat[0], columns), np.linspace(0, repeat[1], rows))
    mesh = meshed(np.stack([x, y, z], -1).reshape(-1, 3), lattice(rows, columns, closed=False))
    return replace(mesh, places=np.stack([u, v], -1).reshape(-1, 2).astype(np.float32))


def flat(corner: ArrayLike, along: ArrayLike, across: ArrayLike, *, repeat: tuple[float, float] = (1, 1)) -> Mesh:
    """A rectangle from a corner along two edges."""
    a, b, c = (np.asarray(v, np.float64) for v in (corner, along, across))
    grid = np.stack([[a, a + b], [a + c, a + b + c]])
    return surface(grid[..., 0], grid[..., 1], grid[..., 2], repeat=repeat)


def box(centre: ArrayLike, size: ArrayLike, *, edge: float = 0.6) -> Mesh:
    """A box with chamfered edges, faces of its own normals."""
    middle, half = np.asarray(centre, np.float64), np.asarray(size, np.float64) / 2
    levels = [(-half[2], -edge), (-half[2] + edge, 0.0), (half[2] - edge, 0.0), (half[2], -edge)]
    rings = [
        [(sx * (half[0] + inset), sy * (half[1] + inset), z) for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        for z, inset in levels
    ]
    faces = [[a[i], a[(i + 1) % 4], b[(i + 1) % 4], b[i]] for a, b in pairwise(rings) for i in range(4)]
    faces += [rings[0], rings[-1]]
    points = np.array(faces).reshape(-1, 3) + middle
    corner = 4 * np.arange(len(faces))[:, None]
    return meshed(points, np.concatenate([corner + [0, 1, 2], corner + [0, 2, 3]]))


def shift(x: float, y: float, z: float) -> Matrix:
    """Moves by a vector."""
    matrix = np.eye(4)
    matrix[:3, 3] = x, y, z
    return matrix


def turn(axis: ArrayLike, angle: float) -> Matrix:
    """Rotation by radians about an axis through the origin (Rodrigues' formula)."""
    x, y, z = unit(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    matrix = np.eye(4)
    matrix[:3, :3] += np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return matrix


def scale(x: float, y: float, z: float) -> Matrix:
    """Stretches along the axes."""
    return np.diag([x, y, z, 1.0])


def unit(vector: ArrayLike) -> NDArray[np.float64]:
    """The vector at length 1."""
    v = np.asarray(vector, np.float64)
    direction: NDArray[np.float64] = v / max(float(np.linalg.norm(v)), 1e-9)
    return direction


def aimed(origin: ArrayLike, forward: ArrayLike, up: ArrayLike) -> Matrix:
    """Local x goes along `forward`, local z as near to `up` as that leaves it, local origin to `origin`."""
    x = unit(forward)
    y = unit(np.cross(np.asarray(up, np.float64), x))
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1], matrix[:3, 2], matrix[:3, 3] = x, y, np.cross(x, y), np.asarray(origin, np.float64)
    return matrix


def applied(matrix: Matrix, point: ArrayLike) -> NDArray[np.float64]:
    """A point under a matrix."""
    moved_point: NDArray[np.float64] = matrix[:3, :3] @ np.asarray(point, np.float64) + matrix[:3, 3]
    return moved_point
