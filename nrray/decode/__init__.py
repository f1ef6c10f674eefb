"""Decoding: sampled frames and facts of one video, in this process (`sample_frames`, `probe_video`) or in a guarded
child (`GuardedDecoder`). Names load on first use, so that importing this package costs nothing."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nrray.decode.backends import check_backend, sample_frames
    from nrray.decode.guard import GuardedDecoder
    from nrray.decode.probe import probe_video
    from nrray.decode.request import DecodeBackend, DecodeConfig, FrameRequest, ProbeResult, SampledFrames

_MODULE_OF_NAME = {
    "DecodeBackend": "request",
    "DecodeConfig": "request",
    "FrameRequest": "request",
    "GuardedDecoder": "guard",
    "ProbeResult": "request",
    "SampledFrames": "request",
    "check_backend": "backends",
    "probe_video": "probe",
    "sample_frames": "backends",
}

__all__ = [
    "DecodeBackend",
    "DecodeConfig",
    "FrameRequest",
    "GuardedDecoder",
    "ProbeResult",
    "SampledFrames",
    "check_backend",
    "probe_video",
    "sample_frames",
]


def __getattr__(name: str) -> Any:
    module = _MODULE_OF_NAME.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)
