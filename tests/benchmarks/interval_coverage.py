"""How often 95 % intervals over cases hold a truth that is known, and how often a difference is claimed that is not there.

    python tests/benchmarks/interval_coverage.py [--archives 400] [--out tests/benchmarks/results/interval_coverage.json]

Archives are drawn as births differ: in length (lognormal, a median of 200 windows), in which activities they show (75, 85 and
50 % of cases), in how much of each (the rare one in 5 % of the windows of the cases that show it), and in how hard they are for
every source and for each. Of every archive the interval of nrray is compared with the percentiles of 1,000 resamples of its
cases. The truth is the figure of 300,000 cases. False claims: sources are equally good by the way they are drawn; a row is the
share of archives in which at least one pair is claimed to differ. A minute on one core.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nrray.evaluate.differences import ERROR_RATE, differences_of
from nrray.metrics.counts import divided, mean_defined, ratios_of
from nrray.metrics.jackknife import (
    AMOUNT,
    SHARE,
    SIGNED_SHARE,
    Bounds,
    Value,
    difference_of,
    jackknifed_sums,
    quantiles_of,
    value_of,
)

NUM_CASES = (4, 8, 16, 40)
ACTIVITIES = ("ventilation", "stimulation", "suction")
MACRO = "macro F1"
QUALITY = {"ordinary": 0.0, "good": 2.5}  # logits that are added to recall and specificity
TRUTH_CASES = 300_000
RESAMPLES = 1_000

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class CoverageRow:
    """Percent of archives with an interval whose interval holds the truth, its mean width, and the archives without one."""

    sources: str
    figure: str
    num_cases: int
    truth: float
    held_by_percentiles: float | None
    held: float | None
    width_of_percentiles: float | None
    width: float | None
    without: int


@dataclass(frozen=True, kw_only=True)
class ClaimRow:
    """Percent of archives with a false claim; of the macro average, of any activity, and of the best source over the first."""

    sources: str
    num_sources: int
    num_cases: int
    macro_by_percentiles: float
    macro: float
    activities_by_percentiles: float
    activities: float
    best_over_first: float


def drawn_counts(random: np.random.Generator, num_cases: int, *, num_sources: int, quality: float) -> Array:
    """(sources, C, A, 4) windows: both, source alone, truth alone, neither."""
    windows = np.clip(np.exp(random.normal(5.3, 0.6, num_cases)), 40, 1200).round().astype(np.int64)[:, None]
    shows = random.random((num_cases, 3)) < (0.75, 0.85, 0.5)
    positives = random.binomial(
        windows, shows * _logistic(np.array((-0.6, -1.8, -3.0)) + random.normal(0, 0.8, shows.shape))
    )
    hard = random.normal(0, 0.7, (num_cases, 1))
    shape = (num_sources, *shows.shape)
    recall = _logistic(np.array((1.6, 1.2, 0.6)) + quality - hard + random.normal(0, 0.7, shape))
    alarms = _logistic(np.array((-2.6, -3.3, -4.2)) - quality + 0.7 * hard + random.normal(0, 0.7, shape))
    hits = random.binomial(np.broadcast_to(positives, shape), recall)
    wrong = random.binomial(np.broadcast_to(windows - positives, shape), alarms)
    return np.stack([hits, wrong, positives - hits, windows - positives - wrong], axis=-1).astype(np.float64)


FIGURES: Mapping[str, tuple[Callable[[Array], Array], Bounds]] = {
    MACRO: (lambda sums: macro_f1(sums), SHARE),
    "F1 of a rare activity": (lambda sums: ratios_of(sums).f1[..., 2], SHARE),
    "kappa": (lambda sums: ratios_of(sums).kappa[..., 0], SIGNED_SHARE),
    "recall": (lambda sums: ratios_of(sums).recall[..., 1], SHARE),
    "specificity": (lambda sums: ratios_of(sums).specificity[..., 1], SHARE),
}


def macro_f1(sums: Array) -> Array:
    """(...,) of (..., A, 4), over the activities that the truth has."""
    return mean_defined(np.where(sums[..., 0] + sums[..., 2] > 0, ratios_of(sums).f1, np.nan))


def coverage_of_windows(name: str, num_archives: int) -> list[CoverageRow]:
    """Figures of one source."""
    truth_counts = drawn_counts(np.random.default_rng(1), TRUTH_CASES, num_sources=1, quality=QUALITY[name])[0].sum(0)
    random, rows = np.random.default_rng(2), []
    for num_cases in NUM_CASES:
        tallies = {figure: _Tally(truth=float(of(truth_counts))) for figure, (of, _) in FIGURES.items()}
        for _ in range(num_archives):
            counts = drawn_counts(random, num_cases, num_sources=1, quality=QUALITY[name])[0]
            drawn = _resampled(counts)
            for figure, (of, bounds) in FIGURES.items():
                tallies[figure].add(value_of(of(jackknifed_sums(counts)), bounds), of(drawn))
        rows += [tally.row(name, figure, num_cases) for figure, tally in tallies.items()]
    return rows


def coverage_of_events(num_archives: int) -> list[CoverageRow]:
    """Onset errors of events (shifted by case, heavy tails, to the frame), false alarms, and indicators: a value a case."""
    shares = {"lower quartile of onset errors": 0.25, "median of onset errors": 0.5}
    known = np.random.default_rng(1)
    true_errors = np.sort(_onset_errors(known, TRUTH_CASES)[0])
    truth = {figure: float(true_errors[round(share * len(true_errors))]) for figure, share in shares.items()}
    hours, alarms = _false_alarms(known, TRUTH_CASES)
    truth |= {
        "false alarms per hour": float(alarms.sum() / hours.sum()),
        "median over cases": float(np.exp(3.0)),
        "share of cases": 0.7,
    }
    random, rows = np.random.default_rng(2), []
    for num_cases in NUM_CASES:
        tallies = {figure: _Tally(truth=value) for figure, value in truth.items()}
        for _ in range(num_archives):
            errors, case = _onset_errors(random, num_cases)
            found = quantiles_of(errors, case, list(shares.values()), num_cases=num_cases)
            drawn = _resampled_quantiles(errors, case, list(shares.values()), num_cases=num_cases)
            for i, figure in enumerate(shares):
                tallies[figure].add(found[i], drawn[:, i])
            hours, alarms = _false_alarms(random, num_cases)
            rate = divided(jackknifed_sums(alarms), jackknifed_sums(hours))
            tallies["false alarms per hour"].add(value_of(rate, AMOUNT), _resampled(alarms) / _resampled(hours))
            values, each = np.exp(random.normal(3.0, 1.0, num_cases)), np.arange(num_cases)
            (median,) = quantiles_of(values, each, [0.5], num_cases=num_cases)
            tallies["median over cases"].add(
                median, _resampled_quantiles(values, each, [0.5], num_cases=num_cases)[:, 0]
            )
            said = (random.random(num_cases) < 0.7).astype(np.float64)
            share = divided(jackknifed_sums(said), jackknifed_sums(np.ones(num_cases)))
            tallies["share of cases"].add(value_of(share), _resampled(said) / num_cases)
        rows += [tally.row("events and cases", figure, num_cases) for figure, tally in tallies.items()]
    return rows


def false_claims(name: str, num_sources: int, num_archives: int) -> list[ClaimRow]:
    """Equally good sources, compared as `nrray compare` does, and the best of them with the first as `nrray tune` does."""
    random, rows = np.random.default_rng(3), []
    for num_cases in NUM_CASES:
        claimed = np.zeros((num_archives, 5), bool)
        for archive in range(num_archives):
            counts = drawn_counts(random, num_cases, num_sources=num_sources, quality=QUALITY[name])
            figures = _scopes(np.stack([jackknifed_sums(each) for each in counts]))
            named = {
                str(source): {scope: rows[source] for scope, rows in figures.items()} for source in range(num_sources)
            }
            found = [(each.scope == MACRO, _excludes_0(each.value)) for each in differences_of(named, SHARE)]
            claimed[archive, 1] = any(is_claimed for is_macro, is_claimed in found if is_macro)
            claimed[archive, 3] = any(is_claimed for is_macro, is_claimed in found if not is_macro)
            claimed[archive, [0, 2]] = _claims_by_percentiles(_scopes(_resampled(counts, axis=1)))
            best = int(np.argmax(figures[MACRO][:, 0]))
            gain = difference_of(
                figures[MACRO][best], figures[MACRO][0], coverage=1 - ERROR_RATE / max(num_sources - 1, 1)
            )
            claimed[archive, 4] = best > 0 and gain.low is not None and gain.low > 0
        shares = dict(zip(_CLAIMS, (100 * claimed.mean(axis=0)).round(1).tolist(), strict=True))
        rows.append(ClaimRow(sources=name, num_sources=num_sources, num_cases=num_cases, **shares))
    return rows


_CLAIMS = ("macro_by_percentiles", "macro", "activities_by_percentiles", "activities", "best_over_first")


class _Tally:
    """Archives that were drawn so far, for one figure."""

    def __init__(self, *, truth: float) -> None:
        self.truth = truth
        self.held: list[tuple[bool, bool]] = []
        self.widths: list[tuple[float, float]] = []
        self.without = 0

    def add(self, value: Value, drawn: Array) -> None:
        """value: of nrray; drawn: (RESAMPLES,) the figure of each resample."""
        known = drawn[np.isfinite(drawn)]
        if value.low is None or value.high is None or 2 * len(known) < len(drawn):
            self.without += 1
            return
        ends = np.percentile(known, [2.5, 97.5]).tolist()
        self.held.append((ends[0] <= self.truth <= ends[1], value.low <= self.truth <= value.high))
        self.widths.append((ends[1] - ends[0], value.high - value.low))

    def row(self, sources: str, figure: str, num_cases: int) -> CoverageRow:
        held = (100 * np.mean(self.held, axis=0)).round(1).tolist() if self.held else [None, None]
        widths = np.mean(self.widths, axis=0).round(4).tolist() if self.widths else [None, None]
        return CoverageRow(
            sources=sources,
            figure=figure,
            num_cases=num_cases,
            truth=float(f"{self.truth:.3g}"),
            held_by_percentiles=held[0],
            held=held[1],
            width_of_percentiles=widths[0],
            width=widths[1],
            without=self.without,
        )


def _scopes(sums: Array) -> dict[str, Array]:
    """Scope to (sources, R) F1 of (sources, R, A, 4); a macro average is over activities that all sources define."""
    f1 = ratios_of(sums).f1
    is_out = np.isnan(f1).any(axis=0) | (sums[0, ..., 0] + sums[0, ..., 2] == 0)
    return {MACRO: mean_defined(np.where(is_out, np.nan, f1))} | {
        activity: f1[..., i] for i, activity in enumerate(ACTIVITIES)
    }


def _claims_by_percentiles(figures: Mapping[str, Array]) -> list[bool]:
    """Whether any pair differs by the adjusted percentiles: of the macro average, of any activity."""
    pairs = list(combinations(range(len(figures[MACRO])), 2))
    claimed = dict.fromkeys(figures, False)
    for scope, drawn in figures.items():
        tail = 100 * ERROR_RATE / len(pairs) / (1 if scope == MACRO else len(ACTIVITIES)) / 2
        for first, second in pairs:
            difference = drawn[first] - drawn[second]
            known = difference[np.isfinite(difference)]
            if 2 * len(known) >= len(difference):
                low, high = np.percentile(known, [tail, 100 - tail])
                claimed[scope] |= bool(low > 0 or high < 0)
    return [claimed[MACRO], any(claimed[activity] for activity in ACTIVITIES)]


def _resampled(of_case: Array, *, axis: int = 0) -> Array:
    """The sums of RESAMPLES draws of the cases, which are on `axis`."""
    weights = _weights(of_case.shape[axis])
    return np.moveaxis(np.tensordot(weights, of_case, axes=(1, axis)), 0, axis)


def _weights(num_cases: int) -> Array:
    drawn = np.random.default_rng(0).multinomial(num_cases, np.full(num_cases, 1 / num_cases), size=RESAMPLES)
    return drawn.astype(np.float64)


def _resampled_quantiles(values: Array, case: NDArray[np.int64], shares: list[float], *, num_cases: int) -> Array:
    order = np.argsort(values)
    if not len(order):
        return np.full((RESAMPLES, len(shares)), np.nan)
    cumulative = np.cumsum(_weights(num_cases)[:, case[order]], axis=1)
    least = np.ceil(np.outer(cumulative[:, -1], shares) - 1e-9)
    rows = [(cumulative >= each[:, None]).argmax(axis=1) for each in least.T]
    found = np.stack([values[order][row] for row in rows], axis=1)
    return np.where(cumulative[:, -1:] > 0, found, np.nan)


def _onset_errors(random: np.random.Generator, num_cases: int) -> tuple[Array, NDArray[np.int64]]:
    """Seconds, and the case of each: a case has its own lateness."""
    number = random.poisson(np.exp(random.normal(np.log(8), 0.7, num_cases)))
    case = np.repeat(np.arange(num_cases), number)
    error = random.normal(0.2, 0.4, num_cases)[case] + 0.5 * random.standard_t(4, len(case))
    return np.round(np.clip(error, -5, 5) * 15) / 15, case


def _false_alarms(random: np.random.Generator, num_cases: int) -> tuple[Array, Array]:
    hours = np.exp(random.normal(-2.3, 0.6, num_cases))
    return hours, random.poisson(np.exp(random.normal(1.0, 1.0, num_cases)) * hours).astype(np.float64)


def _excludes_0(value: Value) -> bool:
    return value.low is not None and value.high is not None and (value.low > 0 or value.high < 0)


def _logistic(values: Array) -> Array:
    return 1 / (1 + np.exp(-values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archives", type=int, default=400)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    coverage = [row for name in QUALITY for row in coverage_of_windows(name, arguments.archives)]
    coverage += coverage_of_events(arguments.archives)
    print("| sources | figure (truth) | " + " | ".join(f"{num} cases" for num in NUM_CASES) + " |")
    for first in coverage:
        if first.num_cases == NUM_CASES[0]:
            mine = [row for row in coverage if (row.sources, row.figure) == (first.sources, first.figure)]
            cells = [f"{row.held_by_percentiles} / {row.held}" if row.held is not None else "none" for row in mine]
            print(f"| {first.sources} | {first.figure} ({first.truth:g}) | {' | '.join(cells)} |")
    claims = [row for name in QUALITY for number in (2, 6) for row in false_claims(name, number, arguments.archives)]
    print("| sources | number | cases | macro F1 | activities | best over first |")
    for row in claims:
        macro = f"{row.macro_by_percentiles:.1f} / {row.macro:.1f}"
        activities = f"{row.activities_by_percentiles:.1f} / {row.activities:.1f}"
        print(
            f"| {row.sources} | {row.num_sources} | {row.num_cases} | {macro} | {activities} | {row.best_over_first} |"
        )
    if arguments.out is not None:
        content = {
            "archives": arguments.archives,
            "coverage": list(map(asdict, coverage)),
            "false_claims": list(map(asdict, claims)),
        }
        arguments.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
