"""The classification head: from a window's hidden states to one logit per activity, in float32 whatever the model runs in."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from nrray.errors import ModelError
from nrray.models.families.family import HiddenStates
from nrray.models.metadata import HEAD_FILE, CheckpointMetadata, Pooling


class Head(torch.nn.Module):  # type: ignore[misc]
    """Pools the states that `pooling` names and reads the pool with one linear layer, behind a hidden one of `hidden_units`
    where that is not None. `query` (D,) is learned by two poolings: `ATTENTION` compares every state with it, `QUERY` adds it
    to the embedding of the prompt's last token (see `add_query`)."""

    def __init__(
        self, *, hidden_size: int, num_activities: int, pooling: Pooling, hidden_units: int | None = None
    ) -> None:
        super().__init__()
        self.pooling = pooling
        self.hidden = None if hidden_units is None else torch.nn.Linear(hidden_size, hidden_units)
        self.out = torch.nn.Linear(hidden_units or hidden_size, num_activities)
        has_query = pooling in (Pooling.QUERY, Pooling.ATTENTION)
        # From zero: attention starts as the mean, the query as the last token.
        self.query = torch.nn.Parameter(torch.zeros(hidden_size)) if has_query else None

    def forward(self, states: HiddenStates) -> torch.Tensor:
        """(B, A) float32 logits."""
        pooled = self.pooled(states)
        if self.hidden is not None:
            pooled = torch.relu(self.hidden(pooled))
        logits: torch.Tensor = self.out(pooled)
        return logits

    def pooled(self, states: HiddenStates) -> torch.Tensor:
        """(B, D) float32: the pool of each window."""
        hidden = states.hidden.float()
        if self.pooling in (Pooling.LAST, Pooling.QUERY):
            positions = torch.arange(hidden.shape[1], device=hidden.device)
            last = (states.attended * positions).argmax(dim=1)
            return hidden[torch.arange(hidden.shape[0], device=hidden.device), last]
        if self.query is not None:
            similarity = hidden @ self.query / hidden.shape[-1] ** 0.5
            weights = torch.softmax(similarity.masked_fill(~states.frame_tokens, float("-inf")), dim=1)
        else:
            weights = states.frame_tokens / states.frame_tokens.sum(dim=1, keepdim=True).clamp_min(1)
        return (hidden * weights.unsqueeze(-1)).sum(dim=1)

    def start_at(self, log_odds: torch.Tensor) -> None:
        """Set the (A,) bias. From the prior odds the loss starts at its floor, and rare activities are not first
        unlearned."""
        with torch.no_grad():
            self.out.bias.copy_(log_odds)


def add_query(model: Any, head: Head) -> None:
    """Let the model see the head's query, where it has one, in every prompt from now on: added to the embedding of the last
    token, which is the last of the prompt as padding stands on the left."""
    query = head.query
    if query is None or head.pooling is not Pooling.QUERY:
        return

    def added(_module: torch.nn.Module, _inputs: tuple[Any, ...], embeds: torch.Tensor) -> torch.Tensor:
        last = embeds[:, -1:] + query.to(embeds.dtype)
        return torch.cat([embeds[:, :-1], last], dim=1)

    model.get_input_embeddings().register_forward_hook(added)


def save_head(head: Head, folder: Path) -> Path:
    """Write `head.safetensors`; returns the file."""
    file = folder / HEAD_FILE
    save_file({name: tensor.detach().float().cpu().contiguous() for name, tensor in head.state_dict().items()}, file)
    return file


def load_head(folder: Path, *, metadata: CheckpointMetadata, hidden_size: int) -> Head:
    """The frozen head in `folder`. Raises ModelError where it does not fit the model or its description."""
    file = folder / HEAD_FILE
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"{file} cannot be read: {error}. A folder with nrray.json needs its head; copy the model again."
        ) from None
    head = Head(
        hidden_size=hidden_size,
        num_activities=len(metadata.labels.activities),
        pooling=metadata.pooling,
        hidden_units=metadata.hidden_units,
    )
    expected = {name: tuple(tensor.shape) for name, tensor in head.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if found != expected:
        raise ModelError(
            f"{file}: found {found}, expected {expected}. Train the model again for this label set, or restore the file."
        )
    if wrong := [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]:
        raise ModelError(
            f"{file}: found NaN or infinite weights in {wrong}, expected numbers. Restore the file, or train again."
        )
    head.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    head.requires_grad_(False)
    return head
