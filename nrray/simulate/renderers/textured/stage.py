"""The VTK window of one scene: pieces with finishes, lights, a camera, pictures. No other module opens a window."""

import ctypes
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nrray.errors import ConfigError
from nrray.simulate.opengl import ready_opengl
from nrray.simulate.renderers.textured.geometry import Image, Matrix, Mesh, Points


@cache
def loaded_vtk() -> Any:
    """The names of VTK that are in use, and its ways to and from numpy. Raises ConfigError where it is missing."""
    ready_opengl()
    try:
        from vtkmodules import vtkCommonCore, vtkCommonDataModel, vtkCommonMath, vtkRenderingCore, vtkRenderingOpenGL2
        from vtkmodules.util import numpy_support
    except ImportError as error:
        raise ConfigError(
            f"The renderer textured needs vtk: pip install 'nrray[textured]', or choose another renderer ({error})"
        ) from error
    modules = (vtkCommonCore, vtkCommonDataModel, vtkCommonMath, vtkRenderingCore, vtkRenderingOpenGL2, numpy_support)
    return SimpleNamespace(**{name: value for module in modules for name, value in vars(module).items()})


@dataclass(frozen=True, kw_only=True)
class Finish:
    """How a surface takes light."""

    ambient: float = 0.25
    diffuse: float = 0.8
    gloss: float = 0.05  # strength of the highlight
    polish: float = 15.0  # its exponent
    opacity: float = 1.0


MATT = Finish()


class Piece:
    """One mesh on a stage."""

    def __init__(self, mesh: Mesh, finish: Finish, texture: Image | None) -> None:
        vtk = loaded_vtk()
        self._data = vtk.vtkPolyData()
        self._points, self._normals = np.array(mesh.points, np.float32), np.array(mesh.normals, np.float32)
        points = vtk.vtkPoints()
        points.SetData(vtk.numpy_to_vtk(self._points))
        self._data.SetPoints(points)
        cells = vtk.vtkCellArray()
        corners, id_type = np.ascontiguousarray(mesh.triangles.ravel()), vtk.vtkIdTypeArray().GetDataType()
        cells.SetData(3, vtk.numpy_to_vtk(corners, deep=True, array_type=id_type))
        self._data.SetPolys(cells)
        self._data.GetPointData().SetNormals(vtk.numpy_to_vtk(self._normals))
        mapper = vtk.vtkPolyDataMapper()
        self.actor = vtk.vtkActor()
        if mesh.colours is not None:
            self._data.GetPointData().SetScalars(vtk.numpy_to_vtk(mesh.colours, deep=True))
        if mesh.places is not None and texture is not None:
            self._data.GetPointData().SetTCoords(vtk.numpy_to_vtk(mesh.places, deep=True))
            self._image = vtk.vtkImageData()
            self._texture = vtk.vtkTexture()
            self._texture.SetInputData(self._image)
            self._texture.InterpolateOn()
            self._texture.SetMipmap(texture.shape[2] == 3)
            self._texture.RepeatOn()
            self.paint(texture)
            self.actor.SetTexture(self._texture)
        mapper.SetInputData(self._data)
        mapper.StaticOn()
        self._mapper = mapper
        self.actor.SetMapper(mapper)
        look = self.actor.GetProperty()
        look.SetAmbient(finish.ambient)
        look.SetDiffuse(finish.diffuse)
        look.SetSpecular(finish.gloss)
        look.SetSpecularPower(finish.polish)
        look.SetOpacity(finish.opacity)
        look.SetLighting(finish.diffuse > 0)  # what only glows needs none
        if texture is not None and texture.shape[2] == 4:
            self.actor.ForceTranslucentOn()
        self._matrix = vtk.vtkMatrix4x4()
        self.actor.SetUserMatrix(self._matrix)

    def place(self, matrix: Matrix) -> None:
        """Stand it elsewhere."""
        self._matrix.DeepCopy(matrix.ravel().tolist())

    def reshape(self, points: Points, normals: Points) -> None:
        """Give its points other positions."""
        self._points[:], self._normals[:] = points, normals
        self._data.GetPoints().Modified()
        self._data.GetPointData().GetNormals().Modified()
        self._data.Modified()
        self._mapper.Update()

    def paint(self, texture: NDArray[np.uint8]) -> None:
        """Another texture, (H, W, 3) or, with opacity, (H, W, 4)."""
        vtk = loaded_vtk()
        height, width, channels = texture.shape
        self._image.SetDimensions(width, height, 1)
        rows = np.ascontiguousarray(texture[::-1]).reshape(-1, channels)
        self._image.GetPointData().SetScalars(vtk.numpy_to_vtk(rows, deep=True))
        self._image.Modified()

    def show(self, visible: bool) -> None:
        """Whether it is there."""
        self.actor.SetVisibility(visible)


