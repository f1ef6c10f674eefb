"""The windows of unit results, one after another, as arrays, and the columns of tables that are made of them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nrray.results.domain import Domain


@dataclass(frozen=True, kw_only=True)
class LedgerWindows:
    """W windows of the units of some `results` of the ledger, with A activities."""

    unit: NDArray[np.int64]  # (W,) row of `results`
    video_id: NDArray[np.object_]
    start_us: NDArray[np.int64]
    end_us: NDArray[np.int64]
    labelled: NDArray[np.bool_]
    scores: NDArray[np.float32]  # (W * A,)
    states: NDArray[np.uint8]
    looks_distances: NDArray[np.float32]  # (W,) NaN where it is not known
    damage: NDArray[np.int32]  # (W, 3) pictures concealed, dropped, repeated


def windows_of(results: pa.Table) -> LedgerWindows:
    """The windows of results, RESULT_SCHEMA, unit by unit."""
    table = results.combine_chunks()
    starts = table["window_start_us"].combine_chunks()
    unit = np.asarray(pc.list_parent_indices(starts), dtype=np.int64)
    return LedgerWindows(
        unit=unit,
        video_id=np.asarray(table["video_id"].to_pylist(), dtype=object)[unit],
        start_us=np.asarray(starts.flatten()),
        end_us=np.asarray(table["window_end_us"].combine_chunks().flatten()),
        labelled=np.asarray(table["window_labelled"].combine_chunks().flatten()).astype(bool),
        scores=np.asarray(table["scores"].combine_chunks().flatten()),
        states=np.asarray(table["states"].combine_chunks().flatten()),
        looks_distances=_looks_distances(table, len(unit)),
        damage=_damage(table, len(unit)),
    )


def _looks_distances(table: pa.Table, num_windows: int) -> NDArray[np.float32]:
    """(W,) distances; those of units of a release before, or of a model that knows no looks, are NaN."""
    lists = table["looks_distances"].combine_chunks()
    found = np.full(num_windows, np.nan, np.float32)
    has_distance = np.repeat(np.asarray(lists.is_valid()), pc.list_value_length(table["window_start_us"]).to_numpy())
    found[has_distance] = lists.drop_null().flatten().to_numpy(zero_copy_only=False)
    return found


def _damage(table: pa.Table, num_windows: int) -> NDArray[np.int32]:
    """(W, 3) pictures concealed, dropped, repeated; 0 of units that know of none."""
    lists = table["window_damage"].combine_chunks()
    found = np.zeros((num_windows, 3), np.int32)
    is_told = np.repeat(np.asarray(lists.is_valid()), pc.list_value_length(table["window_start_us"]).to_numpy())
    found[is_told] = lists.drop_null().flatten().to_numpy(zero_copy_only=False).reshape(-1, 3)
    return found


def paths_of(video_id: NDArray[np.object_], paths: Mapping[str, str]) -> NDArray[np.object_]:
    """(W,) the path of each window's video."""
    return np.asarray([paths[video] for video in video_id], dtype=object)


def sources_of(video_id: NDArray[np.object_], source: str, domain: Domain | None) -> NDArray[np.object_]:
    """(W,) the source of each window's labels, marked where `domain` has its video outside."""
    names = {video: source if domain is None else domain.source(source, video) for video in set(video_id.tolist())}
    return paths_of(video_id, names)


def is_among(video_id: NDArray[np.object_], wanted: Collection[str]) -> NDArray[np.bool_]:
    """(W,) whether each window's video is a wanted one."""
    return np.isin(video_id.astype(str), sorted(wanted)) if wanted else np.zeros(len(video_id), bool)


def repeated(values: NDArray[np.object_], times: int) -> pa.DictionaryArray:
    """(W * times,) each value so many times in a row."""
    encoded = pa.array(values, pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(np.repeat(np.asarray(encoded.indices), times), encoded.dictionary)


def constant(value: str, count: int) -> pa.DictionaryArray:
    """(count,) of one value."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), [value])
