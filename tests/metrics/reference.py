"""A slow, obvious implementation of the metrics, written from their definitions only; tests compare the product to it.

Times are integer microseconds, intervals are half-open. Sums and ratios are exact (integers and fractions) and become
floats only at the end.
"""

import math
from fractions import Fraction
from itertools import pairwise

Segment = tuple[int, int, float | None]
Span = tuple[int, int]
Video = tuple[list[Segment], list[Segment], list[Span]]  # reference, candidate, evaluated spans
Labelling = tuple[list[Segment], list[Span]]  # segments, examined spans


# Preparation


def union_score(parts: list[Segment]) -> float | None:
    """Mean score of the parts that have one, each weighted by its own duration; None where no part has one."""
    scored = [(start, end, score) for start, end, score in parts if score is not None]
    if not scored:
        return None
    weight = sum(end - start for start, end, _ in scored)
    total = sum((Fraction(float(score)) * (end - start) for start, end, score in scored), Fraction(0))
    return float(total / weight)


def united(segments: list[Segment]) -> list[Segment]:
    """The segments without the empty ones, with overlapping and touching ones united, sorted."""
    kept = [(int(start), int(end), score) for start, end, score in segments if end > start]
    kept.sort(key=lambda segment: (segment[0], segment[1]))
    groups: list[list[Segment]] = []
    for segment in kept:
        if groups and segment[0] <= max(end for _, end, _ in groups[-1]):
            groups[-1].append(segment)
        else:
            groups.append([segment])
    return [(group[0][0], max(end for _, end, _ in group), union_score(group)) for group in groups]


def prepared(segments: list[Segment], spans: list[Span]) -> list[Segment]:
    """United segments, cut to every evaluated span, each non-empty piece on its own, sorted by start."""
    pieces: list[Segment] = []
    for start, end, score in united(segments):
        for span_start, span_end in spans:
            piece_start = max(start, int(span_start))
            piece_end = min(end, int(span_end))
            if piece_end > piece_start:
                pieces.append((piece_start, piece_end, score))
    return sorted(pieces, key=lambda piece: piece[0])


def covers(segments: list[Segment], time: int) -> bool:
    """Whether the microsecond that begins at this time lies in one of the segments."""
    return any(start <= time < end for start, end, _ in segments)


# Counts of time, and ratios of counts


def time_counts(reference: list[Segment], candidate: list[Segment], spans: list[Span]) -> tuple[int, int, int, int]:
    """Microseconds of the spans as (tp, fp, fn, tn)."""
    truth = prepared(reference, spans)
    claim = prepared(candidate, spans)
    tp = fp = fn = tn = 0
    for span_start, span_end in spans:
        edges = {int(span_start), int(span_end)}
        for start, end, _ in truth + claim:
            edges |= {edge for edge in (start, end) if span_start <= edge <= span_end}
        cuts = sorted(edges)
        for left, right in pairwise(cuts):
            in_truth = covers(truth, left)
            in_claim = covers(claim, left)
            if in_truth and in_claim:
                tp += right - left
            elif in_claim:
                fp += right - left
            elif in_truth:
                fn += right - left
            else:
                tn += right - left
    return tp, fp, fn, tn


def quotient(numerator: int | Fraction, denominator: int | Fraction) -> Fraction | None:
    """The exact ratio, or None where the denominator is 0."""
    return None if denominator == 0 else Fraction(numerator) / Fraction(denominator)


def as_float(value: Fraction | None) -> float:
    """The value as a float, NaN for an undefined one."""
    return math.nan if value is None else float(value)


