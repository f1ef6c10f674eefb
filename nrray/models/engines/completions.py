"""Chat completions: the body of a request about a window, and what its reply says. Pure functions of JSON."""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from nrray.errors import ErrorKind, ServerError
from nrray.models.engines.engine import Choice, Decoding, Question
from nrray.types import US_PER_SECOND, Frames

COMPLETIONS_ROUTE = "/chat/completions"
RESERVED_FIELDS = frozenset(
    {
        "model",
        "messages",
        "max_tokens",
        "temperature",
        "seed",
        "stream",
        "logprobs",
        "top_logprobs",
        "n",
        "media_io_kwargs",
        "response_format",
    }
)
NEGLIGIBLE = 0.01
SCORES_RULE = "listed_tokens/1"  # name and version of `choice_bounds`, of which the identity of outputs is made


class FramesForm(str, Enum):
    """How the frames of a window are sent."""

    IMAGES = "images"  # each a picture, behind its time as text: every server takes these
    JPEG_SEQUENCE = "jpeg_sequence"  # one video of JPEG frames with their times, as vLLM and LMDeploy take it


class ImageFormat(str, Enum):
    """How a frame is written. PNG loses nothing; JPEG is smaller."""

    PNG = "png"
    JPEG = "jpeg"


@dataclass(frozen=True, kw_only=True)
class Completion:
    """A reply. num_tokens: 0 where the server does not count; listed: the likeliest first tokens with their probabilities, and
    the chosen one, None where the server tells none; prompt_tokens: None likewise."""

    text: str
    num_tokens: int
    prompt_tokens: int | None
    listed: tuple[tuple[str, float], ...] | None
    fingerprint: str | None


def encoded_frames(pixels: NDArray[np.uint8], *, image_format: ImageFormat, quality: int) -> list[str]:
    """base64 of (N, H, W, 3) RGB frames."""
    if image_format is ImageFormat.PNG:
        suffix, settings = ".png", [cv2.IMWRITE_PNG_COMPRESSION, 3]
    else:
        suffix, settings = ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality]
    found = []
    for frame in pixels:
        written, data = cv2.imencode(suffix, cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), settings)
        assert written, "OpenCV writes PNG and JPEG of every size"
        found.append(base64.b64encode(data.tobytes()).decode())
    return found


def image_parts(
    encoded: Sequence[str], times_us: Sequence[int] | None, *, image_format: ImageFormat
) -> list[dict[str, Any]]:
    """A window's frames as pictures, each behind its seconds from the window's start on where they are given: a model sees no
    other clock."""
    parts: list[dict[str, Any]] = []
    for index, data in enumerate(encoded):
        if times_us is not None:
            parts.append({"type": "text", "text": f"{times_us[index] / US_PER_SECOND:.2f} s:"})
        parts.append({"type": "image_url", "image_url": {"url": f"data:image/{image_format.value};base64,{data}"}})
    return parts


def video_parts(encoded: Sequence[str]) -> list[dict[str, Any]]:
    """A window's frames as one video of JPEG frames."""
    return [{"type": "video_url", "video_url": {"url": f"data:video/jpeg;base64,{','.join(encoded)}"}}]


def video_times(num_frames: int, frames_per_second: float) -> dict[str, JsonValue]:
    """The field of a request that gives a video of JPEG frames its times. Without `num_frames` of -1 a server would drop those
    behind the 32nd, without a rate it would take them for a second apart."""
    return {
        "media_io_kwargs": {
            "video": {
                "num_frames": -1,
                "fps": frames_per_second,
                "frames_indices": list(range(num_frames)),
                "total_num_frames": num_frames,
                "duration": num_frames / frames_per_second,
                "do_sample_frames": False,
            }
        }
    }


def window_times_us(frames: Frames, window: int) -> list[int]:
    """(F,) microseconds of a window's frames from its start on. A frame may have been shown a little before it."""
    times = frames.pts_us[frames.window_frames[window]] - frames.window_start_us[window]
    return [int(time) for time in np.maximum(times, 0)]


def request_body(
    parts: Sequence[Mapping[str, Any]],
    question: Question,
    *,
    model: str,
    decoding: Decoding,
    top_logprobs: int,
    more: Mapping[str, JsonValue],
) -> dict[str, Any]:
    """A request: the frames, then the question, so that a server may compute the prefix of all questions once. A question whose
    probabilities alone are wanted is asked for one token, as servers refuse to make none."""
    wants_scores = bool(question.choices) and top_logprobs > 0
    return {
        **more,
        "model": model,
        "messages": [{"role": "user", "content": [*parts, {"type": "text", "text": question.text}]}],
        "max_tokens": max(question.max_tokens, 1),
        "temperature": decoding.temperature,
        "seed": seed_of_vote(decoding),
        "stream": False,
        **({"response_format": _answer_format(question)} if question.schema is not None else {}),
        **({"logprobs": True, "top_logprobs": top_logprobs} if wants_scores else {}),
    }


