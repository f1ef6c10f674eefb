"""A searcher of Ray Tune's that never suggests the same setting twice, around one that may."""

import pickle
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

_TRIES = 50  # for a setting that was not tried; then the search is over


class DistinctSearch(Searcher):  # type: ignore[misc]
    """Asks another searcher again where it suggests a setting that has been tried, and tells it the score that this one had. key:
    equal for settings that are the same, "" for one that needs no trial."""

    def __init__(self, inner: Searcher, key: Callable[[Mapping[str, Any]], str]) -> None:
        super().__init__()
        self._inner = inner
        self._key = key
        self._key_of: dict[str, str] = {}  # by trial
        self._inner_ids: dict[str, str] = {}
        self._seen = {""}
        self._scores: dict[str, float] = {}  # by key

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """As `Searcher` says."""
        self._metric, self._mode = metric, mode
        is_set: bool = self._inner.set_search_properties(metric, mode, config, **spec)
        return is_set

    def suggest(self, trial_id: str) -> Any:
        """A setting that no trial has had, or the word that the search is over where none is found."""
        for attempt in range(_TRIES):
            inner_id = f"{trial_id}-{attempt}"
            values = self._inner.suggest(inner_id)
            if values is None or values == Searcher.FINISHED:
                return values
            key = self._key(values)
            if key not in self._seen:
                self._seen.add(key)
                self._key_of[trial_id], self._inner_ids[trial_id] = key, inner_id
                return values
            known = self._scores.get(key)
            result = None if known is None else {self._metric: known}
            self._inner.on_trial_complete(inner_id, result, error=result is None)
        return Searcher.FINISHED

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """As `Searcher` says."""
        score = (result or {}).get(str(self._metric))
        if score is not None:
            self._scores[self._key_of[trial_id]] = float(score)
        self._inner.on_trial_complete(self._inner_ids[trial_id], result, error)

    def save(self, checkpoint_path: str) -> None:
        """As `Searcher` says."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "inner"
            self._inner.save(str(file))
            state = (self._key_of, self._inner_ids, self._seen, self._scores, file.read_bytes())
        Path(checkpoint_path).write_bytes(pickle.dumps(state))

    def restore(self, checkpoint_path: str) -> None:
        """As `Searcher` says: of this program's own file."""
        self._key_of, self._inner_ids, self._seen, self._scores, inner = pickle.loads(
            Path(checkpoint_path).read_bytes()
        )
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "inner"
            file.write_bytes(inner)
            self._inner.restore(str(file))
