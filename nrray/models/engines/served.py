"""A model that a server has: its name and facts as the server tells them, and the answers to two small questions that show
whether pictures and probabilities get through. No torch."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from nrray.errors import ErrorKind, ServerError
from nrray.models.inputs import CheckpointInputs
from nrray.models.metadata import CheckpointMetadata
from nrray.sampling import Sampling

MODELS_ROUTE = "/models"
LONGEST_SIDE_PX = 448
PATCH_PX = 28  # of the Qwen families; a multiple of 14, the patch of most others
_FACTS = ("id", "owned_by", "root", "parent", "meta")
"""What a server tells of a model that stays when it is started anew, unlike `created` and `permission`."""


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """A model on a server, as the driver found it. Can be sent to other nodes.

    name: as served; url: base of the server's routes; addresses: of its host, as the driver resolves it; facts: all that the
    server tells of the model and that stays; fingerprint: of the server's own build, where it tells one; sees_images: whether a
    picture made its prompt longer, None where the server counts no tokens; tells_probabilities: whether it gave the first
    token's; allow_remote: whether frames may leave the house.
    """

    name: str
    url: str
    addresses: tuple[str, ...]
    facts: Mapping[str, JsonValue]
    fingerprint: str | None
    sees_images: bool | None
    tells_probabilities: bool
    allow_remote: bool
    is_remote: bool

    @property
    def path(self) -> str:
        return self.url

    @property
    def title(self) -> str:
        return "model of a server"

    @property
    def digest(self) -> str:
        """Of what the server tells of the model: its weights are not seen."""
        return facts_digest(self.facts)

    @property
    def metadata(self) -> CheckpointMetadata | None:
        return None

    @property
    def inputs(self) -> CheckpointInputs | None:
        return None

    @property
    def knows_words(self) -> bool:
        return True

    def record(self) -> dict[str, JsonValue]:
        """For run.json: what is known of the server, and where frames went."""
        return {
            "url": self.url,
            "addresses": list(self.addresses),
            "is_remote": self.is_remote,
            "allow_remote": self.allow_remote,
            "model": dict(self.facts),
            "fingerprint": self.fingerprint,
            "sees_images": self.sees_images,
            "tells_probabilities": self.tells_probabilities,
        }

    def sentences(self) -> tuple[str, ...]:
        """What is to be known of a run with this model, for people."""
        owner = self.facts.get("owned_by")
        said = [
            f"Model: {self.name}, as {self.url} serves it{f' (owner: {owner})' if owner else ''}. Its weights are not seen from "
            f"here: it is the same model as long as the server tells the same of it."
        ]
        place = ", ".join(self.addresses)
        if self.is_remote:
            said.append(
                f"Frames of the videos leave the house, as --allow-remote says: they go to {self.url} ({place})."
            )
        else:
            said.append(f"Frames of the videos go to {self.url} ({place}), in the house.")
        if self.sees_images is None:
            said.append("The server counts no tokens: whether pictures reach the model cannot be told.")
        if not self.tells_probabilities:
            said.append(
                "The server tells no probabilities of tokens: labels have no scores, and states are the answers alone."
            )
        return tuple(said)


def served_sampling(video: tuple[int, int] | None) -> Sampling:
    """The sampling for a model of which nobody knows what it was made for. video: usual width and height, 1280 x 720 where none
    is known. Rate and length are those for any checkpoint that asks for nothing else; frames fit into LONGEST_SIDE_PX, which
    is about one tile of most vision-language models."""
    width, height = video or (1280, 720)
    scale = min(1.0, LONGEST_SIDE_PX / max(width, height))
    sides = [max(2 * PATCH_PX, round(side * scale / PATCH_PX) * PATCH_PX) for side in (width, height)]
    return Sampling(
        frames_per_second=4.0,
        window_seconds=3.0,
        stride_seconds=1.0,
        frame_width_px=sides[0],
        frame_height_px=sides[1],
    )


def facts_digest(facts: Mapping[str, JsonValue]) -> str:
    """sha256 of what a server tells of a model."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def facts_of_model(document: Any, *, where: str, name: str | None) -> dict[str, JsonValue]:
    """What stays of the entry of a model in a server's list; of the only one where no name is given.

    Raises ServerError where the list has no such model, or is none.
    """
    entries = document.get("data") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(e, dict) and isinstance(e.get("id"), str) for e in entries):
        raise ServerError(
            ErrorKind.SERVER_REPLY,
            f"{where}: found {json.dumps(document)[:120]}, expected a list of models. Set strategy.engine.url to a server that "
            f"speaks the OpenAI protocol.",
        )
    names = [entry["id"] for entry in entries]
    served = ", ".join(names[:8]) or "none"
    if name is None and len(names) != 1:
        raise ServerError(
            ErrorKind.SERVER_REPLY,
            f"{where}: found the models {served}, expected one. Set strategy.engine.model to one of them.",
        )
    found = next((entry for entry in entries if name is None or entry["id"] == name), None)
    if found is None:
        raise ServerError(
            ErrorKind.SERVER_CHANGED,
            f"{where}: found no model {name}, but {served}. Set strategy.engine.model to one of them.",
        )
    return {key: found[key] for key in _FACTS if found.get(key) is not None}