def seed_of_vote(decoding: Decoding) -> int:
    """A number that servers take for a seed, another one for each seed and vote."""
    return (decoding.seed * 1_000_003 + decoding.vote) % 2**31


def _answer_format(question: Question) -> dict[str, Any]:
    """The field by which servers keep an answer to a schema."""
    assert question.schema is not None
    schema = {"name": "answer", "schema": json.loads(question.schema), "strict": True}
    return {"type": "json_schema", "json_schema": schema}


def completion_of(document: Any) -> Completion:
    """What a reply says. Raises ServerError where it is no chat completion."""
    choices = _field(document, "choices")
    if not isinstance(choices, list) or not choices:
        raise _no_completion(document, "choices")
    message = _field(choices[0], "message")
    if not isinstance(message, dict):
        raise _no_completion(document, "a message")
    usage = _field(document, "usage")
    tokens = _field(_field(choices[0], "logprobs"), "content")
    listed = _listed(tokens[0], document) if isinstance(tokens, list) and tokens else None
    counted = _count(_field(usage, "completion_tokens"))
    if counted is None:
        counted = len(tokens) if isinstance(tokens, list) else 0
    fingerprint = _field(document, "system_fingerprint")
    return Completion(
        text=_text(message, document),
        num_tokens=counted,
        prompt_tokens=_count(_field(usage, "prompt_tokens")),
        listed=listed,
        fingerprint=fingerprint if isinstance(fingerprint, str) else None,
    )


def choice_bounds(listed: Sequence[tuple[str, float]], choices: Sequence[Choice]) -> NDArray[np.float32]:
    """(C,) probabilities that the first token is a spelling of each choice, of the likeliest tokens alone.

    What is not listed is not impossible, only no likelier than the last one that is, and than all that is left. A choice has
    the sum of its listed spellings where the unlisted ones could add no more than NEGLIGIBLE of the likeliest choice; one of
    which none is listed has that bound, which takes nothing from the certainty of the others; else it is NaN: not known.
    """
    smallest = min((probability for _, probability in listed), default=1.0)
    left = max(0.0, 1.0 - sum(probability for _, probability in listed))
    tokens = {token for token, _ in listed}
    sums = [sum(probability for token, probability in listed if token in spellings) for spellings in choices]
    open_spellings = [len(set(spellings) - tokens) for spellings in choices]
    bounds = [min(left, count * smallest) for count in open_spellings]
    most = max(sums, default=0.0)
    return np.array(
        [
            (total or bound) if bound <= NEGLIGIBLE * most else math.nan
            for total, bound in zip(sums, bounds, strict=True)
        ],
        np.float32,
    )


def _listed(first: Any, document: Any) -> tuple[tuple[str, float], ...]:
    """The likeliest first tokens, and the one that was chosen."""
    top = _field(first, "top_logprobs")
    entries = list(top) if isinstance(top, list) else []
    if isinstance(first, dict) and first.get("token") not in [_field(entry, "token") for entry in entries]:
        entries.append(first)
    found = []
    for entry in entries:
        token, logarithm = _field(entry, "token"), _field(entry, "logprob")
        if logarithm is None:
            continue
        if not isinstance(token, str) or isinstance(logarithm, bool) or not isinstance(logarithm, int | float):
            raise _no_completion(document, "tokens with their logarithms of probability")
        if math.isnan(logarithm) or logarithm > 1e-3:
            raise _no_completion(document, "logarithms of probability that are 0 or less")
        found.append((token, min(1.0, math.exp(logarithm))))
    return tuple(found)


def _text(message: Mapping[str, Any], document: Any) -> str:
    """The words of an answer. One that was refused is what the refusal says; one that thought and said nothing is empty."""
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(_field(part, "text") or "") for part in content)
    if content is None:
        content = message.get("refusal") or ""
    if not isinstance(content, str):
        raise _no_completion(document, "text")
    return content


def _field(document: Any, name: str) -> Any:
    return document.get(name) if isinstance(document, dict) else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _no_completion(document: Any, expected: str) -> ServerError:
    found = sorted(document) if isinstance(document, dict) else type(document).__name__
    return ServerError(
        ErrorKind.SERVER_REPLY,
        f"the server's reply has no {expected}: found {str(found)[:160]}, expected a chat completion of the OpenAI protocol.",
    )