def ratios(tp: int, fp: int, fn: int, tn: int) -> dict[str, float]:
    """The ratios of four counts, NaN where undefined."""
    tp, fp, fn, tn = int(tp), int(fp), int(fn), int(tn)
    precision = quotient(tp, tp + fp)
    recall = quotient(tp, tp + fn)
    f1 = quotient(2 * tp, 2 * tp + fp + fn)
    specificity = quotient(tn, tn + fp)
    balanced = None if recall is None or specificity is None else (recall + specificity) / 2
    n = tp + fp + fn + tn
    agreement = quotient(tp + tn, n)
    chance = quotient((tp + fp) * (tp + fn) + (fn + tn) * (fp + tn), n * n)
    kappa = None if agreement is None or chance is None else quotient(agreement - chance, 1 - chance)
    return {
        "precision": as_float(precision),
        "recall": as_float(recall),
        "f1": as_float(f1),
        "specificity": as_float(specificity),
        "balanced_accuracy": as_float(balanced),
        "kappa": as_float(kappa),
    }


# Scores of windows


def scored_windows(scores: list[float], targets: list[bool]) -> list[tuple[float, int]]:
    """(score, target as 0 or 1) of the windows that have a score."""
    pairs = [(float(score), int(bool(target))) for score, target in zip(scores, targets, strict=True)]
    return [(score, target) for score, target in pairs if not math.isnan(score)]


def average_precision(scores: list[float], targets: list[bool]) -> float:
    """Sum of recall steps times precision over the distinct scores from high to low; NaN without positives."""
    windows = scored_windows(scores, targets)
    positives = sum(target for _, target in windows)
    if positives == 0:
        return math.nan
    total = Fraction(0)
    recall_before = Fraction(0)
    for threshold in sorted({score for score, _ in windows}, reverse=True):
        taken = [target for score, target in windows if score >= threshold]
        recall = Fraction(sum(taken), positives)
        total += (recall - recall_before) * Fraction(sum(taken), len(taken))
        recall_before = recall
    return float(total)


def brier(scores: list[float], targets: list[bool]) -> float:
    """Mean squared difference of score and target; NaN without scores."""
    windows = scored_windows(scores, targets)
    total = sum(((Fraction(score) - target) ** 2 for score, target in windows), Fraction(0))
    return as_float(quotient(total, len(windows)))


def score_bins(scores: list[float], targets: list[bool]) -> list[list[tuple[float, int]]]:
    """The windows in ten bins of the score; the product 10 * score is the float one."""
    bins: list[list[tuple[float, int]]] = [[] for _ in range(10)]
    for score, target in scored_windows(scores, targets):
        bins[min(math.floor(10 * score), 9)].append((score, target))
    return bins


def mean_score(windows: list[tuple[float, int]]) -> Fraction | None:
    """Mean of the scores, None without windows."""
    return quotient(sum((Fraction(score) for score, _ in windows), Fraction(0)), len(windows))


def observed_share(windows: list[tuple[float, int]]) -> Fraction | None:
    """Share of the windows with a true target, None without windows."""
    return quotient(sum(target for _, target in windows), len(windows))


def reliability(scores: list[float], targets: list[bool]) -> list[tuple[int, float, float]]:
    """(count, mean score, observed share) of each of the ten bins, NaN for an empty one."""
    bins = score_bins(scores, targets)
    return [(len(windows), as_float(mean_score(windows)), as_float(observed_share(windows))) for windows in bins]


def expected_calibration_error(scores: list[float], targets: list[bool]) -> float:
    """Mean over the bins of |mean score - observed share|, weighted by count; NaN without scores."""
    bins = score_bins(scores, targets)
    n = sum(len(windows) for windows in bins)
    if n == 0:
        return math.nan
    total = Fraction(0)
    for windows in bins:
        mean, observed = mean_score(windows), observed_share(windows)
        if mean is not None and observed is not None:
            total += Fraction(len(windows), n) * abs(mean - observed)
    return float(total)


# Matching of segments


def matching_size(pairs: set[tuple[int, int]], num_left: int, num_right: int) -> int:
    """Size of a maximum one-to-one matching between left and right, by augmenting paths (Kuhn)."""
    partner: dict[int, int] = {}  # right -> left

    def augment(left: int, seen: set[int]) -> bool:
        for right in range(num_right):
            if (left, right) in pairs and right not in seen:
                seen.add(right)
                if right not in partner or augment(partner[right], seen):
                    partner[right] = left
                    return True
        return False

    return sum(augment(left, set()) for left in range(num_left))


