"""What the loop trains: a model with a head, as one module that says what of it learns, how fast and from when."""

from abc import abstractmethod
from pathlib import Path

import torch

from nrray.models.families.family import LoadedCheckpoint
from nrray.models.head import Head


class TunedModule(torch.nn.Module):  # type: ignore[misc]
    """From the processor's tensors to (B, A) float32 logits."""

    def __init__(self, checkpoint: LoadedCheckpoint, head: Head) -> None:
        super().__init__()
        self.head = head
        self._checkpoint = checkpoint

    def forward(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        states = self._checkpoint.family.hidden_states(self._checkpoint, inputs)
        with torch.autocast(states.hidden.device.type, enabled=False):  # the head is float32, whatever runs before it
            logits: torch.Tensor = self.head(states)
        return logits

    def trained(self) -> dict[str, torch.nn.Parameter]:
        """What is trained, by name."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    @abstractmethod
    def part_of(self, name: str) -> str:
        """Of a trained tensor: head, adapter, tower, projector or whole, each with a learning rate of its own."""

    def start_of(self, name: str) -> float:
        """Share of the training after which a tensor begins to learn: all do at once."""
        return 0.0

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what is trained as it is loaded for labelling."""
