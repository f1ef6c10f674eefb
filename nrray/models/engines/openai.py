"""Answers from a server of the OpenAI protocol, which runs the model wherever it is. No torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nrray.errors import ErrorKind, ModelError, ServerError
from nrray.models.engines.addresses import AddressRefusedError, is_in_house, resolved_addresses
from nrray.models.engines.completions import (
    COMPLETIONS_ROUTE,
    Completion,
    FramesForm,
    ImageFormat,
    choice_bounds,
    completion_of,
    encoded_frames,
    image_parts,
    request_body,
    video_parts,
    video_times,
    window_times_us,
)
from nrray.models.engines.engine import GREEDY, Decoding, Question, Replies
from nrray.models.engines.http_client import HttpClient, Reach
from nrray.models.engines.served import MODELS_ROUTE, ServedModel, facts_digest, facts_of_model
from nrray.models.labeler import ModelInfo
from nrray.models.resolved import ResolvedModel
from nrray.types import Frames

if TYPE_CHECKING:
    from nrray.models.engines.sections import OpenAiSection

_PROBE = Question(name="probe", text="Is this a picture? Answer yes or no.", choices=(("yes",),), max_tokens=1)
_PROBE_FRAME = np.full((1, 224, 224, 3), 127, np.uint8)


class OpenAiEngine:
    """Every question about a window is a request of its own, with the frames first."""

    def __init__(self, section: "OpenAiSection", model: ResolvedModel) -> None:
        """Raises ModelError for a model that no server has, and where this node lacks the server's key."""
        if not isinstance(model, ServedModel):
            raise ModelError(
                f"strategy.engine: found openai with model {model.name}, a {model.title}, expected a model that a server has. "
                f"Leave the engine out."
            )
        self._section = section
        self._model = model
        self._client = HttpClient(reach_of(section, allow_remote=model.allow_remote))

    def close(self) -> None:
        """Ends all connections."""
        self._client.close()

    @property
    def info(self) -> ModelInfo:
        """Of the server's side nothing but the name is known."""
        return ModelInfo(
            name=self._model.name,
            path=self._model.url,
            digest=self._model.digest,
            parameter_count=0,
            sampling=None,
            device="server",
            dtype="served",
            memory_bytes=0,
        )

    def ask(self, frames: Frames, questions: Sequence[Question], *, decoding: Decoding = GREEDY) -> Replies:
        """As `Engine` says. Raises ServerError where one of the answers could not be had, or the server has another model."""
        self._check_same_model()
        num_windows, section = len(frames.window_frames), self._section
        encoded = encoded_frames(frames.pixels, image_format=_format(section), quality=section.jpeg_quality)
        bodies = [
            self._body(encoded, frames, window, question, decoding)
            for window in range(num_windows)
            for question in questions
        ]
        timed = self._client.post(COMPLETIONS_ROUTE, bodies)
        found = [completion_of(reply.document) for reply in timed]
        shape = (num_windows, len(questions))
        texts = [
            completion.text if questions[index % len(questions)].max_tokens else ""
            for index, completion in enumerate(found)
        ]
        return Replies(
            texts=[texts[start : start + len(questions)] for start in range(0, len(texts), max(1, len(questions)))],
            probabilities=[
                _probabilities(found[index :: len(questions)], question) for index, question in enumerate(questions)
            ],
            num_tokens=np.array([completion.num_tokens for completion in found], np.int32).reshape(shape),
            seconds=np.array([reply.seconds for reply in timed], np.float32).reshape(shape),
        )

    def _check_same_model(self) -> None:
        """A server may be started anew with another model under the same address while a run goes on."""
        found = facts_of_model(self._client.get(MODELS_ROUTE), where=self._model.url, name=self._model.name)
        if facts_digest(found) != self._model.digest:
            raise ServerError(
                ErrorKind.SERVER_CHANGED,
                f"{self._model.url} serves another {self._model.name} than when this run was planned: found {found}, expected "
                f"{dict(self._model.facts)}. Start the server with that model again, or begin another output.",
            )

    def _body(
        self, encoded: Sequence[str], frames: Frames, window: int, question: Question, decoding: Decoding
    ) -> Callable[[], dict[str, Any]]:
        section = self._section

        def body() -> dict[str, Any]:
            shown = [encoded[frame] for frame in frames.window_frames[window]]
            more: Mapping[str, Any] = section.extra_body
            if section.frames is FramesForm.JPEG_SEQUENCE:
                parts = video_parts(shown)
                more = {**more, **video_times(len(shown), frames.frames_per_second)}
            else:
                times_us = window_times_us(frames, window) if section.frame_times else None
                parts = image_parts(shown, times_us, image_format=section.image_format)
            return request_body(
                parts,
                question,
                model=self._model.name,
                decoding=decoding,
                top_logprobs=section.top_logprobs if self._model.tells_probabilities else 0,
                more=more,
            )

        return body


