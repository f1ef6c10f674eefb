"""The tables of a version from a ledger: all that it holds of the planned units, and the windows that were not run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nrray.results.coverage_table import coverage_rows, not_run_rows, unreadable_rows
from nrray.results.domain import DomainRule, domain_of, unit_medians
from nrray.results.ledger import Ledger
from nrray.results.publish import VersionTables
from nrray.results.segments import SegmentRule
from nrray.results.version_tables import (
    LABEL_SCHEMA,
    SEGMENT_SCHEMA,
    Rethreshold,
    answer_rows,
    label_rows,
    segment_rows,
)
from nrray.sampling import Sampling, window_spans_us
from nrray.types import ProbeStatus

Reread = Callable[[pa.Table], pa.Table]
"""The ledger's rows to the same rows with other states and scores."""

GROUP_WINDOWS = 200_000  # windows assembled at a time


def ledger_tables(
    ledger: Ledger,
    *,
    manifest: pa.Table,
    units: pa.Table,
    index: pa.Table,
    sampling: Sampling,
    activities: Sequence[str],
    rule: SegmentRule,
    source: str,
    rethreshold: Rethreshold | None = None,
    domain_rule: DomainRule | None = None,
    reread: Reread | None = None,
) -> Iterator[VersionTables]:
    """Unreadable files of `manifest` first, then groups of the videos of the planned `units`. `index` is the ledger's.
    domain_rule: None where the model knows no looks; reread: gives the ledger's rows with their answers read again.

    Raises DataError, StorageError.
    """
    bad = manifest.filter(pc.not_equal(manifest["status"], ProbeStatus.OK.value))
    yield VersionTables(
        labels=LABEL_SCHEMA.empty_table(),
        segments=SEGMENT_SCHEMA.empty_table(),
        coverage=unreadable_rows(bad, source=source),
    )
    planned = index.filter(pc.is_in(index["unit_id"], value_set=units["unit_id"].combine_chunks()))
    missing = units.filter(pc.invert(pc.is_in(units["unit_id"], value_set=index["unit_id"].combine_chunks())))
    paths = dict(zip(manifest["video_id"].to_pylist(), manifest["path"].to_pylist(), strict=True))
    for video_ids in _groups(units):
        results = ledger.results(video_ids, planned)
        results = results if reread is None else reread(results)
        domain = domain_of(unit_medians(results), domain_rule)
        labels = label_rows(
            results, paths=paths, activities=activities, source=source, rethreshold=rethreshold, domain=domain
        )
        tried = coverage_rows(results, paths=paths, source=source, domain=domain)
        untried = _not_run(missing, video_ids, manifest, sampling, paths, source)
        yield VersionTables(
            labels=labels,
            segments=segment_rows(labels, paths=paths, activities=activities, rule=rule, source=source, domain=domain),
            coverage=pa.concat_tables([tried, untried]).combine_chunks().unify_dictionaries(),
            answers=answer_rows(results, paths=paths, source=source, domain=domain),
        )


def _groups(units: pa.Table) -> list[pa.Array]:
    """Video ids in groups of about GROUP_WINDOWS windows."""
    if units.num_rows == 0:
        return []
    grouped = units.group_by("video_id", use_threads=False).aggregate([("num_windows", "sum")])
    ids = grouped["video_id"].combine_chunks()
    group = np.cumsum(grouped["num_windows_sum"].to_numpy()) // GROUP_WINDOWS
    cuts = [0, *(np.flatnonzero(np.diff(group)) + 1).tolist(), len(ids)]
    return [ids.slice(a, b - a) for a, b in pairwise(cuts)]


def _not_run(
    missing: pa.Table,
    video_ids: pa.Array,
    manifest: pa.Table,
    sampling: Sampling,
    paths: Mapping[str, str],
    source: str,
) -> pa.Table:
    mine = missing.filter(pc.is_in(missing["video_id"], value_set=video_ids)).to_pylist()
    rows = manifest.filter(pc.is_in(manifest["video_id"], value_set=video_ids))
    times = {row["video_id"]: row for row in rows.select(["video_id", "start_us", "duration_us"]).to_pylist()}
    spans = [
        window_spans_us(
            sampling,
            start_us=times[unit["video_id"]]["start_us"],
            duration_us=times[unit["video_id"]]["duration_us"],
            first_window=unit["first_window"],
            num_windows=unit["num_windows"],
        )
        for unit in mine
    ]
    empty = np.zeros(0, np.int64)
    return not_run_rows(
        video_id=[unit["video_id"] for unit in mine for _ in range(unit["num_windows"])],
        start_us=np.concatenate([empty, *(start for start, _ in spans)]),
        end_us=np.concatenate([empty, *(end for _, end in spans)]),
        paths=paths,
        source=source,
    )
