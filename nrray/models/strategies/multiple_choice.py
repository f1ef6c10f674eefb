"""The strategy of lettered options, each a set of activities that the rules allow, asked in several orders.

Models prefer letters and places whatever the options say. Every option takes several letters, cyclic shifts of one order, and
its probability is the mean over them; how often the likeliest option changes with the order is reported.
"""

from collections.abc import Iterator, Sequence
from string import ascii_uppercase
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, JsonValue

from nrray.errors import ModelError
from nrray.labels import LabelSet
from nrray.models.engines.engine import Question
from nrray.models.resolved import ResolvedModel
from nrray.models.strategies.answers import SCORED_PARSER, parse_scored
from nrray.models.strategies.described import DescribedStrategy
from nrray.models.strategies.prompted import MIN_LABEL_MASS, Reading
from nrray.models.strategies.wording import spaced
from nrray.types import ORDER_QUESTION, LabelState

NOTHING = "none of them"
INSTRUCTION = "Which of these is the case? Answer with one letter."


class MultipleChoiceStrategy(DescribedStrategy):
    """A vision-language model chooses a set of activities by its letter: the letters' probabilities are scored, and nothing is
    generated. States are those of the likeliest option over all orders, scores the probability of options with the activity."""

    parser: ClassVar[str] = SCORED_PARSER

    kind: Literal["multiple_choice"] = Field(
        "multiple_choice", description="lettered sets of activities that the rules allow, asked in several orders"
    )
    orders: int = Field(
        4, ge=1, le=26, description="of the options, spread evenly over the cyclic ones; no more than options"
    )
    max_together: int | None = Field(
        None,
        ge=1,
        description="activities of an option at most, beside the one that must be visible; none given: as the rules allow",
    )
    instruction: str = Field(default=INSTRUCTION, min_length=1, description="behind the options")
    min_label_mass: float = Field(
        MIN_LABEL_MASS, ge=0, le=1, description="an order of which all letters together are less likely is unparsed"
    )

    def check(self, checkpoint: ResolvedModel, label_set: LabelSet) -> None:
        """As `PromptedStrategy` says, and where there are more options than letters."""
        super().check(checkpoint, label_set)
        if len(self.options(label_set)) > len(ascii_uppercase):
            raise ModelError(
                f"strategy.kind=multiple_choice: found more than {len(ascii_uppercase)} sets of the {len(label_set.names)} "
                f"activities that the rules allow, expected a letter for each. Set strategy.max_together, write exclusive "
                f"groups into the rules, or take another kind."
            )

    def options(self, label_set: LabelSet) -> list[frozenset[str]]:
        """The sets of activities that are asked about, none first; of more than there are letters, one more."""
        found = []
        for option in _allowed(label_set, self.max_together):
            found.append(option)
            if len(found) > len(ascii_uppercase):
                break
        return sorted(found, key=lambda option: (len(option), [name not in option for name in label_set.names]))

    def asked(self, checkpoint: ResolvedModel, label_set: LabelSet) -> tuple[Question, ...]:
        """A question for each order."""
        names = [option_name(option, label_set) for option in self.options(label_set)]
        count = min(self.orders, len(names))
        shifts = [round(number * len(names) / count) for number in range(count)]
        orders = [[*names[shift:], *names[:shift]] for shift in shifts]
        return tuple(
            Question(
                name=f"{ORDER_QUESTION}{number}",
                text=self.prompt(
                    checkpoint,
                    label_set,
                    "Options:",
                    *(f"{letter}. {name}" for letter, name in zip(ascii_uppercase, order, strict=False)),
                    self.instruction,
                ),
                choices=tuple((letter, f" {letter}") for letter in ascii_uppercase[: len(order)]),
                choice_names=tuple(order),
                max_tokens=0,
            )
            for number, order in enumerate(orders, start=1)
        )

    def identity(self, checkpoint: ResolvedModel, label_set: LabelSet) -> dict[str, JsonValue]:
        """As `PromptedStrategy` has it, with the least mass of a reading."""
        return {**super().identity(checkpoint, label_set), "min_label_mass": self.min_label_mass}

    def read(self, texts: Sequence[str], label_set: LabelSet) -> Reading:
        """As `PromptedStrategy` says. An order whose letters are not likely enough is unparsed, and is left out of the mean."""
        options = self.options(label_set)
        names = [option_name(option, label_set) for option in options]
        shares = [self._shares(text, names) for text in texts]
        known = [share for share in shares if share is not None]
        answer_states = tuple(LabelState.UNPARSED if share is None else None for share in shares)
        count = len(label_set.names)
        if not known:
            nothing = (LabelState.UNPARSED,) * count
            return Reading(states=nothing, answer_states=answer_states, scores=(float("nan"),) * count)
        mean = np.mean(known, axis=0)
        best = options[int(np.argmax(mean))]
        has = np.array([[name in option for name in label_set.names] for option in options])
        return Reading(
            states=tuple(LabelState.PRESENT if name in best else LabelState.ABSENT for name in label_set.names),
            answer_states=answer_states,
            scores=tuple(float(score) for score in np.clip(mean @ has, 0, 1)),
        )

    def _shares(self, text: str, names: Sequence[str]) -> list[float] | None:
        """The probability of each option among the options, in one order."""
        found = parse_scored(text, names)
        if found is None:
            return None
        mass = sum(found.values())
        if not mass > 0 or mass < self.min_label_mass:  # also where a letter is no token
            return None
        return [found[name] / mass for name in names]


def option_name(option: frozenset[str], label_set: LabelSet) -> str:
    """An option as a prompt has it."""
    return " + ".join(map(spaced, sorted_names(option, label_set))) or NOTHING


def sorted_names(option: frozenset[str], label_set: LabelSet) -> list[str]:
    """The activities of an option, in the label set's order."""
    return [name for name in label_set.names if name in option]


def _allowed(label_set: LabelSet, max_together: int | None) -> Iterator[frozenset[str]]:
    """Every set of activities that can be present at once, each found by adding one activity to another such set."""
    visible = label_set.rules.requires_visible
    excluded = {frozenset(pair) for pair in label_set.rules.exclusive_pairs}
    others = [name for name in label_set.names if name != visible and {name, visible} not in excluded]
    limit = len(others) if max_together is None else max_together

    def grown(option: tuple[str, ...], start: int) -> Iterator[tuple[str, ...]]:
        yield option
        for place in range(start, len(others) if len(option) < limit else start):
            if not any({name, others[place]} in excluded for name in option):
                yield from grown((*option, others[place]), place + 1)

    if visible is None:
        yield from map(frozenset, grown((), 0))
    else:
        yield frozenset()
        yield from (frozenset((visible, *option)) for option in grown((), 0))