def reach_of(section: "OpenAiSection", *, allow_remote: bool) -> Reach:
    """How the section's server is reached."""
    return Reach(
        url=section.url,
        allow_remote=allow_remote,
        timeout_seconds=section.timeout_seconds,
        retries=section.retries,
        concurrency=section.concurrency,
        api_key_variable=section.api_key_variable,
    )


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """A server's model, its answers to a question in words and to one with a picture, and the seconds of the latter."""

    model: ServedModel
    words: Completion
    picture: Completion
    seconds: float


def served_model(section: "OpenAiSection", *, allow_remote: bool) -> ServedModel:
    """The model that a section names. Raises ModelError as `meeting` does."""
    return meeting(section, allow_remote=allow_remote).model


def meeting(section: "OpenAiSection", *, allow_remote: bool) -> Meeting:
    """The model that a section names, after two questions to its server: one in words, one with a grey picture in front.

    Raises ModelError where the address is refused, the server gives no answer, or the picture does not reach the model.
    """
    try:
        addresses = resolved_addresses(section.url, allow_remote=allow_remote)
    except AddressRefusedError as error:
        raise ModelError(f"strategy.engine.url: {error}") from None
    except OSError as error:
        raise ModelError(
            f"strategy.engine.url: the host of {section.url} has no address ({error.strerror or error}). Set it to the server's."
        ) from None
    client = HttpClient(reach_of(section, allow_remote=allow_remote))
    try:
        facts = facts_of_model(client.get(MODELS_ROUTE), where=section.url, name=section.model)
        name = str(facts["id"])
        replies = client.post(COMPLETIONS_ROUTE, [probe(section, name, parts) for parts in probe_parts(section)])
        [words, picture] = [completion_of(reply.document) for reply in replies]
    except ServerError as error:
        raise ModelError(f"the server of strategy.engine cannot be used: {error}") from None
    finally:
        client.close()
    model = ServedModel(
        name=name,
        url=section.url,
        addresses=addresses,
        facts=facts,
        fingerprint=picture.fingerprint,
        sees_images=_sees_images(words, picture, name=name, url=section.url),
        tells_probabilities=section.top_logprobs > 0 and picture.listed is not None,
        allow_remote=allow_remote,
        is_remote=not all(map(is_in_house, addresses)),
    )
    return Meeting(model=model, words=words, picture=picture, seconds=replies[-1].seconds)


def probe_parts(section: "OpenAiSection") -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A grey frame as the section shows frames, behind the words beside it alone."""
    picture = _picture(section)
    return [part for part in picture if part["type"] == "text"], picture


def _picture(section: "OpenAiSection") -> list[dict[str, Any]]:
    encoded = encoded_frames(_PROBE_FRAME, image_format=_format(section), quality=section.jpeg_quality)
    if section.frames is FramesForm.JPEG_SEQUENCE:
        return video_parts(encoded * 2)  # models that merge frames in pairs take no single one
    return image_parts(encoded, [0] if section.frame_times else None, image_format=section.image_format)


def probe(
    section: "OpenAiSection", name: str, parts: Sequence[Mapping[str, Any]], *, question: Question = _PROBE
) -> Callable[[], dict[str, Any]]:
    """A small question behind parts of `probe_parts`."""
    is_video = bool(parts) and section.frames is FramesForm.JPEG_SEQUENCE
    more = {**section.extra_body, **(video_times(2, 1.0) if is_video else {})}
    return lambda: request_body(
        parts, question, model=name, decoding=GREEDY, top_logprobs=section.top_logprobs, more=more
    )


def _sees_images(words: Completion, picture: Completion, *, name: str, url: str) -> bool | None:
    """Whether a picture made the prompt longer. Raises ModelError where it did not: some servers drop pictures for a model that
    has no eyes, and let it guess."""
    if not words.prompt_tokens or not picture.prompt_tokens:
        return None
    if picture.prompt_tokens <= words.prompt_tokens:
        raise ModelError(
            f"model {name} at {url}: found that a picture makes its prompt no longer ({words.prompt_tokens} tokens without, "
            f"{picture.prompt_tokens} with), expected a model that sees. The server drops pictures for it, and it would guess. "
            f"Serve a vision-language model, with its part that sees (llama.cpp: --mmproj)."
        )
    return True


def _format(section: "OpenAiSection") -> ImageFormat:
    return ImageFormat.JPEG if section.frames is FramesForm.JPEG_SEQUENCE else section.image_format


def _probabilities(found: Sequence[Completion], question: Question) -> NDArray[np.float32]:
    """(W, C); NaN where the server tells none."""
    rows = [
        np.full(len(question.choices), np.nan, np.float32)
        if completion.listed is None
        else choice_bounds(completion.listed, question.choices)
        for completion in found
    ]
    return np.stack(rows) if rows else np.zeros((0, len(question.choices)), np.float32)
