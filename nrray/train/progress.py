"""How far a training has come: steps, events, and the best validation among them. Knows no torch."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import JsonValue

from nrray.train.history import Event, StepMeasured, Validated, best_validation, event_from_json, validations


@dataclass(frozen=True, kw_only=True)
class Progress:
    """step: optimizer steps so far; recent_losses: of those since the last measured event; history: events in order."""

    step: int = 0
    recent_losses: tuple[float, ...] = ()
    history: tuple[Event, ...] = ()

    @property
    def best(self) -> Validated | None:
        """The validation whose weights are kept."""
        return best_validation(self.history)

    def stuck_at(self, patience: int) -> int | None:
        """The first step at which `patience` validations in turn had had no higher macro F1 than all before, None so far: a
        lower loss alone is no better one."""
        highest, count = float("-inf"), 0
        for event in validations(self.history):
            macro = event.validation_macro_f1
            is_better = macro is not None and macro > highest
            highest = macro if macro is not None and is_better else highest
            count = 0 if is_better else count + 1
            if count >= patience:
                return event.step
        return None

    def after_step(self, loss: float) -> "Progress":
        """One optimizer step later."""
        return replace(self, step=self.step + 1, recent_losses=(*self.recent_losses, loss))

    @classmethod
    def from_document(cls, document: Any) -> "Progress":
        """The progress in a JSON document; keys that a release before wrote beside these are known by the history. Raises
        ValueError, KeyError, TypeError."""
        return cls(
            step=int(document["step"]),
            recent_losses=tuple(float(loss) for loss in document["recent_losses"]),
            history=tuple(event_from_json(event) for event in document["history"]),
        )

    def document(self) -> dict[str, JsonValue]:
        """The progress as JSON has it."""
        return {
            "step": self.step,
            "recent_losses": list(self.recent_losses),
            "history": [asdict(event) for event in self.history],
        }

    def after_event(self, event: Event) -> "Progress":
        """With one more event; the losses that it averages are no recent ones any more."""
        losses = () if isinstance(event, StepMeasured) else self.recent_losses
        return replace(self, recent_losses=losses, history=(*self.history, event))
