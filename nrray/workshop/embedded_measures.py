"""The embedded model's needs, measured on held-out windows: F1 on changed frames, of one frame alone, of heads
of other seeds, of answers in words, and how often its captions are right."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nrray.labels import LabelSet
from nrray.models.rules import apply_rules
from nrray.models.strategies.yes_no import INSTRUCTION
from nrray.sampling import Sampling
from nrray.train.objective import positive_weights
from nrray.train.thresholds import best_thresholds
from nrray.workshop.captions import SLOTS, Others, claims_of
from nrray.workshop.cycles import train_in_cycles
from nrray.workshop.dialogue import ActivityLessons, Dialogues
from nrray.workshop.embedded import PROMPT, HeadedVlm
from nrray.workshop.held_out import HeldOut, held_out
from nrray.workshop.measures import kappa_of, says_yes, window_batches
from nrray.workshop.recipe import RecipeConfig, window_scores, window_states
from nrray.workshop.vlm import TrainableVlm, window_prompt_ids
from nrray.workshop.window_store import WindowSet

Scores = NDArray[np.float32]
_MOVES = {"ventilation", "bag_tested", "suction", "tube_waved", "stimulation", "limb_rubbed", "hand_hovering"}


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The windows of one split."""

    train: WindowSet
    validation: WindowSet
    test: WindowSet


def measured_windows(
    windows: WindowSet, scores: Scores, *, thresholds: NDArray[np.float32], label_set: LabelSet
) -> HeldOut:
    """Agreement after thresholds and rules; the macro leaves out the activity that is nearly always there."""
    claimed = apply_rules(scores >= thresholds, scores=scores, thresholds=thresholds, label_set=label_set)
    visible = label_set.rules.requires_visible
    return held_out(
        label_set.names, claimed, windows.targets, cases=windows.cases, excluded=[visible] if visible else []
    )


def f1_of(found: HeldOut) -> dict[str, float | None]:
    """Activity to F1, and the macro."""
    rows: dict[str, float | None] = {m.agreement.activity: m.agreement.f1 for m in found.activities}
    return {**rows, "macro": found.macro_f1}