class Stage:
    """Pieces, lights and a camera. Raises ConfigError where no OpenGL driver can draw without a display."""

    def __init__(self, size: tuple[int, int]) -> None:
        vtk = loaded_vtk()
        vtk.vtkObject.GlobalWarningDisplayOff()
        _kept_window()
        self._window = _window()
        self._width, self._height = size
        self._window.SetMultiSamples(0)
        self._window.SetSize(*size)
        self._renderer = vtk.vtkRenderer()
        self._renderer.AutomaticLightCreationOff()
        self._window.AddRenderer(self._renderer)
        self._camera = self._renderer.GetActiveCamera()
        self._pixels, self._depths = vtk.vtkUnsignedCharArray(), vtk.vtkFloatArray()

    def add(self, mesh: Mesh, finish: Finish = MATT, texture: Image | None = None) -> Piece:
        """A new piece, at the origin until it is placed."""
        piece = Piece(mesh, finish, texture)
        self._renderer.AddActor(piece.actor)
        return piece

    def background(self, colour: tuple[float, float, float]) -> None:
        """What is seen past everything, RGB 0 to 1."""
        self._renderer.SetBackground(*colour)

    def lamp(self, position: ArrayLike, colour: tuple[float, float, float], strength: float) -> None:
        """A far lamp that shines from `position` at the origin."""
        vtk = loaded_vtk()
        light = vtk.vtkLight()
        light.SetLightTypeToSceneLight()
        light.SetPosition(*np.asarray(position, float).tolist())
        light.SetFocalPoint(0, 0, 0)
        light.SetColor(*colour)
        light.SetIntensity(strength)
        self._renderer.AddLight(light)

    def look(self, eye: ArrayLike, target: ArrayLike, up: ArrayLike, *, angle: float) -> None:
        """From where the picture is taken; `angle` is the height of the view in degrees."""
        self._camera.SetPosition(*np.asarray(eye, float).tolist())
        self._camera.SetFocalPoint(*np.asarray(target, float).tolist())
        self._camera.SetViewUp(*np.asarray(up, float).tolist())
        self._camera.SetViewAngle(angle)
        self._camera.SetClippingRange(8.0, 700.0)

    def picture(self) -> Image:
        """(H, W, 3) uint8 RGB."""
        vtk = loaded_vtk()
        self._window.Render()
        right, top = self._width - 1, self._height - 1
        self._window.GetPixelData(0, 0, right, top, 1, self._pixels, 0)
        rows = vtk.vtk_to_numpy(self._pixels).reshape(self._height, self._width, 3)
        return np.ascontiguousarray(rows[::-1])

    def depth(self) -> NDArray[np.float32]:
        """(H, W) depths in the unit of the depth buffer, of the opaque pieces."""
        vtk = loaded_vtk()
        self._window.Render()
        self._window.GetZbufferData(0, 0, self._width - 1, self._height - 1, self._depths)
        return np.array(vtk.vtk_to_numpy(self._depths).reshape(self._height, self._width)[::-1], np.float32)

    def close(self) -> None:
        """Free the window and what the driver holds for it."""
        self._renderer.RemoveAllViewProps()
        self._window.RemoveRenderer(self._renderer)
        self._window.Finalize()


@cache
def _kept_window() -> Any:
    """A window that stays until the process ends: with its last one VTK ends the display, and the contexts of others on it."""
    return _window()


def _window() -> Any:
    """A window in memory: EGL, or OSMesa where that is missing."""
    vtk = loaded_vtk()
    found = []
    for library, make in (("libEGL.so.1", vtk.vtkEGLRenderWindow), ("libOSMesa.so.8", vtk.vtkOSOpenGLRenderWindow)):
        try:
            ctypes.CDLL(library)
        except OSError:
            found.append(f"{library} is not installed")
            continue
        window = make()
        window.OffScreenRenderingOn()
        window.SetSize(16, 16)
        window.Initialize()  # else the question opens a display, and ends it for everybody
        if window.SupportsOpenGL():
            return window
        window.Finalize()
        found.append(f"{library} opens no OpenGL 3.2 context")
    raise ConfigError(
        f"The renderer textured found no OpenGL that draws without a display ({', '.join(found)}): "
        "apt-get install libegl1 libgl1-mesa-dri, or choose another renderer"
    )
