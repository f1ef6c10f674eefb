"""Writes `model_card.md`. Every figure is an argument, measured by the run that made the model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nrray.labels import LabelSet
from nrray.models.frame_stacking import FrameStacking
from nrray.models.metadata import CheckpointMetadata, Pooling
from nrray.workshop.held_out import HeldOut
from nrray.workshop.recipe import RecipeConfig

_SHOWS = {
    FrameStacking.FRAMES: "each a picture",
    FrameStacking.LUMA_TRIPLETS: "luma of three at a time as the colours of one picture",
}
_READS = {
    Pooling.LAST: "the last token",
    Pooling.MEAN_FRAMES: "the mean of all frame tokens",
    Pooling.QUERY: "the last token, to which a learned query is added",
    Pooling.ATTENTION: "all frame tokens, weighted by how well they answer a learned query",
}


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """All that the card says and that is not in the metadata or the recipe."""

    command: str
    tower_source: str
    data: str  # one paragraph: the scenes, and how they became frames
    train_cases: int
    validation_cases: int
    test_cases: int
    train_video_seconds: float
    train_windows: int
    windows_seen: int
    num_cycles: int
    training_seconds: float
    total_seconds: float
    machine: str  # that trained it
    processor: str  # that the speed is of
    parameter_count: int
    trained_parameter_count: int
    folder_bytes: int
    flops_per_window: int
    flops_per_shared_window: int
    windows_per_second: float
    validation: HeldOut
    test: HeldOut
    elsewhere: dict[str, HeldOut]  # name of another renderer to what was found on its cases
    unseen: str  # the renderer of those that took no part in training
    needs: dict[str, Any]  # as nrray.workshop.train_embedded measures it: F1 and captions on changed frames


def write_card(
    folder: Path, *, metadata: CheckpointMetadata, recipe: RecipeConfig, label_set: LabelSet, facts: CardFacts
) -> Path:
    """Write the card into `folder`; returns the file."""
    sections = [
        _head(metadata, facts),
        _uses(),
        _data(facts, label_set),
        _recipe(metadata, recipe, facts),
        _results(metadata, facts),
        _needs(facts),
        _licence(facts),
    ]
    file = folder / "model_card.md"
    file.write_text("\n".join(sections), encoding="utf-8")
    return file


def _head(metadata: CheckpointMetadata, facts: CardFacts) -> str:
    sampling = metadata.sampling
    return f"""---
license: apache-2.0
library_name: transformers
pipeline_tag: image-text-to-text
tags: [video-classification, multi-label, simulated-data, nrray]
---
# {metadata.name}

A small vision-language model that ships inside `nrray`, so that every command runs on a fresh machine with no download.
It is a standard `FastVlmForConditionalGeneration` of transformers with a linear head, loaded by the same code as a
checkpoint of billions of parameters. Written by `{facts.command}`; no figure below was typed by hand.

| | |
|---|---|
| activities | {", ".join(metadata.labels.activities)} |
| input | {sampling.frames_per_window} frames of {sampling.frame_width_px}x{sampling.frame_height_px} px at \
{sampling.frames_per_second:g} Hz ({sampling.window_seconds:g} s), {_SHOWS[metadata.frame_stacking]} |
| parameters | {facts.parameter_count:,} ({facts.trained_parameter_count:,} trained here) |
| size on disk | {facts.folder_bytes / 1e6:.1f} MB |
| arithmetic | {facts.flops_per_window / 1e9:.2f} GFLOP for a window alone, \
{facts.flops_per_shared_window / 1e9:.2f} where overlapping windows share frames |
| speed | {facts.windows_per_second:.1f} windows/s on {facts.processor} |
"""


def _uses() -> str:
    return """## What it is for, and what it is not
It is for demos, tests and learning the tool: plumbing that really sees pictures. It was trained on drawn scenes alone
and has never seen a birth, a newborn or a manikin. Its labels on real video mean nothing. It is no medical device and
must not inform the care of anybody. For real video, fine-tune a large checkpoint on annotated cases.
"""


def _data(facts: CardFacts, label_set: LabelSet) -> str:
    prevalence = ", ".join(
        f"{measured.agreement.activity} {measured.agreement.support / facts.test.num_windows:.2f}"
        for measured in facts.test.activities
    )
    return f"""## Data
{facts.data}

Split by case: {facts.train_cases} cases to train ({facts.train_video_seconds / 3600:.2f} h of video, \
{facts.train_windows:,} windows), {facts.validation_cases} for the thresholds, {facts.test_cases} held out to measure.
Label set `{label_set.name}`; prevalence in the held-out windows: {prevalence}.
"""


def _recipe(metadata: CheckpointMetadata, recipe: RecipeConfig, facts: CardFacts) -> str:
    augment = recipe.augment
    return f"""## Training
The first part of the tower (to stride 16) keeps its ImageNet weights; its last part, the projector, the language model
and the head are trained together. One sequence holds frames, question and answer: the head reads the frames and learns
the activities, the language model learns to caption the window (three in four questions) or to say yes or no to one
activity's question.

