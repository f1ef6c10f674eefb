"""`sample_frames` with the backend of the config, in this process, and a check that the backend works on this machine."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from nrray.decode.decord_backend import sample_decord_frames
from nrray.decode.pyav_backend import sample_pyav_frames
from nrray.decode.request import DecodeBackend, DecodeConfig, FrameRequest, SampledFrames
from nrray.decode.torchcodec_backend import sample_torchcodec_frames

BACKENDS: dict[DecodeBackend, Callable[[FrameRequest, DecodeConfig], SampledFrames]] = {
    DecodeBackend.PYAV: sample_pyav_frames,
    DecodeBackend.DECORD: sample_decord_frames,
    DecodeBackend.TORCHCODEC: sample_torchcodec_frames,
}


def sample_frames(request: FrameRequest, config: DecodeConfig) -> SampledFrames:
    """The frames of `request`, decoded in this process: a hang or a crash of the decoder is one of this process.

    Raises DecodeError, and ValueError for samples that are not rising.
    """
    if not len(request.sample_us) or (np.diff(request.sample_us) < 0).any():
        raise ValueError("sample_us must hold at least one time and be sorted")
    return BACKENDS[config.backend](request, config)


def check_backend(config: DecodeConfig) -> None:
    """Decode a video that is made for it: an import alone does not load the system libraries that a backend needs.

    Raises DecodeError UNSUPPORTED, with the packages to install.
    """
    size_px = 64
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "check.mp4")
        with av.open(path, "w") as container:
            stream = container.add_stream("mpeg4", rate=4)
            stream.width, stream.height, stream.pix_fmt = size_px, size_px, "yuv420p"
            for _ in range(4):
                picture = np.full((size_px, size_px, 3), 127, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        request = FrameRequest(
            uri=path, sample_us=np.zeros(1, np.int64), width_px=size_px, height_px=size_px, video_end_us=1_000_000
        )
        sample_frames(request, config)
