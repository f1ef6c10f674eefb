"""Requests and answers on a pipe: a length-prefixed JSON header, then raw pixels. Knows no process."""

import json
import struct
from dataclasses import asdict
from typing import Any

import numpy as np

from nrray.decode.request import DecodeConfig, FrameRequest, ProbeResult, SampledFrames
from nrray.errors import DecodeError, ErrorKind
from nrray.types import ClockKind

PREFIX = struct.Struct("<IQ")  # bytes of the JSON header, bytes of pixels


def packed(header: dict[str, Any], num_pixel_bytes: int = 0) -> bytes:
    """Prefix and header, ready to be written; the pixels follow separately."""
    text = json.dumps(header).encode()
    return PREFIX.pack(len(text), num_pixel_bytes) + text


def sample_header(request: FrameRequest, config: DecodeConfig) -> dict[str, Any]:
    """A request for frames."""
    fields = {**vars(request), "sample_us": np.asarray(request.sample_us, np.int64).tolist()}
    return {"ask": "sample", "request": fields, "config": config.model_dump(mode="json")}


def probe_header(uri: str, config: DecodeConfig) -> dict[str, Any]:
    """A request for facts."""
    return {"ask": "probe", "uri": uri, "config": config.model_dump(mode="json")}


def check_header(config: DecodeConfig) -> dict[str, Any]:
    """A request to check that the backend works on this machine."""
    return {"ask": "check", "config": config.model_dump(mode="json")}


def frame_request(header: dict[str, Any]) -> FrameRequest:
    """The request that `sample_header` wrote."""
    fields = dict(header["request"])
    fields["sample_us"] = np.array(fields["sample_us"], np.int64)
    fields["clock"] = ClockKind(fields["clock"])
    return FrameRequest(**fields)


def frames_header(frames: SampledFrames) -> dict[str, Any]:
    """An answer with frames; its pixels follow the header."""
    return {
        "answer": "frames",
        "shape": frames.pixels.shape,
        "pts_us": frames.pts_us.tolist(),
        "frame_of_sample": frames.frame_of_sample.tolist(),
        "shortfall": frames.shortfall,
        "is_concealed": frames.is_concealed.tolist(),
        "is_repeated": frames.is_repeated.tolist(),
        "dropped_us": frames.dropped_us.tolist(),
    }


def facts_header(facts: ProbeResult) -> dict[str, Any]:
    """An answer with facts."""
    return {"answer": "facts", "facts": asdict(facts)}


def fine_header() -> dict[str, Any]:
    """An answer that the backend works."""
    return {"answer": "fine"}


def error_header(kind: ErrorKind, message: str) -> dict[str, Any]:
    """An answer that the request failed."""
    return {"answer": "error", "kind": kind.value, "message": message}


def sampled_frames(header: dict[str, Any], pixel_bytes: bytearray) -> SampledFrames:
    """The frames of an answer. Raises the DecodeError that it carries."""
    raise_error(header)
    return SampledFrames(
        pixels=np.frombuffer(pixel_bytes, np.uint8).reshape(header["shape"]),
        pts_us=np.array(header["pts_us"], np.int64),
        frame_of_sample=np.array(header["frame_of_sample"], np.int32),
        shortfall=header["shortfall"],
        is_concealed=np.array(header["is_concealed"], np.bool_),
        is_repeated=np.array(header["is_repeated"], np.bool_),
        dropped_us=np.array(header["dropped_us"], np.int64),
    )


def probe_result(header: dict[str, Any]) -> ProbeResult:
    """The facts of an answer. Raises the DecodeError that it carries."""
    raise_error(header)
    facts = dict(header["facts"])
    return ProbeResult(**{**facts, "clock": ClockKind(facts["clock"])})


def raise_error(header: dict[str, Any]) -> None:
    """Raises the DecodeError that an answer carries, if it carries one."""
    if header["answer"] == "error":
        raise DecodeError(ErrorKind(header["kind"]), header["message"])