* Loss: binary cross-entropy with positive weights, bounded by {recipe.objective.max_positive_weight:g}.
* The answers' cross-entropy, summed over a sentence, counts {recipe.answer_weight:g} beside it.
* AdamW, peak learning rate {recipe.peak_learning_rate:g} (tower {recipe.tail_share * recipe.peak_learning_rate:g}), \
weight decay {recipe.weight_decay:g}; linear rise over \
{recipe.warmup_fraction:.0%} of the steps, then half a cosine.
* {recipe.num_steps} steps of {recipe.batch_windows} windows, {facts.num_cycles} times, each from the weights and with the next \
seed of the one before = {facts.windows_seen:,} windows seen; first seed {recipe.seed}.
* Every window is changed as a whole before it is seen: {augment.flip_fraction:.0%} are mirrored, all are turned (up to \
{augment.max_turn_degrees:g} degrees),
  zoomed and shifted, and get another hue (up to {augment.max_hue_degrees:g} degrees), saturation, contrast, light, \
sharpness and noise.
* {facts.training_seconds / 60:.1f} minutes of training; {facts.total_seconds / 60:.1f} with drawing, encoding and \
decoding the videos, on {facts.machine}.

Prompt: "{metadata.prompt}"; the head reads {_READS[metadata.pooling]}.
"""


def _results(metadata: CheckpointMetadata, facts: CardFacts) -> str:
    lines = [
        "## Measured on held-out simulated cases",
        f"{facts.test.num_windows:,} windows of {facts.test.num_cases} cases at natural prevalence, after thresholds "
        f"(fitted on validation cases) and",
        "the label set's rules. Intervals: 95 %, jackknife over cases.",
        "",
        "| activity | precision | recall | F1 | interval | support | threshold |",
        "|---|---|---|---|---|---|---|",
    ]
    for measured in facts.test.activities:
        agreement = measured.agreement
        lines.append(
            f"| {agreement.activity} | {_ratio(agreement.precision)} | {_ratio(agreement.recall)} | "
            f"{_ratio(agreement.f1)} | {_ratio(measured.f1_low)} to {_ratio(measured.f1_high)} | {agreement.support} | "
            f"{metadata.thresholds[agreement.activity]:.3f} |"
        )
    return "\n".join(lines) + (
        f"\n\nMacro F1 over {', '.join(facts.test.macro_activities)}: **{_ratio(facts.test.macro_f1)}** "
        f"({_ratio(facts.test.macro_f1_low)} to {_ratio(facts.test.macro_f1_high)}); on the validation cases "
        f"{_ratio(facts.validation.macro_f1)}.\n\n" + _elsewhere(facts)
    )


def _elsewhere(facts: CardFacts) -> str:
    names = [measured.agreement.activity for measured in facts.test.activities]
    lines = [
        f"The same on cases of the other renderers; `{facts.unseen}` took no part in training, thresholds or any choice.",
        "",
        f"| F1 on renderer | cases | windows | {' | '.join(names)} | macro (95 %) |",
        "|---" * (len(names) + 4) + "|",
    ]
    for renderer, found in facts.elsewhere.items():
        each = " | ".join(_ratio(measured.agreement.f1) for measured in found.activities)
        lines.append(
            f"| {renderer} | {found.num_cases} | {found.num_windows:,} | {each} | **{_ratio(found.macro_f1)}** "
            f"({_ratio(found.macro_f1_low)} to {_ratio(found.macro_f1_high)}) |"
        )
    return "\n".join(lines) + "\n"


def _needs(facts: CardFacts) -> str:
    """The figures with changed frames, words or heads."""
    names = [*facts.needs["activities"]["as filmed"]]
    rows = {
        **{f"frames {name}": found for name, found in facts.needs["activities"].items()},
        "trained and measured on the middle frame alone": facts.needs["one frame, trained so"],
        "answers in words (yes or no), no rules": facts.needs["answers in words"],
        **{f"head trained again, seed {seed}": found for seed, found in enumerate(facts.needs["heads of other seeds"])},
    }
    table = [f"| F1 on the held-out windows | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    table += [f"| {row} | {' | '.join(_ratio(found[name]) for name in names)} |" for row, found in rows.items()]
    conditions = [*facts.needs["captions"]]
    captions = [
        f"| captions: right about | kappa | by chance | {' | '.join(f'frames {name}' for name in conditions)} |",
        "|---" * (len(conditions) + 3) + "|",
    ]
    for slot, filmed in facts.needs["captions"]["as filmed"].items():
        right = [f"{facts.needs['captions'][name][slot]['right']:.2f}" for name in conditions]
        captions.append(f"| {slot} | {filmed['kappa']:.2f} | {filmed['chance']:.2f} | {' | '.join(right)} |")
    return "\n".join(
        [
            "## What it needs to see",
            *table,
            "",
            "Captions are greedy and are taken at their word, sentence by sentence, against what was drawn; by chance is",
            "the agreement of the same captions dealt out at random, kappa (Cohen's) is of frames as filmed. Others pass",
            "or lean over the table, or are seen on less than 1 % of the picture and count as nobody; people says whether a",
            "newborn is there and whether anybody else is; objects and motion are what the sentences say of them.",
            "",
            *captions,
            "",
        ]
    )


def _licence(facts: CardFacts) -> str:
    return f"""## Licence
Apache-2.0, as the rest of this package. Tower weights: {facts.tower_source}
"""


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
