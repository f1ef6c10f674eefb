"""Frames of a case and the files of a simulation: H.264 MP4, tables of segments, case sidecar, millisecond text."""

from contextlib import closing
from fractions import Fraction
from math import pi, sin
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from nrray.archive.annotations import SIMULATION, millisecond_text, write_annotations
from nrray.archive.cases import cases_csv
from nrray.simulate.appearance import View
from nrray.simulate.case import Camera, SimulatedCase, camera_spans, case_rows
from nrray.simulate.renderers import opened_scene
from nrray.simulate.scenario import activity_spans
from nrray.storage import Folder
from nrray.types import US_PER_SECOND, Extent, Origin, Segment

_NOISE_BANK = 8
_LIGHT_UNIT = 160  # light is stored in bytes: up to 1.59
_SHORT_EXPOSURE_SECONDS, _SHARP_BLUR_PX = 0.02, 0.35  # below, the effect would not be visible


class FrameRenderer:
    """The pictures of one camera: `frame(t)` is a pure function of case, camera and time."""

    def __init__(self, case: SimulatedCase, camera_index: int) -> None:
        self._case = case
        self._camera: Camera = case.cameras[camera_index]
        self._size = (case.config.width_px, case.config.height_px)
        self._scene = opened_scene(case, camera_index)
        random = np.random.default_rng([case.appearance.texture_seed, camera_index])
        self._light = _light(self._camera.view, self._size)
        shape = (self._size[1], self._size[0], 3)
        bank = random.normal(0, self._camera.view.noise, (_NOISE_BANK, *shape)).astype(np.float32)
        self._brighter = np.clip(bank, 0, 255).astype(np.uint8)
        self._darker = np.clip(-bank, 0, 255).astype(np.uint8)

    def frame(self, t_seconds: float) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB at `t_seconds` of this camera's video."""
        view = self._camera.view
        case_s = t_seconds + self._camera.start_us / US_PER_SECOND
        picture = self._scene.picture(case_s)
        if view.exposure_seconds > _SHORT_EXPOSURE_SECONDS:
            picture = np.asarray(
                cv2.addWeighted(picture, 0.5, self._scene.picture(case_s - view.exposure_seconds), 0.5, 0)
            )
        if view.blur_px > _SHARP_BLUR_PX:
            picture = np.asarray(cv2.GaussianBlur(picture, (5, 5), view.blur_px))
        flicker = 1 + view.flicker * sin(2 * pi * view.flicker_hz * case_s)
        lit = cv2.multiply(picture, self._light, scale=flicker / _LIGHT_UNIT, dtype=cv2.CV_8U)
        noise = round(case_s * 1000) * 2654435761 % 2**32 % _NOISE_BANK
        noisy = cv2.subtract(cv2.add(lit, self._brighter[noise]), self._darker[noise])
        return np.asarray(noisy, np.uint8)

    def passers_share(self, t_seconds: float) -> float:
        """Share in [0, 1] of the picture that people who pass or lean over the table cover."""
        return self._scene.passers_share(t_seconds + self._camera.start_us / US_PER_SECOND)

    def close(self) -> None:
        """Free what the scene holds."""
        self._scene.close()


def frame_at(case: SimulatedCase, camera_index: int, t_seconds: float) -> NDArray[np.uint8]:
    """One picture. For many of one camera, keep a FrameRenderer."""
    with closing(FrameRenderer(case, camera_index)) as renderer:
        return renderer.frame(t_seconds)


def _light(view: View, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Brightness per pixel and channel, in 1/_LIGHT_UNIT: a lamp to one side, its colour, the camera's exposure."""
    width, height = size
    x = np.linspace(-1, 1, width)[None, :] * view.lamp_x
    y = np.linspace(-1, 1, height)[:, None] * view.lamp_y
    colour = np.array([1 + view.warmth, 1.0, 1 - view.warmth])
    light: NDArray[np.uint8] = np.clip(_LIGHT_UNIT * view.brightness * (1 + x + y)[..., None] * colour, 0, 255).astype(
        np.uint8
    )
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
    crf = min(config.crf + camera.view.crf_more, 51)
    with closing(FrameRenderer(case, index)) as renderer, av.open(str(path), "w", format="mp4") as container:
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
    activities = list(dict.fromkeys(name for case in cases for name in activity_spans(case.scenario)))
    for case in cases:
        for camera in case.cameras:
            mine = _segments(case, camera)
            segments += mine
            # One microsecond more than the rounded length: readers of the file may round it up.
            end_us = camera.duration_us + 1
            extents.append(Extent(path=camera.video_path, start_us=0, end_us=end_us, source=SIMULATION))
            truth.write_bytes(f"{Path(camera.video_path).stem}.txt", millisecond_text(mine).encode(), durable=False)
    write_annotations(truth, segments, extents, activities=activities)
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
