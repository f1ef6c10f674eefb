"""How far a training has come: steps, events, and the best validation among them. Knows no torch."""

from dataclasses import dataclass, replace

from nrray.train.history import Event, StepMeasured, Validated, best_validation, validations


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

    @property
    def validations_without_better(self) -> int:
        """Validations since the last one whose macro F1 was higher than all before: a lower loss alone is no better one."""
        highest, count = float("-inf"), 0
        for event in validations(self.history):
            macro = event.validation_macro_f1
            is_better = macro is not None and macro > highest
            highest = macro if macro is not None and is_better else highest
            count = 0 if is_better else count + 1
        return count

    def after_step(self, loss: float) -> "Progress":
        """One optimizer step later."""
        return replace(self, step=self.step + 1, recent_losses=(*self.recent_losses, loss))

    def after_event(self, event: Event) -> "Progress":
        """With one more event; the losses that it averages are no recent ones any more."""
        losses = () if isinstance(event, StepMeasured) else self.recent_losses
        return replace(self, recent_losses=losses, history=(*self.history, event))
