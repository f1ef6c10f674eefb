"""How good judges are that read a caption and see nothing: on captions that say what is true, and on the same captions dealt out
to other windows; and how much faster one is that reads many captions together.

    python tests/benchmarks/judges.py --judge words --judge smollm2 [--judge FOLDER] [--cases 12] [--captions 100]
    python tests/benchmarks/judges.py --judge smollm2 --throughput 64
    python tests/benchmarks/judges.py --judge words --model embedded-base --frames DIR.work/frames \
        --label-set tests/benchmarks/everyday_claims.yaml

A line per judge, strategy and order of the captions: F1 per activity (of states that are present), their mean without the
activity that must be visible, with a 95 % interval over drawn captions (bootstrap), and the shares of labels that are unsure and
unparsed. True captions are written from drawn scenarios by the grammar of the embedded model; they are the ceiling, dealt-out
ones the floor. With --model, captions are what it says of windows of the simulated cases that
`nrray.workshop.train_embedded` left in --frames, and silence is absence.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nrray.labels import LabelSet, read_label_set
from nrray.models import FocusedJudgeStrategy, JudgedStrategy, JudgeJsonStrategy, JudgeStrategy
from nrray.models.config import CheckpointChoice, Device, Execution
from nrray.models.engines.engine import Replies
from nrray.models.judges import JudgeSection, load_judge
from nrray.models.judges.judge import Judge
from nrray.models.measure import synthetic_frames
from nrray.models.resolved import resolve_checkpoint
from nrray.models.strategies.judged import CaptionReader
from nrray.models.strategies.verdicts import NotStated
from nrray.simulate.scenario import Airway, Body, drawn_scenario
from nrray.types import STATE_INDEX, LabelState
from nrray.workshop.captions import Newborn, SceneFacts, caption_of, window_facts
from nrray.workshop.embedded_data import Part, numbers_of, source_cases
from nrray.workshop.train_embedded import CASES, SEED
from nrray.workshop.window_store import case_subset, open_windows

CASE_SECONDS, WINDOW_SECONDS = 120.0, 3.0
DRAWS = 1000
KINDS: tuple[type[JudgedStrategy], ...] = (JudgeStrategy, FocusedJudgeStrategy, JudgeJsonStrategy)


@dataclass(frozen=True, kw_only=True)
class Written:
    """N captions and (N, A) truth."""

    captions: list[str]
    truth: NDArray[np.bool_]


def written_captions(label_set: LabelSet, *, num_cases: int, num_captions: int) -> Written:
    """Different captions of drawn cases, evenly over their time, with what they make true."""
    random = np.random.default_rng(0)
    facts: list[SceneFacts] = []
    for _ in range(num_cases):
        scenario = drawn_scenario(random, CASE_SECONDS)
        starts = np.arange(0, CASE_SECONDS - WINDOW_SECONDS, 1.0)
        facts += [window_facts(scenario, start, start + WINDOW_SECONDS, passers_share=0.0) for start in starts]
    chosen = [facts[place] for place in random.permutation(len(facts))[:num_captions]]
    true = {
        "baby_visible": [each.newborn is Newborn.THERE for each in chosen],
        "ventilation": [each.airway is Airway.VENTILATION for each in chosen],
        "stimulation": [each.body is Body.STIMULATION for each in chosen],
        "suction": [each.airway is Airway.SUCTION for each in chosen],
    }
    truth = np.array([true[name] for name in label_set.names], bool).T
    return Written(captions=[caption_of(each) for each in chosen], truth=truth)


def states_of(
    strategy: JudgedStrategy, judge: Judge | None, captions: Sequence[str], label_set: LabelSet
) -> NDArray[np.uint8]:
    """(N, A) states of captions, each shown as every caption of its window."""
    num_captions = len(label_set.names) if isinstance(strategy, FocusedJudgeStrategy) else 1
    names = [f"{place}" for place in range(num_captions)]
    if judge is not None:
        names += [question.name for question in strategy.judge_questions(label_set)]
    shape = (len(captions), num_captions)
    replies = Replies(
        texts=[[caption] * num_captions for caption in captions],
        probabilities=[np.zeros((len(captions), 0), np.float32)] * num_captions,
        num_tokens=np.zeros(shape, np.int32),
        seconds=np.zeros(shape, np.float32),
    )
    return CaptionReader(judge, strategy, names, label_set).labels([[replies]])[0].states


def f1(present: NDArray[np.bool_], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(A,) F1 of (N, A); NaN where nothing is true and nothing was said to be."""
    both = (present & truth).sum(axis=0)
    with np.errstate(invalid="ignore"):
        found: NDArray[np.float64] = 2 * both / (present.sum(axis=0) + truth.sum(axis=0))
    return found


def line(title: str, states: NDArray[np.uint8], truth: NDArray[np.bool_], label_set: LabelSet) -> str:
    present = states == STATE_INDEX[LabelState.PRESENT]
    counted = [label_set.names.index(name) for name in label_set.macro_activities]
    random = np.random.default_rng(1)
    drawn = [random.integers(0, len(truth), len(truth)) for _ in range(DRAWS)]
    macros = [np.nanmean(f1(present[rows], truth[rows])[counted]) for rows in drawn]
    low, high = np.nanpercentile(macros, [2.5, 97.5])
    values = f1(present, truth)
    by_activity = " ".join(f"{name} {value:.2f}" for name, value in zip(label_set.names, values, strict=True))
    unsure, unparsed = (np.mean(states == STATE_INDEX[state]) for state in (LabelState.UNSURE, LabelState.UNPARSED))
    return (
        f"{title:<44} macro F1 {np.nanmean(values[counted]):.2f} ({low:.2f} to {high:.2f})  {by_activity}  unsure {unsure:.2f} "
        f"unparsed {unparsed:.2f}"
    )


