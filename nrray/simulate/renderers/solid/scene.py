"""The solid renderer: one camera's scene, from the case's pose to pixels."""

import atexit
import weakref
from math import cos, pi, radians, sin, tan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrray.simulate.case import SimulatedCase
from nrray.simulate.pose import mouth_of, pose_at
from nrray.simulate.renderers.solid.gl import current_context, loaded_mujoco
from nrray.simulate.renderers.solid.look import drawn_look
from nrray.simulate.renderers.solid.materials import MATERIALS, made_model
from nrray.simulate.renderers.solid.newborn import Hump, put_newborn
from nrray.simulate.renderers.solid.people import put_flat_hand, put_passer
from nrray.simulate.renderers.solid.stage import MAX_BODIES, PASSER, UNIT, Stage, Vector
from nrray.simulate.renderers.solid.suction import put_sucker
from nrray.simulate.renderers.solid.surroundings import put_surroundings
from nrray.simulate.renderers.solid.ventilation import is_on_face, put_ventilator

_LAMP_PX = 450.0  # from the table
_NEAR, _FAR = 0.3, 25.0  # of MuJoCo's lengths
_HALF_PX = 112.0  # half the height that a picture of 4:3 shows, before zoom
_FOCUS: Vector = np.array([-16.0, 8.0, 12.0])  # above the newborn
_SHARE_SCALE = 4  # pictures of numbers are so much smaller