def overlap(a: Segment, b: Segment) -> int:
    """Time that both segments share."""
    return max(0, min(a[1], b[1]) - max(a[0], b[0]))


def iou(a: Segment, b: Segment) -> Fraction:
    """Temporal intersection over union of two non-empty segments."""
    shared = overlap(a, b)
    return Fraction(shared, (a[1] - a[0]) + (b[1] - b[0]) - shared)


def segmental_counts(videos: list[Video], k: Fraction) -> tuple[int, int, int]:
    """(tp, candidate segments, reference segments) where segments match at IoU >= k."""
    tp = num_candidate = num_reference = 0
    for reference, candidate, spans in videos:
        truth = prepared(reference, spans)
        claim = prepared(candidate, spans)
        pairs = {(i, j) for i, c in enumerate(claim) for j, r in enumerate(truth) if iou(c, r) >= k}
        tp += matching_size(pairs, len(claim), len(truth))
        num_candidate += len(claim)
        num_reference += len(truth)
    return tp, num_candidate, num_reference


def event_matches(candidate: Segment, reference: Segment, tau_us: int, with_offset: bool) -> bool:
    """Whether onsets (and offsets) lie close enough; the offset collar is max(tau, a fifth of the reference)."""
    if abs(candidate[0] - reference[0]) > tau_us:
        return False
    if not with_offset:
        return True
    difference = abs(candidate[1] - reference[1])
    return difference <= tau_us or 5 * difference <= reference[1] - reference[0]


def event_counts(videos: list[Video], tau_us: int, with_offset: bool) -> tuple[int, int, int]:
    """(tp, candidate segments, reference segments) where segments match by their onsets (and offsets)."""
    tp = num_candidate = num_reference = 0
    for reference, candidate, spans in videos:
        truth = prepared(reference, spans)
        claim = prepared(candidate, spans)
        pairs = {
            (i, j) for i, c in enumerate(claim) for j, r in enumerate(truth) if event_matches(c, r, tau_us, with_offset)
        }
        tp += matching_size(pairs, len(claim), len(truth))
        num_candidate += len(claim)
        num_reference += len(truth)
    return tp, num_candidate, num_reference


def least_cost_errors(claim: list[Segment], truth: list[Segment], tau_us: int) -> list[int]:
    """Onset errors of a matching that has maximum size and then the least sum of absolute errors, by trying all."""
    known: dict[tuple[int, frozenset[int]], list[int]] = {}

    def best(i: int, used: frozenset[int]) -> list[int]:
        """The best errors of the candidates from number i on, with these references taken."""
        if i == len(claim):
            return []
        if (i, used) not in known:
            choices = [best(i + 1, used)]
            for j, reference in enumerate(truth):
                error = claim[i][0] - reference[0]
                if j not in used and abs(error) <= tau_us:
                    choices.append([error, *best(i + 1, used | {j})])
            known[i, used] = min(choices, key=lambda errors: (-len(errors), sum(abs(error) for error in errors)))
        return known[i, used]

    return best(0, frozenset())


def onset_errors(videos: list[Video], tau_us: int) -> list[int]:
    """Candidate onset - reference onset over the best onset matching of every video, sorted."""
    errors: list[int] = []
    for reference, candidate, spans in videos:
        errors += least_cost_errors(prepared(candidate, spans), prepared(reference, spans), tau_us)
    return sorted(errors)


# Edit score


def runs(segments: list[Segment], span: Span) -> list[bool]:
    """Presence in the maximal stretches of constant presence within the span."""
    edges = {int(span[0]), int(span[1])}
    for start, end, _ in segments:
        edges |= {edge for edge in (start, end) if span[0] < edge < span[1]}
    sequence: list[bool] = []
    for left in sorted(edges)[:-1]:
        present = covers(segments, left)
        if not sequence or sequence[-1] != present:
            sequence.append(present)
    return sequence


