"""The learning rate over the steps of a training: warm-up, constant, decay to 0. No torch."""

from dataclasses import dataclass

from nrray.train.training_config import ResolvedTraining


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Rates rise over `warmup_steps`, stay, and fall in a line from step `decay_from` on, to 0 at `num_steps`, the end.

    A constant rate that ends with a decay reaches what a cosine reaches, and needs not know beforehand when it ends (Hu et
    al. 2024; Haegele et al. 2024, who find a fifth of the steps enough for the decay; in a line to 0: Bergsma et al. 2025).
    """

    warmup_steps: int
    decay_from: int
    num_steps: int

    def share(self, step: int, *, start: int = 0) -> float:
        """The learning rate of a step as a share of its peak, for what begins to learn at step `start`."""
        if step < start:
            return 0.0
        rise = min(1.0, (step - start + 1) / max(1, self.warmup_steps))
        fall = min(1.0, (self.num_steps - step) / max(1, self.num_steps - self.decay_from))
        return rise * fall


def schedule_of(config: ResolvedTraining, *, stuck_at: int | None) -> Schedule:
    """stuck_at: the step at which validation had got no better for too long, None before that.

    From there the decay begins at once, in proportion to the steps made: to stop at the full rate would throw away what a
    decay brings.
    """
    warmup_steps, share = round(config.warmup_fraction * config.num_steps), config.decay_fraction
    decay_from = config.num_steps - round(share * config.num_steps)
    if stuck_at is None or stuck_at >= decay_from:
        return Schedule(warmup_steps=warmup_steps, decay_from=decay_from, num_steps=config.num_steps)
    num_steps = min(config.num_steps, stuck_at + round(stuck_at * share / (1 - share)))
    return Schedule(warmup_steps=warmup_steps, decay_from=stuck_at, num_steps=num_steps)
