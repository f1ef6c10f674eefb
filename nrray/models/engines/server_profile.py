"""What a server of the OpenAI protocol can do, found out by asking it: pictures, a video of frames, probabilities, a schema."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from nrray.errors import ServerError
from nrray.models.engines.completions import COMPLETIONS_ROUTE, Completion, FramesForm, completion_of
from nrray.models.engines.engine import Question
from nrray.models.engines.http_client import HttpClient
from nrray.models.engines.openai import meeting, probe, probe_parts, reach_of
from nrray.models.engines.sections import OpenAiSection
from nrray.models.engines.served import ServedModel

SCHEMA_KEY = "is_picture_seen"
"""In an object that nobody would answer with who was not held to it."""

_SCHEMA: Mapping[str, object] = {
    "type": "object",
    "properties": {SCHEMA_KEY: {"type": "boolean"}},
    "required": [SCHEMA_KEY],
    "additionalProperties": False,
}
_HELD = Question(
    name="schema",
    text="Is this a picture? Answer yes or no.",
    max_tokens=24,
    schema=json.dumps(_SCHEMA),
)


@dataclass(frozen=True, kw_only=True)
class ServerProfile:
    """A server as it answered some small questions. seconds: of the answer about one picture; picture_tokens: by how many a
    picture made a prompt longer, None where the server counts none; num_listed: tokens whose probability it told of the first;
    video_trouble, schema_trouble: why it takes no video of frames, and does not keep to a schema; "" where it does."""

    model: ServedModel
    seconds: float
    picture_tokens: int | None
    num_listed: int
    video_trouble: str
    schema_trouble: str


def server_profile(section: OpenAiSection, *, allow_remote: bool) -> ServerProfile:
    """The profile of the server that a section names. Raises ModelError where it cannot be used at all."""
    met = meeting(section, allow_remote=allow_remote)  # tried again where it is still loading its model
    once = section.model_copy(update={"retries": 0})
    client = HttpClient(reach_of(once, allow_remote=allow_remote))
    try:
        return ServerProfile(
            model=met.model,
            seconds=met.seconds,
            picture_tokens=_longer(met.words, met.picture),
            num_listed=len(met.picture.listed or ()),
            video_trouble=_video_trouble(once, client, met.model.name, met.words),
            schema_trouble=_schema_trouble(once, client, met.model.name),
        )
    finally:
        client.close()


def _longer(words: Completion, shown: Completion) -> int | None:
    if not words.prompt_tokens or not shown.prompt_tokens:
        return None
    return shown.prompt_tokens - words.prompt_tokens


def _video_trouble(section: OpenAiSection, client: HttpClient, name: str, words: Completion) -> str:
    """Why the server takes no frames as one video; "" where it does, as far as it says."""
    as_video = section.model_copy(update={"frames": FramesForm.JPEG_SEQUENCE})
    _, video = probe_parts(as_video)
    try:
        [reply] = client.post(COMPLETIONS_ROUTE, [probe(as_video, name, video)])
        shown = completion_of(reply.document)
    except ServerError as error:
        return str(error)
    longer = _longer(words, shown)
    return "a video makes the prompt no longer" if longer is not None and longer <= 0 else ""


def _schema_trouble(section: OpenAiSection, client: HttpClient, name: str) -> str:
    """Why the server holds no answer to a schema; "" where it does."""
    _, picture = probe_parts(section)
    try:
        [reply] = client.post(COMPLETIONS_ROUTE, [probe(section, name, picture, question=_HELD)])
        text = completion_of(reply.document).text
    except ServerError as error:
        return str(error)
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    kept = isinstance(answer, dict) and answer.keys() == {SCHEMA_KEY} and isinstance(answer[SCHEMA_KEY], bool)
    return "" if kept else f"found the answer {text[:60]!r} to a question with a schema"