def levenshtein(a: list[bool], b: list[bool]) -> int:
    """Least number of insertions, deletions and substitutions that turn a into b."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in range(len(a) + 1):
        for j in range(len(b) + 1):
            if i == 0 or j == 0:
                table[i][j] = i + j
            else:
                substituted = table[i - 1][j - 1] + (a[i - 1] != b[j - 1])
                table[i][j] = min(substituted, table[i - 1][j] + 1, table[i][j - 1] + 1)
    return table[-1][-1]


def edit_sums(videos: list[Video]) -> tuple[int, int]:
    """(sum of edit distances, sum of the longer lengths) over the spans of all videos."""
    distance = length = 0
    for reference, candidate, spans in videos:
        truth = prepared(reference, spans)
        claim = prepared(candidate, spans)
        for span in spans:
            a, b = runs(truth, span), runs(claim, span)
            distance += levenshtein(a, b)
            length += max(len(a), len(b))
    return distance, length


# Detection


def detection_ap(videos: list[Video], k: Fraction) -> float:
    """Interpolated average precision of the candidate segments, ranked by score (1.0 where there is none)."""
    truths = [prepared(reference, spans) for reference, _, spans in videos]
    num_reference = sum(len(truth) for truth in truths)
    if num_reference == 0:
        return math.nan
    ranked: list[tuple[float, int, Segment]] = []
    for index, (_, candidate, spans) in enumerate(videos):
        for segment in prepared(candidate, spans):
            ranked.append((1.0 if segment[2] is None else float(segment[2]), index, segment))
    ranked.sort(key=lambda item: (-item[0], item[1], item[2][0]))

    free = [list(truth) for truth in truths]
    recalls: list[Fraction] = []
    precisions: list[Fraction] = []
    tp = 0
    for rank, (_, index, segment) in enumerate(ranked, start=1):
        by_closeness = sorted(free[index], key=lambda reference: (-iou(segment, reference), reference[0]))
        if by_closeness and iou(segment, by_closeness[0]) >= k:
            free[index].remove(by_closeness[0])
            tp += 1
        recalls.append(Fraction(tp, num_reference))
        precisions.append(Fraction(tp, rank))

    total = Fraction(0)
    for i, recall in enumerate(recalls):
        before = recalls[i - 1] if i > 0 else Fraction(0)
        total += (recall - before) * max(precisions[i:])
    return float(total)


def false_alarms(videos: list[Video]) -> tuple[int, int]:
    """(candidate segments that share no time with any reference segment, evaluated microseconds)."""
    number = evaluated = 0
    for reference, candidate, spans in videos:
        truth = prepared(reference, spans)
        for segment in prepared(candidate, spans):
            if all(overlap(segment, other) == 0 for other in truth):
                number += 1
        evaluated += sum(int(end) - int(start) for start, end in spans)
    return number, evaluated


# Agreement of labellings


def krippendorff_alpha(videos: list[list[Labelling]]) -> float:
    """Nominal alpha from the coincidence matrix; a unit is a microsecond, taken in stretches where nothing changes."""
    coincidence = [[Fraction(0), Fraction(0)], [Fraction(0), Fraction(0)]]
    for labellings in videos:
        examined = [(prepared(segments, spans), spans) for segments, spans in labellings]
        edges: set[int] = set()
        for pieces, spans in examined:
            edges |= {int(edge) for span in spans for edge in span}
            edges |= {edge for start, end, _ in pieces for edge in (start, end)}
        cuts = sorted(edges)
        for left, right in pairwise(cuts):
            values = [
                int(covers(pieces, left))
                for pieces, spans in examined
                if any(start <= left < end for start, end in spans)
            ]
            if len(values) < 2:
                continue
            for i, c in enumerate(values):
                for j, k in enumerate(values):
                    if i != j:
                        coincidence[c][k] += Fraction(right - left, len(values) - 1)
    n_0, n_1 = sum(coincidence[0]), sum(coincidence[1])
    if n_0 == 0 or n_1 == 0:
        return math.nan
    observed = coincidence[0][1]
    expected = n_0 * n_1 / (n_0 + n_1 - 1)
    return float(1 - observed / expected)
