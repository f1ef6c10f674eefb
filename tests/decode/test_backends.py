"""Every backend against PyAV: the same times and nearly the same pixels, or a refusal that names the backend."""

import platform
import sys

import numpy as np
import pytest

from nrray.decode import DecodeBackend, DecodeConfig, FrameRequest, SampledFrames, check_backend, sample_frames
from nrray.decode.request import PSNR_DB_BETWEEN_BACKENDS
from nrray.errors import DecodeError, ErrorKind
from tests.decode.asking import CONFIG, grid_request, numbers, request
from tests.videos import write_video

FORMATS = {
    "h264.mp4": {},
    "h264.mkv": {},
    "h264.ts": {},
    "h264.avi": {},
    "h264_open_gop.mp4": {"codec_options": {"x264-params": "open-gop=1:scenecut=0"}},
    "hevc.mp4": {"codec": "libx265"},
    "hevc_10bit.mkv": {"codec": "libx265", "pix_fmt": "yuv420p10le"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "av1.mp4": {"codec": "libsvtav1"},
    "mpeg4.mp4": {"codec": "mpeg4"},
    "mjpeg.mkv": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "full_range.mp4": {"pix_fmt": "yuvj420p"},
    "late.mkv": {"start_us": 5_000_000},
    "variable.mkv": {"pts_us": [n * 40_000 + (n > 30) * 900_000 for n in range(75)]},
    "turned_90.mp4": {"rotation_degrees": 90},
    "turned_180.mp4": {"rotation_degrees": 180},
    "turned_270.mp4": {"rotation_degrees": 270},
    "with_sound.mp4": {"with_audio": True},
}


OPTIONAL = [backend for backend in DecodeBackend if backend is not DecodeBackend.PYAV]
# The test extra brings decord where it has wheels: there its tests are never skipped.
HAS_DECORD = (sys.platform, platform.machine()) == ("linux", "x86_64")


@pytest.fixture(params=OPTIONAL)
def config(request):
    config = DecodeConfig(backend=request.param)
    try:
        check_backend(config)
    except DecodeError as error:
        if request.param is DecodeBackend.DECORD and HAS_DECORD:
            raise
        pytest.skip(str(error))
    return config


@pytest.mark.parametrize("backend", OPTIONAL)
def test_a_backend_that_is_not_installed_is_refused_with_the_extra_that_brings_it(monkeypatch, backend):
    monkeypatch.setitem(sys.modules, backend.value, None)  # as Python notes a package that cannot be imported
    with pytest.raises(
        DecodeError, match=rf"pip install 'nrray\[{backend.value}\]'.* or use decode.backend=pyav"
    ) as caught:
        check_backend(DecodeConfig(backend=backend))
    assert caught.value.kind is ErrorKind.UNSUPPORTED


def frames_or_refusal(asked: FrameRequest, config: DecodeConfig) -> SampledFrames | DecodeError:
    try:
        return sample_frames(asked, config)
    except DecodeError as error:
        return error


def psnr_db(one, other) -> float:
    return float(10 * np.log10(255**2 / max(((one.astype(float) - other) ** 2).mean(), 1e-9)))


@pytest.mark.parametrize("name", FORMATS)
def test_a_backend_agrees_with_pyav_or_refuses_by_name(tmp_path, config, name):
    path = write_video(tmp_path / name, num_frames=75, **FORMATS[name])
    whole = grid_request(path)
    middle = request(path, whole.sample_us[4:8], end_us=whole.video_end_us)
    for asked in (whole, middle):
        expected = sample_frames(asked, CONFIG)
        got = frames_or_refusal(asked, config)
        if isinstance(got, DecodeError):
            assert got.kind in (ErrorKind.UNSUPPORTED, ErrorKind.DECODE_FAILED)
            assert config.backend.value in str(got)
            continue
        assert got.pts_us.tolist() == expected.pts_us.tolist()
        assert got.frame_of_sample.tolist() == expected.frame_of_sample.tolist()
        assert numbers(got) == numbers(expected)
        for one, other in zip(got.pixels, expected.pixels, strict=True):
            assert psnr_db(one, other) >= PSNR_DB_BETWEEN_BACKENDS


@pytest.mark.parametrize("name", ["h264.mp4", "h264.mkv", "late.mkv", "variable.mkv", "turned_90.mp4"])
def test_plain_videos_are_not_refused(tmp_path, config, name):
    path = write_video(tmp_path / name, **{"num_frames": 75, **FORMATS[name]})
    assert numbers(sample_frames(grid_request(path), config))


@pytest.mark.parametrize(
    ("matrix", "options"),
    [
        ("bt709", {"colorspace": "1", "color_range": "1"}),
        ("bt601", {"colorspace": "6", "color_range": "1"}),
        ("bt2020", {"colorspace": "9", "color_range": "1"}),
        ("bt709_full", {"colorspace": "1", "color_range": "2"}),
    ],
)
def test_tagged_matrix_and_range_give_the_colours_of_the_standard(tmp_path, matrix, options):
    import av

    luma, blue, red = 120, 90, 180
    path = tmp_path / "colour.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.colorspace = int(options["colorspace"])
        stream.codec_context.color_range = int(options["color_range"])
        planes = [np.full((64, 64), luma), np.full((16, 64), blue), np.full((16, 64), red)]
        frame = av.VideoFrame.from_ndarray(np.concatenate(planes).astype(np.uint8), "yuv420p")
        frame.colorspace, frame.color_range = int(options["colorspace"]), int(options["color_range"])
        for packet in [*stream.encode(frame), *stream.encode()]:
            output.mux(packet)
    red_weight, blue_weight = {"1": (0.2126, 0.0722), "6": (0.299, 0.114), "9": (0.2627, 0.0593)}[options["colorspace"]]
    is_full = options["color_range"] == "2"
    y = luma if is_full else (luma - 16) * 255 / 219
    u, v = ((c - 128) * (1 if is_full else 255 / 224) for c in (blue, red))
    r, b = y + 2 * (1 - red_weight) * v, y + 2 * (1 - blue_weight) * u
    g = (y - red_weight * r - blue_weight * b) / (1 - red_weight - blue_weight)
    expected = np.clip([r, g, b], 0, 255)
    for backend in DecodeBackend:
        got = frames_or_refusal(request(path, [0], end_us=40_000), DecodeConfig(backend=backend))
        if isinstance(got, DecodeError) and backend in OPTIONAL:
            assert got.kind is ErrorKind.UNSUPPORTED
            continue
        assert np.abs(got.pixels[0].mean((0, 1)) - expected).max() < 3, backend