def section_of(name: str) -> JudgeSection:
    return JudgeSection(model=name)


def judge_of(section: JudgeSection) -> Judge | None:
    resolved = section.resolved()
    return None if resolved is None else load_judge(section, resolved, execution=Execution(device=Device.AUTO))


def print_quality(names: Sequence[str], label_set: LabelSet, written: Written, silence: NotStated) -> None:
    dealt = np.random.default_rng(2).permutation(len(written.captions))
    print(
        f"{len(written.captions)} captions, {len(set(written.captions))} different; true of: {written.truth.mean(axis=0)}"
    )
    for name in names:
        section = section_of(name)
        judge = judge_of(section)
        for kind in KINDS:
            strategy = kind(judge=section, not_stated=silence)
            states = states_of(strategy, judge, written.captions, label_set)
            title = f"{name.rsplit('/', 1)[-1]}, {strategy.kind}"
            print(line(f"{title}, as written", states, written.truth, label_set), flush=True)
            print(line(f"{title}, dealt out", states[dealt], written.truth, label_set), flush=True)


def print_throughput(name: str, label_set: LabelSet, written: Written) -> None:
    """Captions a second, all questions of `judge` about each, one by one and together; every caption made different."""
    section = section_of(name)
    judge = judge_of(section)
    if judge is None:
        raise SystemExit("words read no batch: give a model")
    questions = JudgeStrategy(judge=section).judge_questions(label_set)
    captions = [f"{caption} It is window {number}." for number, caption in enumerate(written.captions)]
    judge.judged(questions[0], captions[:2])  # warm
    started = time.perf_counter()
    alone = [[judge.judged(question, [caption]).texts[0] for caption in captions] for question in questions]
    loop_seconds = time.perf_counter() - started
    started = time.perf_counter()
    together = [judge.judged(question, captions).texts for question in questions]
    batch_seconds = time.perf_counter() - started
    agreement = np.mean([[a == b for a, b in zip(*pair, strict=True)] for pair in zip(alone, together, strict=True)])
    print(
        f"{name.rsplit('/', 1)[-1]} on {judge.device}: {len(captions)} captions, {len(questions)} questions each: one by one "
        f"{len(captions) / loop_seconds:.2f} captions/s, together {len(captions) / batch_seconds:.2f} captions/s, "
        f"{loop_seconds / batch_seconds:.2f} times as many; equal answers {agreement:.3f}"
    )


def described(model: str, frames: Path, label_set: LabelSet, *, num_captions: int) -> Written:
    """What a model says of windows of the simulated test cases, evenly over them, with their truth."""
    checkpoint = resolve_checkpoint(CheckpointChoice(path=model))
    assert checkpoint.inputs is not None, f"{model} does not say which inputs it takes"
    sampling = checkpoint.inputs.sampling
    sources = source_cases(num_cases=CASES, case_seconds=60.0, seed=SEED)
    stored = case_subset(open_windows(frames), numbers_of(sources, Part.TEST))
    rows = np.linspace(0, len(stored.cases) - 1, num_captions).astype(int)
    captioner = JudgeStrategy().captioner(checkpoint, label_set=label_set, execution=Execution(device=Device.AUTO))
    captions: list[str] = []
    for row in rows:
        pixels = stored.batch(np.array([row]))[0].numpy()
        shown = replace(synthetic_frames(sampling, num_windows=1), pixels=pixels)
        captions += [texts[0] for texts in captioner.captions(shown)[0].texts]
    for row, caption in list(zip(rows, captions, strict=True))[:: max(1, len(rows) // 8)]:
        print(f"  {stored.captions[row]}\n    said: {caption}")
    return Written(captions=captions, truth=stored.targets[rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judge", action="append", required=True, help="words, smollm2 or a folder; several times")
    parser.add_argument("--cases", type=int, default=12)
    parser.add_argument("--captions", type=int, default=100)
    parser.add_argument("--model", help="a captioner, in the place of true captions")
    parser.add_argument("--frames", type=Path, help="with --model: frames of simulated cases")
    parser.add_argument("--label-set", help="a label set file of the shipped activities, with other claims")
    parser.add_argument("--throughput", type=int, metavar="N", help="measure the speed on N captions instead")
    chosen = parser.parse_args()
    label_set = read_label_set(chosen.label_set)
    count = chosen.throughput or chosen.captions
    if chosen.model is None:
        written = written_captions(label_set, num_cases=chosen.cases, num_captions=count)
    else:
        written = described(chosen.model, chosen.frames, label_set, num_captions=count)
    if chosen.throughput is None:
        silence = NotStated.UNSURE if chosen.model is None else NotStated.ABSENT
        print_quality(chosen.judge, label_set, written, silence)
    else:
        for name in chosen.judge:
            print_throughput(name, label_set, written)


if __name__ == "__main__":
    main()