def single_frame_f1(
    vlm: HeadedVlm, parts: Parts, recipe: RecipeConfig, *, sampling: Sampling, label_set: LabelSet, work: Path
) -> dict[str, float | None]:
    """The same network, recipe and windows, but of each window only the middle frame. Trains `vlm`, for one cycle, which is kept
    in `work`."""

    def middle(windows: WindowSet) -> WindowSet:
        return replace(windows, window_frames=windows.window_frames[:, [windows.window_frames.shape[1] // 2]])

    dialogues = Dialogues(vlm, sampling, ActivityLessons(label_set), num_frames=1)
    train_in_cycles(vlm, middle(parts.train), recipe, num_cycles=1, dialogues=dialogues, work=work)
    prompt_ids = window_prompt_ids(vlm, sampling, num_frames=1, question=PROMPT)
    validation, test = middle(parts.validation), middle(parts.test)
    thresholds = best_thresholds(window_scores(vlm, validation, prompt_ids=prompt_ids), validation.targets)
    scores = window_scores(vlm, test, prompt_ids=prompt_ids)
    return f1_of(measured_windows(test, scores, thresholds=thresholds, label_set=label_set))


def head_seeds_f1(
    vlm: HeadedVlm, parts: Parts, *, seeds: Sequence[int], sampling: Sampling, label_set: LabelSet
) -> list[dict[str, float | None]]:
    """Heads trained anew, each from another seed, on the states of the trained model."""
    num_frames = parts.train.window_frames.shape[1]
    prompt_ids = window_prompt_ids(vlm, sampling, num_frames=num_frames, question=PROMPT)
    states = [pooled_states(vlm, part, prompt_ids=prompt_ids) for part in (parts.train, parts.validation, parts.test)]
    targets = torch.from_numpy(parts.train.targets.astype(np.float32))
    weights = positive_weights(parts.train.targets.mean(axis=0), bound=4.0)
    loss_of = torch.nn.BCEWithLogitsLoss(pos_weight=torch.from_numpy(weights))
    results = []
    for seed in seeds:
        torch.manual_seed(seed)
        head = torch.nn.Linear(states[0].shape[1], targets.shape[1])
        optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3, weight_decay=1e-4)
        for _ in range(20):
            for rows in torch.randperm(len(targets)).split(256):
                optimizer.zero_grad()
                loss_of(head(states[0][rows]), targets[rows]).backward()
                optimizer.step()
        with torch.inference_mode():
            validation, test = (torch.sigmoid(head(part)).numpy() for part in states[1:])
        thresholds = best_thresholds(validation, parts.validation.targets)
        results.append(f1_of(measured_windows(parts.test, test, thresholds=thresholds, label_set=label_set)))
    return results


def pooled_states(vlm: HeadedVlm, windows: WindowSet, *, prompt_ids: NDArray[np.int64]) -> torch.Tensor:
    """(W, D) the head's input for each window."""
    found = []
    with torch.inference_mode():
        for images, token_ids in window_batches(vlm, windows, prompt_ids):
            found.append(vlm.head.pooled(window_states(vlm, images, token_ids=token_ids)).cpu())
    return torch.cat(found).clone()


def answers_f1(
    vlm: TrainableVlm, windows: WindowSet, *, sampling: Sampling, label_set: LabelSet
) -> dict[str, float | None]:
    """F1 of yes against no in words, by the first token of the answer; one question per activity, no rules."""
    num_frames = windows.window_frames.shape[1]
    said = np.zeros_like(windows.targets)
    for column, activity in enumerate(label_set.activities):
        question = f"{activity.question} {INSTRUCTION}"
        prompt_ids = window_prompt_ids(vlm, sampling, num_frames=num_frames, question=question)
        said[:, column] = says_yes(vlm, windows, prompt_ids=prompt_ids)
    visible = label_set.rules.requires_visible
    return f1_of(
        held_out(label_set.names, said, windows.targets, cases=windows.cases, excluded=[visible] if visible else [])
    )


def caption_agreement(captions: Sequence[str], truth: Sequence[str]) -> dict[str, dict[str, float]]:
    """Of every slot of the grammar, and of people, objects and motion: the share of captions that are right, the share that
    would be by chance with the same frequencies, and Cohen's kappa. A caption that says nothing of a slot is wrong."""
    said: list[dict[str, Any]] = [claims_of(text) for text in captions]
    true: list[dict[str, Any]] = [claims_of(text) for text in truth]
    views = {slot: [[str(c[slot] and c[slot].value) for c in claims] for claims in (said, true)] for slot in SLOTS}
    views["people"] = [[_people(c["newborn"], c["others"]) for c in claims] for claims in (said, true)]
    views["objects"] = [[_objects(c["airway"]) for c in claims] for claims in (said, true)]
    views["motion"] = [[_motion(c["airway"]) + _motion(c["body"]) for c in claims] for claims in (said, true)]
    return {name: kappa_of(np.array(ours), np.array(theirs)) for name, (ours, theirs) in views.items()}


def _people(newborn: Any, others: Others | None) -> str:
    """Whether a newborn is there, and whether anybody comes by."""
    comes_by = "?" if others is None else "nobody" if others is Others.NOBODY else "somebody"
    return f"{newborn and newborn.value} {comes_by}"


def _objects(claim: Any) -> str:
    name = "none" if claim is None else claim.value
    if name in ("ventilation", "mask_still"):
        return "mask on the face"
    if name in ("mask_beside", "bag_tested"):
        return "mask beside"
    if name in ("suction", "tube_still"):
        return "tube at the mouth"
    return "tube beside" if name.startswith("tube") else name


def _motion(claim: Any) -> str:
    return "?" if claim is None else "moves " if claim.value in _MOVES else "still "