class SolidScene:
    """The pictures of one camera of a case. Holds textures and buffers of OpenGL until it is closed, and is used in the
    thread that opened it. Raises ConfigError where MuJoCo or OpenGL are missing."""

    def __init__(self, case: SimulatedCase, camera_index: int) -> None:
        mujoco = loaded_mujoco()
        self._case = case
        self._view = case.cameras[camera_index].view
        self._width, self._height = case.config.width_px, case.config.height_px
        self._look = drawn_look(case.appearance)
        self._gl: Any = current_context()
        model = made_model(case.appearance, self._look, size=(self._width, self._height))
        self._mujoco = mujoco
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50.value)
        # A scene that nobody closed is freed with its object, or at the end of the process, before its OpenGL context.
        self._free = weakref.finalize(self, _freed, self._gl, self._context)
        self._free.atexit = False
        atexit.register(self._free)
        self._scene = mujoco.MjvScene(model, MAX_BODIES)
        self._flags = mujoco.mjtRndFlag
        for flag in (self._flags.mjRND_SKYBOX, self._flags.mjRND_HAZE, self._flags.mjRND_REFLECTION):
            self._scene.flags[flag] = 0
        self._light(mujoco.mjtLightType)
        random = np.random.default_rng([case.appearance.texture_seed, 78, camera_index])
        self._elevation = radians(42 + 46 * (self._view.squash - 0.72) / 0.28)
        self._fov = radians(random.uniform(24, 54))
        from_above = pi if random.random() < 0.25 else 0.0  # of the canvas: the camera stands on the other side
        self._azimuth = radians(self._view.turn_degrees) + from_above + random.uniform(-0.2, 0.2)
        self._zoom = self._view.zoom * random.uniform(0.85, 1.15)
        self._roll = random.uniform(-0.16, 0.16)
        self._stage = Stage(self._scene, {name: model.material(name).id for name in MATERIALS})
        put_surroundings(self._stage, case.appearance, self._look)
        self._stage.keep()

    def picture(self, case_s: float) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB at `case_s` seconds of the case."""
        self._pose(case_s)
        pixels = self._rendered(case_s, self._width, self._height)[::-1]
        return np.ascontiguousarray(pixels[:, ::-1] if self._view.mirrored else pixels)

    def passers_share(self, case_s: float) -> float:
        """Share in [0, 1] of the picture that people who pass or lean over the table cover."""
        if not pose_at(self._case.scenario, self._case.appearance, case_s).passers:
            return 0.0
        self._pose(case_s)
        numbers = (self._flags.mjRND_SEGMENT, self._flags.mjRND_IDCOLOR)
        for flag in numbers:
            self._scene.flags[flag] = 1
        pixels = self._rendered(case_s, self._width // _SHARE_SCALE, self._height // _SHARE_SCALE)
        for flag in numbers:
            self._scene.flags[flag] = 0
        return float((pixels[..., 1] > 127).mean())  # the others' numbers are near black

    def close(self) -> None:
        """Free its textures and buffers. A second call does nothing."""
        self._free()
        atexit.unregister(self._free)

    def _pose(self, case_s: float) -> None:
        stage, appearance, look = self._stage, self._case.appearance, self._look
        pose = pose_at(self._case.scenario, appearance, case_s)
        stage.rewind()
        humps: list[Hump] = []
        mouth = mouth_of(appearance)
        if pose.newborn is not None:
            # A bag that is held pressed keeps the chest up: one frame does not tell it from a breath.
            lift = pose.bag_mask.squeeze if is_on_face(pose.bag_mask, mouth) else 0.0
            humps = put_newborn(stage, pose.newborn, appearance, look, lift=lift)
        put_sucker(stage, pose.tube, appearance, look, mouth if pose.newborn is not None else None)
        if pose.helper is not None:
            put_flat_hand(stage, pose.helper, look.helper, humps)
        put_ventilator(stage, pose.bag_mask, appearance, look, mouth)
        stage.number = PASSER
        for passer in pose.passers:
            put_passer(stage, passer, appearance, look)
        stage.number = 0
        stage.finish()

    def _rendered(self, case_s: float, width: int, height: int) -> NDArray[np.uint8]:
        """(height, width, 3), upside down."""
        self._aim(case_s, width / height)
        port = self._mujoco.MjrRect(0, 0, width, height)
        pixels = np.empty((height, width, 3), np.uint8)
        self._gl.make_current()
        self._mujoco.mjr_setBuffer(self._mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._mujoco.mjr_render(port, self._scene, self._context)
        self._mujoco.mjr_readPixels(pixels, None, port, self._context)
        return pixels

    def _aim(self, case_s: float, aspect: float) -> None:
        """A perspective camera that looks at the newborn, and shakes."""
        view, e, a = self._view, self._elevation, self._azimuth
        shake_x = view.shake_px * sin(2.1 * case_s + view.shake_phase) * sin(0.6 * case_s)
        shake_y = view.shake_px * sin(1.7 * case_s + 2 * view.shake_phase)
        back = np.array([sin(a) * cos(e), -cos(a) * cos(e), sin(e)])
        right = np.array([cos(a), sin(a), 0.0])
        up = np.cross(back, right)
        focus = _FOCUS - (view.shift_x + shake_x) * right + (view.shift_y + shake_y) * up
        half = _HALF_PX / self._zoom * max(1.0, 1.15 / aspect)  # a narrow picture shows more above and below
        eye = (focus + half / tan(self._fov / 2) * back) * UNIT
        upright = up * cos(self._roll) + right * sin(self._roll)
        for camera in self._scene.camera:  # of two eyes
            camera.pos[:], camera.forward[:], camera.up[:] = eye, -back, upright
            camera.orthographic = 0
            camera.frustum_near, camera.frustum_far = _NEAR, _FAR
            camera.frustum_top = _NEAR * tan(self._fov / 2)
            camera.frustum_bottom = -camera.frustum_top
            camera.frustum_center = 0.0
            camera.frustum_width = 0.0  # from the picture's aspect

    def _light(self, kinds: Any) -> None:
        """A lamp that throws shadows, further ones that do not; the sensor's exposure comes later."""
        look = self._look
        tint = np.array(look.lamp_tint)
        key = (look.key, look.lamp_slant * cos(look.lamp_turn), look.lamp_slant * sin(look.lamp_turn))
        self._scene.nlight = 1 + len(look.fills)
        for number, (strength, x, y) in enumerate((key, *look.fills)):
            light = self._scene.lights[number]
            way = np.array([x, y, 1.0]) / np.sqrt(x * x + y * y + 1)
            light.type = kinds.mjLIGHT_DIRECTIONAL.value
            light.pos[:], light.dir[:] = way * _LAMP_PX * UNIT, -way
            light.diffuse[:] = tint * strength
            # MuJoCo takes the ambient part of a lamp that throws shadows out of its shadows.
            light.ambient[:] = tint * (look.ambient if number == 1 else 0.0)
            light.specular[:] = 0.5 if number == 0 else 0.1
            light.castshadow = number == 0
            light.headlight = 0
            light.cutoff, light.exponent = 180.0, 0.0
            light.attenuation[:] = (1, 0, 0)


def _freed(gl: Any, context: Any) -> None:
    gl.make_current()
    context.free()
