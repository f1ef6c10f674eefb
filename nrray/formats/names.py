"""Their activity names to ours: by the label set, by the settings `names` and `ignore`, and by nothing else."""

import difflib
from collections import Counter
from collections.abc import Sequence

from nrray.errors import ConfigError, DataError
from nrray.formats.options import ImportConfig
from nrray.formats.reading import Stretch
from nrray.labels import read_label_set


class ActivityNames:
    """`known` are all names that a file may use. Raises ConfigError where settings contradict the label set."""

    def __init__(self, config: ImportConfig) -> None:
        self._ours = read_label_set(config.label_set).names
        self._map = config.names
        self._ignored = frozenset(config.ignore)
        self.known = frozenset([*self._ours, *config.names, *config.ignore])
        if unknown := sorted(set(config.names.values()) - set(self._ours)):
            raise ConfigError(f"names maps to {unknown}, which the label set lacks; it has {list(self._ours)}")
        if both := sorted(self._ignored & set(config.names)):
            raise ConfigError(f"{both} are both in names and in ignore: keep one")

    def ours(self, stretch: Stretch, *, among: Sequence[Stretch]) -> str | None:
        """None for a name that is ignored. Raises DataError for one that is not known, which names all such of `among`."""
        if stretch.name in self._ignored:
            return None
        name = self._map.get(stretch.name, stretch.name)
        if name in self._ours:
            return name
        folded = "_".join(stretch.name.lower().split())
        close = difflib.get_close_matches(folded, self._ours, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else f"none is close, known are {list(self._ours)}."
        example = close[0] if close else "ACTIVITY"
        others = self._others(stretch, among)
        raise DataError(
            f"{stretch.where}: unknown activity {stretch.name!r}; {hint} Say which it is, such as "
            f"names={{{stretch.name!r}: {example}}}, or leave it out with ignore=[{stretch.name!r}].{others}"
        )

    def _others(self, stretch: Stretch, among: Sequence[Stretch]) -> str:
        """All further unknown names at once, so that one look at the file is enough."""
        known = self.known | {stretch.name}
        counts = Counter(other.name for other in among if other.name not in known)
        if not counts:
            return ""
        told = ", ".join(f"{name!r} ({count})" for name, count in counts.most_common())
        return f" Unknown too, with how often they occur: {told}."
