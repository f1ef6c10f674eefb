"""How long `nrray evaluate` takes over many cases: made labels that are right in nine windows of ten, against made truth.

    python tests/benchmarks/evaluate_many.py DIR --cases 10000 --case-seconds 60

Prints seconds and peak memory of the verb.
"""

import argparse
import cProfile
import pstats
import resource
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nrray.evaluate.config import EvaluateConfig
from nrray.evaluate.evaluation import evaluate
from nrray.labels import read_label_set
from nrray.results.coverage_table import COVERAGE_SCHEMA
from nrray.results.version_tables import LABEL_SCHEMA, SEGMENT_SCHEMA
from nrray.tables import schema_of
from nrray.types import US_PER_SECOND, Extent, Segment

EPISODE_SECONDS = 8  # activities begin and end on this grid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--case-seconds", type=int, default=60)
    parser.add_argument("--profile", action="store_true", help="the slowest functions too; slows all down")
    arguments = parser.parse_args()
    write_archive(arguments.folder, num_cases=arguments.cases, case_seconds=arguments.case_seconds)
    config = EvaluateConfig(
        candidate=str(arguments.folder / "labels"),
        reference=str(arguments.folder / "truth"),
        output=str(arguments.folder / "evaluation"),
    )
    profile, started = cProfile.Profile(), time.perf_counter()
    document = profile.runcall(evaluate, config).document if arguments.profile else evaluate(config).document
    seconds = time.perf_counter() - started
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{document.num_cases} cases, {document.num_windows} windows: {seconds:.1f} s, {peak_mib:.0f} MiB")
    if arguments.profile:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(r"nrray", 25)


def write_archive(folder: Path, *, num_cases: int, case_seconds: int) -> None:
    """A label version and annotations, table by table; a case is one video of one-second windows."""
    random, names = np.random.default_rng(0), read_label_set().names
    paths = np.char.add(np.char.zfill(np.arange(num_cases).astype(str), 6), ".mp4")
    num_episodes = -(-case_seconds // EPISODE_SECONDS)
    is_there = np.repeat(random.random((num_cases, num_episodes, len(names))) < 0.3, EPISODE_SECONDS, axis=1)
    is_there = is_there[:, :case_seconds]  # (C, W, A)
    claimed = is_there ^ (random.random(is_there.shape) < 0.1)
    scores = np.where(claimed, 0.6, 0.1) + 0.3 * random.random(is_there.shape)
    case, window, activity = (index.ravel() for index in np.indices(is_there.shape))
    labels = {
        **columns(paths, case, window, window + 1),
        "activity": np.array(names)[activity],
        "score": scores.ravel(),
        "state": np.where(claimed.ravel(), "present", "absent"),
        "answer": None,
        "source": "made",
        "schema_version": 1,
    }
    each = np.arange(num_cases)
    examined = columns(paths, each, np.zeros_like(each), np.full_like(each, case_seconds))
    coverage = {**examined, "status": "ok", "error_kind": None, "reason": None, "source": "made", "schema_version": 1}
    found = {**segments(paths, claimed, names), "score": 0.8, "origin": "model", "source": "made", "schema_version": 1}
    truth = {
        **segments(paths, is_there, names),
        "score": None,
        "origin": "human",
        "source": "truth",
        "schema_version": 1,
    }
    for name, table, schema in (
        ("labels/labels", labels, LABEL_SCHEMA),
        ("labels/coverage", coverage, COVERAGE_SCHEMA),
        ("labels/segments", found, SEGMENT_SCHEMA),
        ("truth/segments", truth, schema_of(Segment)),
        ("truth/extents", {**examined, "source": "truth", "schema_version": 1}, schema_of(Extent)),
    ):
        file = folder / f"{name}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table_of(table, schema), file)


def columns(paths: np.ndarray, case: np.ndarray, start_s: np.ndarray, end_s: np.ndarray) -> dict:
    return {
        "video_id": np.char.add("id-", paths)[case],
        "path": paths[case],
        "start_us": start_s * US_PER_SECOND,
        "end_us": end_s * US_PER_SECOND,
    }


def segments(paths: np.ndarray, is_there: np.ndarray, names: tuple[str, ...]) -> dict:
    """Runs of (C, W, A) presence."""
    edges = np.diff(np.pad(is_there.astype(np.int8), ((0, 0), (1, 1), (0, 0))), axis=1).transpose(0, 2, 1)
    case, activity, start = np.nonzero(edges == 1)  # ends come in the same order
    return {**columns(paths, case, start, np.nonzero(edges == -1)[2]), "activity": np.array(names)[activity]}


def table_of(values: dict, schema: pa.Schema) -> pa.Table:
    """Constants become whole columns."""
    length = len(values["path"])
    arrays = [
        pa.array(value) if isinstance(value := values[field.name], np.ndarray) else pa.array([value] * length)
        for field in schema
    ]
    return pa.table([array.cast(field.type) for array, field in zip(arrays, schema, strict=True)], schema=schema)


if __name__ == "__main__":
    main()
