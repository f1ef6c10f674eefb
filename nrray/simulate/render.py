"""Frames of a case and the files of a simulation: H.264 MP4, tables of segments, case sidecar, millisecond text."""

from dataclasses import replace
from fractions import Fraction
from math import pi, sin
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from nrray.archive.annotations import SIMULATION, millisecond_text, write_annotations
from nrray.archive.cases import cases_csv
from nrray.simulate.appearance import Appearance, View
from nrray.simulate.case import Camera, SimulatedCase, camera_spans, case_rows
from nrray.simulate.drawing import Brush, Matrix, Picture, draw_passer, draw_pose, shaded
from nrray.simulate.pose import Point, pose_at
from nrray.storage import Folder
from nrray.types import US_PER_SECOND, Extent, Origin, Segment

CANVAS = (320, 240)
_NOISE_BANK = 8
_LIGHT_UNIT = 160  # light is stored in bytes: up to 1.59
_SHORT_EXPOSURE_SECONDS, _SHARP_BLUR_PX = 0.02, 0.35  # below, the effect would not be visible


class FrameRenderer:
    """The pictures of one camera: `frame(t)` is a pure function of case, camera and time."""

    def __init__(self, case: SimulatedCase, camera_index: int) -> None:
        self._case = case
        self._camera: Camera = case.cameras[camera_index]
        self._size = (case.config.width_px, case.config.height_px)
        appearance = case.appearance
        random = np.random.default_rng([appearance.texture_seed, camera_index])
        self._matrix = view_matrix(self._camera.view, self._size)
        ground = _ground(appearance, np.random.default_rng(appearance.texture_seed))
        self._ground: Picture = np.asarray(
            cv2.warpAffine(ground, self._matrix, self._size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
            np.uint8,
        )
        self._light = _light(self._camera.view, self._size)
        shape = (self._size[1], self._size[0], 3)
        bank = random.normal(0, self._camera.view.noise, (_NOISE_BANK, *shape)).astype(np.float32)
        self._brighter = np.clip(bank, 0, 255).astype(np.uint8)
        self._darker = np.clip(-bank, 0, 255).astype(np.uint8)

    def frame(self, t_seconds: float) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB at `t_seconds` of this camera's video."""
        view = self._camera.view
        case_s = t_seconds + self._camera.start_us / US_PER_SECOND
        picture = self._drawn(case_s)
        if view.exposure_seconds > _SHORT_EXPOSURE_SECONDS:
            picture = np.asarray(cv2.addWeighted(picture, 0.5, self._drawn(case_s - view.exposure_seconds), 0.5, 0))
        if view.blur_px > _SHARP_BLUR_PX:
            picture = np.asarray(cv2.GaussianBlur(picture, (5, 5), view.blur_px))
        flicker = 1 + view.flicker * sin(2 * pi * view.flicker_hz * case_s)
        lit = cv2.multiply(picture, self._light, scale=flicker / _LIGHT_UNIT, dtype=cv2.CV_8U)
        noise = round(case_s * 1000) * 2654435761 % 2**32 % _NOISE_BANK
        noisy = cv2.subtract(cv2.add(lit, self._brighter[noise]), self._darker[noise])
        return np.asarray(noisy, np.uint8)

    def _drawn(self, case_s: float) -> Picture:
        view = self._camera.view
        matrix = self._matrix.copy()
        matrix[0, 2] += view.shake_px * sin(2.1 * case_s + view.shake_phase) * sin(0.6 * case_s)
        matrix[1, 2] += view.shake_px * sin(1.7 * case_s + 2 * view.shake_phase)
        picture: Picture = self._ground.copy()
        appearance = self._case.appearance
        draw_pose(Brush(picture, matrix), pose_at(self._case.scenario, appearance, case_s), appearance)
        return picture


def passers_share(case: SimulatedCase, camera_index: int, t_seconds: float) -> float:
    """Share in [0, 1] of the picture that people who pass or lean over the table cover at `t_seconds` of a video."""
    camera = case.cameras[camera_index]
    passers = pose_at(case.scenario, case.appearance, t_seconds + camera.start_us / US_PER_SECOND).passers
    if not passers:
        return 0.0
    width, height = case.config.width_px, case.config.height_px
    picture: Picture = np.zeros((height // 4, width // 4, 3), np.uint8)
    brush = Brush(picture, view_matrix(camera.view, (width, height)) / 4)
    white = replace(case.appearance, passer=(255, 255, 255), helper_glove=(255, 255, 255))
    for passer in passers:
        draw_passer(brush, passer, white)
    brush.flush()
    return float((picture[..., 0] > 127).mean())


def frame_at(case: SimulatedCase, camera_index: int, t_seconds: float) -> NDArray[np.uint8]:
    """One picture. For many of one camera, keep a FrameRenderer."""
    return FrameRenderer(case, camera_index).frame(t_seconds)


def view_matrix(view: View, size: tuple[int, int]) -> Matrix:
    """(2, 3) canvas to picture: turned, squashed and zoomed about the newborn, mirrored for some cameras."""
    width, height = size
    scale = min(width / CANVAS[0], height / CANVAS[1]) * view.zoom
    angle = np.deg2rad(view.turn_degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ [[1, view.shear], [0, 1]]
    linear = np.diag([-scale if view.mirrored else scale, scale * view.squash]) @ turn
    centre = np.array([CANVAS[0] / 2, CANVAS[1] / 2])
    target = np.array([width / 2 + view.shift_x, height / 2 + view.shift_y])
    return np.concatenate([linear, (target - linear @ centre)[:, None]], axis=1)


def _ground(appearance: Appearance, random: np.random.Generator) -> Picture:
    """Floor, table and cloth, with a pattern, folds and grain."""
    picture = np.empty((CANVAS[1], CANVAS[0], 3), np.uint8)
    picture[:] = appearance.floor
    brush = Brush(picture, np.array([[1.0, 0, 0], [0, 1.0, 0]]))
    brush.polygon(_plate(appearance.table_margin, appearance.table_corner), shaded(appearance.cloth, 0.7))
    brush.polygon(_plate(appearance.table_margin + 8, appearance.table_corner), appearance.cloth)
    _pattern(brush, appearance)
    for _ in range(7):  # folds
        x, y = random.uniform(30, 290), random.uniform(36, 208)
        brush.stroke(
            [(x, y), (x + random.uniform(-50, 50), y + random.uniform(-24, 24))],
            random.uniform(1.5, 4),
            shaded(appearance.cloth, random.uniform(0.88, 1.06)),
        )
    brush.flush()
    grain = cv2.GaussianBlur(random.normal(0, 9, picture.shape).astype(np.float32), (0, 0), 1.2)
    ground: Picture = np.clip(picture + grain, 0, 255).astype(np.uint8)
    return ground


def _plate(margin: float, corner: float) -> list[Point]:
    """The table's outline, with cut corners."""
    left, top, right, bottom, cut = margin, margin + 4, 320 - margin, 236 - margin, 26 * corner
    upper = [(left + cut, top), (right - cut, top), (right, top + cut), (right, bottom - cut)]
    return [*upper, (right - cut, bottom), (left + cut, bottom), (left, bottom - cut), (left, top + cut)]


def _pattern(brush: Brush, appearance: Appearance) -> None:
    left, top, right, bottom = 46.0, 50.0, 274.0, 190.0
    steps_x = np.arange(left, right, appearance.cloth_step)
    steps_y = np.arange(top, bottom, appearance.cloth_step)
    if appearance.cloth_pattern in (1, 2):
        for x in steps_x:
            brush.stroke([(x, top), (x, bottom)], 2.0, appearance.cloth_mark)
    if appearance.cloth_pattern == 2:
        for y in steps_y:
            brush.stroke([(left, y), (right, y)], 2.0, appearance.cloth_mark)
    if appearance.cloth_pattern == 3:
        for x in steps_x:
            for y in steps_y:
                brush.ellipse((x, y), (2.4, 2.4), appearance.cloth_mark)


def _light(view: View, size: tuple[int, int]) -> Picture:
    """Brightness per pixel and channel, in 1/_LIGHT_UNIT: a lamp to one side, its colour, the camera's exposure."""
    width, height = size
    x = np.linspace(-1, 1, width)[None, :] * view.lamp_x
    y = np.linspace(-1, 1, height)[:, None] * view.lamp_y
    colour = np.array([1 + view.warmth, 1.0, 1 - view.warmth])
    light: Picture = np.clip(_LIGHT_UNIT * view.brightness * (1 + x + y)[..., None] * colour, 0, 255).astype(np.uint8)
    return light


def render_case(case: SimulatedCase, folder: str | Path) -> list[Path]:
    """Write the case's videos below `folder`/videos; returns their paths. A file appears whole or not at all."""
    return [_render_camera(case, index, Path(folder)) for index in range(len(case.cameras))]


def _render_camera(case: SimulatedCase, index: int, folder: Path) -> Path:
    camera = case.cameras[index]
    path = folder / "videos" / camera.video_path
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{path.name}")
    render_part(case, index, temporary, first_frame=0, num_frames=camera.num_frames)
    temporary.replace(path)
    return path


def render_part(case: SimulatedCase, index: int, path: Path, *, first_frame: int, num_frames: int) -> None:
    """Write some frames of a camera's video as a video of their own, which starts at 0."""
    camera, config = case.cameras[index], case.config
    renderer = FrameRenderer(case, index)
    crf = min(config.crf + camera.view.crf_more, 51)
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=config.frames_per_second)
        stream.width, stream.height, stream.pix_fmt = config.width_px, config.height_px, "yuv420p"
        stream.codec_context.time_base = Fraction(1, config.frames_per_second)
        stream.codec_context.gop_size = 2 * config.frames_per_second
        stream.codec_context.thread_count = 1
        stream.options = {"crf": str(crf), "preset": "ultrafast", "flags": "+cgop"}
        for number in kept_frames(camera, num_frames):
            seconds = (first_frame + number) / config.frames_per_second
            planes = cv2.cvtColor(renderer.frame(seconds), cv2.COLOR_RGB2YUV_I420)  # four times as fast as swscale
            frame = av.VideoFrame.from_ndarray(np.asarray(planes, np.uint8), format="yuv420p")
            frame.pts = number
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def kept_frames(camera: Camera, num_frames: int) -> list[int]:
    """Numbers of the frames, of `num_frames`, that the camera delivers: all, or a variable rate where it drops some. The
    first and the last are always among them, so that the video has its length."""
    if not camera.view.drop_fraction:
        return list(range(num_frames))
    random = np.random.default_rng([num_frames, round(1e6 * camera.view.drop_fraction)])
    kept = random.random(num_frames) >= camera.view.drop_fraction
    kept[[0, -1]] = True
    return np.flatnonzero(kept).tolist()


def write_truth(cases: list[SimulatedCase], folder: str | Path) -> None:
    """The segments that were drawn, as tables and as the field's millisecond text, and the case sidecar."""
    root = Folder(str(folder))
    truth = root / "truth"
    truth.create()
    segments: list[Segment] = []
    extents: list[Extent] = []
    for case in cases:
        for camera in case.cameras:
            mine = _segments(case, camera)
            segments += mine
            # One microsecond more than the rounded length: readers of the file may round it up.
            end_us = camera.duration_us + 1
            extents.append(Extent(path=camera.video_path, start_us=0, end_us=end_us, source=SIMULATION))
            truth.write_bytes(f"{Path(camera.video_path).stem}.txt", millisecond_text(mine).encode(), durable=False)
    write_annotations(truth, segments, extents)
    root.write_bytes("cases.csv", cases_csv([row for case in cases for row in case_rows(case)]).encode())


def _segments(case: SimulatedCase, camera: Camera) -> list[Segment]:
    return [
        Segment(
            path=camera.video_path,
            activity=activity,
            start_us=start,
            end_us=end,
            source=SIMULATION,
            origin=Origin.SIMULATED,
        )
        for activity, start, end in camera_spans(case, camera)
    ]
