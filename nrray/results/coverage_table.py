"""The published coverage: a row per window, labelled or not, and per file that has none."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nrray.errors import ErrorKind
from nrray.results.domain import Domain
from nrray.results.ledger_windows import constant, is_among, paths_of, repeated, sources_of, windows_of
from nrray.tables import schema_of
from nrray.types import Coverage, CoverageStatus, UnitStatus

COVERAGE_SCHEMA = schema_of(Coverage)


def coverage_rows(
    results: pa.Table, *, paths: Mapping[str, str], source: str, domain: Domain | None = None
) -> pa.Table:
    """One row per window of `results`, labelled or not, COVERAGE_SCHEMA."""
    windows = windows_of(results)
    unclaimed = domain.not_assessable if domain is not None else frozenset()
    is_unclaimed = windows.labelled & is_among(windows.video_id, unclaimed)
    unit_status = np.asarray(results["status"].to_pylist(), dtype=object)[windows.unit]
    status = np.where(
        windows.labelled,
        np.where(
            is_unclaimed,
            CoverageStatus.NOT_ASSESSABLE.value,
            np.where(_is_degraded(windows.damage), CoverageStatus.DEGRADED.value, CoverageStatus.OK.value),
        ),
        np.where(unit_status == UnitStatus.QUARANTINED.value, "quarantined", "failed"),
    )
    error_kind = results["error_kind"].combine_chunks().take(pa.array(windows.unit))
    error = results["error"].combine_chunks().take(pa.array(windows.unit))
    shortfall = results["shortfall"].combine_chunks().take(pa.array(windows.unit))
    is_labelled = pa.array(windows.labelled)
    missing_kind = pc.coalesce(error_kind, pa.scalar("decode_failed"))
    reasons = {video: domain.reason(video) for video in unclaimed} if domain is not None else {}
    outside = pa.array([reasons.get(video) for video in windows.video_id], pa.string())
    outside_kind = pc.if_else(pa.array(is_unclaimed), ErrorKind.OUTSIDE_DOMAIN.value, pa.scalar(None, pa.string()))
    return _coverage_table(
        video_id=windows.video_id,
        paths=paths,
        start_us=pa.array(windows.start_us),
        end_us=pa.array(windows.end_us),
        status=[str(value) for value in status],
        error_kind=pc.if_else(is_labelled, outside_kind, missing_kind),
        reason=pc.if_else(
            is_labelled, pc.coalesce(outside, _damage_sentences(windows.damage)), pc.coalesce(error, shortfall)
        ),
        source=repeated(sources_of(windows.video_id, source, domain), 1),
        looks_distance=pa.array(windows.looks_distances, mask=~np.isfinite(windows.looks_distances)),
        damage=windows.damage,
    )


def not_run_rows(
    *,
    video_id: Sequence[str],
    start_us: NDArray[np.int64],
    end_us: NDArray[np.int64],
    paths: Mapping[str, str],
    source: str,
) -> pa.Table:
    """COVERAGE_SCHEMA rows of windows that are planned and have no result yet."""
    count = len(start_us)
    return _coverage_table(
        video_id=np.asarray(video_id, dtype=object),
        paths=paths,
        start_us=pa.array(start_us),
        end_us=pa.array(end_us),
        status=[CoverageStatus.NOT_RUN.value] * count,
        error_kind=pa.nulls(count, pa.string()),
        reason=pa.nulls(count, pa.string()),
        source=source,
    )


def unreadable_rows(videos: pa.Table, *, source: str) -> pa.Table:
    """COVERAGE_SCHEMA rows, one per bad file of a manifest: its span is not known."""
    ids = videos["video_id"].to_pylist()
    return _coverage_table(
        video_id=np.asarray(ids, dtype=object),
        paths=dict(zip(ids, videos["path"].to_pylist(), strict=True)),
        start_us=pa.nulls(len(ids), pa.int64()),
        end_us=pa.nulls(len(ids), pa.int64()),
        status=[CoverageStatus.FAILED.value] * len(ids),
        error_kind=videos["error_kind"].combine_chunks(),
        reason=videos["reason"].combine_chunks(),
        source=source,
    )


def _is_degraded(damage: NDArray[np.int32]) -> NDArray[np.bool_]:
    """(W,) whether pictures that the model was shown are damaged; a dropped one that nobody needed is not."""
    return np.asarray(damage[:, [0, 2]].any(axis=1))


def _damage_sentences(damage: NDArray[np.int32]) -> pa.Array:
    """What is said of each window's pictures, null where none is damaged."""
    words = ("concealed", "dropped", "repeated")
    sentences = [
        None
        if not is_degraded
        else "damaged pictures: "
        + ", ".join(f"{count} {word}" for count, word in zip(counts, words, strict=True) if count)
        for counts, is_degraded in zip(damage, _is_degraded(damage), strict=True)
    ]
    return pa.array(sentences, pa.string())


def _coverage_table(
    *,
    video_id: NDArray[np.object_],
    paths: Mapping[str, str],
    start_us: pa.Array,
    end_us: pa.Array,
    status: list[str],
    error_kind: pa.Array,
    reason: pa.Array,
    source: str | pa.DictionaryArray,
    looks_distance: pa.Array | None = None,
    damage: NDArray[np.int32] | None = None,
) -> pa.Table:
    count = len(video_id)
    return pa.table(
        [
            repeated(video_id, 1),
            repeated(paths_of(video_id, paths), 1),
            start_us,
            end_us,
            pa.array(status, pa.string()).dictionary_encode(),
            error_kind.dictionary_encode(),
            reason,
            constant(source, count) if isinstance(source, str) else source,
            looks_distance if looks_distance is not None else pa.nulls(count, pa.float32()),
            *(pa.nulls(count, pa.int32()) if damage is None else pa.array(damage[:, kind]) for kind in range(3)),
            pa.array(np.full(count, Coverage.schema_version, np.int16)),
        ],
        schema=COVERAGE_SCHEMA,
    )
