"""The base model's claims about held-out scenes against what was drawn: captions fact by fact, and answers by yes or no."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nrray.models.strategies.yes_no import INSTRUCTION
from nrray.sampling import Sampling
from nrray.workshop.everyday import Deed, is_moving
from nrray.workshop.everyday_captions import Asked, EverydayFacts, asked_of, claims_of, deed_question, look_alike
from nrray.workshop.measures import captions_of, changed_windows, kappa_of
from nrray.workshop.recipe import window_images, window_states
from nrray.workshop.vlm import TrainableVlm, window_prompt_ids
from nrray.workshop.window_store import WindowSet

AS_DRAWN = "as filmed"
CONDITIONS = (AS_DRAWN, "shuffled", "one frame repeated", "blank")
_NO_CLAIM = "?"
_SLOTS: Mapping[str, Callable[[EverydayFacts], str]] = {
    "things": lambda facts: ", ".join(thing.value for thing in facts.things),
    "number of hands": lambda facts: str(len(facts.hands)),
    "deeds": lambda facts: ", ".join(sorted(hand.deed.value for hand in facts.hands)),
    "motion": lambda facts: ", ".join(sorted(str(is_moving(hand.deed)) for hand in facts.hands)),
    "things of the deeds": lambda facts: ", ".join(sorted(hand.thing.value for hand in facts.hands)),
    "people who pass": lambda facts: str(facts.passes),
}


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Of one fact in all captions: share that is right, share by chance, Cohen's kappa."""

    right: float
    chance: float
    kappa: float


@dataclass(frozen=True, kw_only=True)
class BaseFigures:
    """Figures of windows that were changed in one way. exact: share of captions that are right word for word; facts: by name;
    answers: share of right answers by what was asked; num_answers: of how many."""

    exact: float
    facts: dict[str, Agreement]
    answers: dict[str, float]
    num_answers: dict[str, int]


def base_figures(vlm: TrainableVlm, windows: WindowSet, *, sampling: Sampling, seed: int) -> dict[str, BaseFigures]:
    """Figures by what was done to the windows; the same questions each time."""
    asked = questions_of(windows, np.random.default_rng(seed))
    found = {}
    for name in CONDITIONS:
        changed = changed_windows(windows)[name]
        captions = captions_of(vlm, changed, sampling=sampling)
        truth = changed.captions.tolist()
        is_right = answers_are_right(vlm, changed, asked, sampling=sampling)
        abouts = np.array([one.about for _, one in asked])
        found[name] = BaseFigures(
            exact=float(np.mean([ours == theirs for ours, theirs in zip(captions, truth, strict=True)])),
            facts=caption_facts(captions, truth),
            answers={str(about): float(is_right[abouts == about].mean()) for about in np.unique(abouts)},
            num_answers={str(about): int((abouts == about).sum()) for about in np.unique(abouts)},
        )
    return found


def caption_facts(captions: Sequence[str], truth: Sequence[str]) -> dict[str, Agreement]:
    """Agreement of captions with true ones, fact by fact; one that is none of the grammar's is wrong about all."""
    return {
        name: Agreement(
            **kappa_of(*(np.array([_claim(read, caption) for caption in texts]) for texts in (captions, truth)))
        )
        for name, read in _SLOTS.items()
    }


def questions_of(windows: WindowSet, random: np.random.Generator) -> list[tuple[int, Asked]]:
    """Of each window's hands: the true question and that about the look-alike, which is false; and one question more."""
    questions = []
    for row, caption in enumerate(windows.captions.tolist()):
        facts = claims_of(caption)
        assert facts is not None
        for hand in facts.hands:
            true = deed_question(hand, random, facts=facts)
            false = deed_question(look_alike(hand, random), random, facts=facts)
            questions += [(row, true)] if false.is_true else [(row, true), (row, false)]
        other = asked_of(facts, random)
        if other.about not in {deed.value for deed in Deed}:
            questions.append((row, other))
    return questions


def answers_are_right(
    vlm: TrainableVlm,
    windows: WindowSet,
    asked: Sequence[tuple[int, Asked]],
    *,
    sampling: Sampling,
    batch_size: int = 64,
) -> NDArray[np.bool_]:
    """(Q,) whether yes is likelier than no, as the first word of the answer, where it is the true one."""
    tokenizer = vlm.processor.tokenizer
    yes, no = (tokenizer.encode(word, add_special_tokens=False)[0] for word in ("yes", "no"))
    prompt_of = functools.cache(
        functools.partial(window_prompt_ids, vlm, sampling, num_frames=windows.window_frames.shape[1])
    )
    said = []
    with torch.inference_mode():
        for start in range(0, len(asked), batch_size):
            batch = asked[start : start + batch_size]
            prompts = [prompt_of(question=f"{one.question} {INSTRUCTION}") for _, one in batch]
            lasts = torch.tensor([len(prompt) - 1 for prompt in prompts])
            token_ids = torch.full((len(batch), int(lasts.max()) + 1), tokenizer.pad_token_id)
            for number, prompt in enumerate(prompts):
                token_ids[number, : len(prompt)] = torch.from_numpy(prompt)
            images = window_images(vlm, windows, np.array([row for row, _ in batch]))
            states = window_states(vlm, images, token_ids=token_ids.to(vlm.device))
            logits = vlm.model.lm_head(states.hidden[torch.arange(len(batch)), lasts])
            said.append((logits[:, yes] > logits[:, no]).cpu().numpy())
    is_right: NDArray[np.bool_] = np.concatenate(said) == np.array([one.is_true for _, one in asked])
    return is_right


def _claim(read: Callable[[EverydayFacts], str], caption: str) -> str:
    facts = claims_of(caption)
    return _NO_CLAIM if facts is None else read(facts)
