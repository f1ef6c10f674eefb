"""Labels of annotation files to activities: by the label set, by the settings `names` and `ignore`, and by nothing else."""

import difflib
from collections import Counter
from collections.abc import Sequence

from nrray.errors import ConfigError, DataError
from nrray.formats.options import ImportConfig
from nrray.formats.reading import ParsedSegment
from nrray.labels import read_label_set


class UnknownActivityError(DataError):
    """A label that is none of the label set; the first one of a file names all others of it."""


class ActivityNames:
    """`known` are all labels that a file may use. Raises ConfigError where settings contradict the label set."""

    def __init__(self, config: ImportConfig) -> None:
        self._activities = read_label_set(config.label_set).names
        self._map = config.names
        self._ignored = frozenset(config.ignore)
        self.known = frozenset([*self._activities, *config.names, *config.ignore])
        if unknown := sorted(set(config.names.values()) - set(self._activities)):
            raise ConfigError(f"names maps to {unknown}, which the label set lacks; it has {list(self._activities)}")
        if unknown := sorted(set(config.activities) - set(self._activities)):
            raise ConfigError(f"activities names {unknown}, which the label set lacks; it has {list(self._activities)}")
        if both := sorted(self._ignored & set(config.names)):
            raise ConfigError(f"{both} are both in names and in ignore: keep one")

    def activity_of(self, segment: ParsedSegment, *, among: Sequence[ParsedSegment]) -> str | None:
        """None for a label that is ignored. Raises UnknownActivityError, which names all
        such of `among`."""
        if segment.label in self._ignored:
            return None
        name = self._map.get(segment.label, segment.label)
        if name in self._activities:
            return name
        folded = "_".join(segment.label.lower().split())
        close = difflib.get_close_matches(folded, self._activities, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else f"none is close, known are {list(self._activities)}."
        example = close[0] if close else "ACTIVITY"
        others = self._others(segment, among)
        raise UnknownActivityError(
            f"{segment.where}: unknown activity {segment.label!r}; {hint} Say which it is, such as "
            f"names={{{segment.label!r}: {example}}}, or leave it out with ignore=[{segment.label!r}].{others}"
        )

    def _others(self, segment: ParsedSegment, among: Sequence[ParsedSegment]) -> str:
        """All further unknown labels at once, so that they are mended at once."""
        known = self.known | {segment.label}
        counts = Counter(other.label for other in among if other.label not in known)
        if not counts:
            return ""
        counted = ", ".join(f"{name!r} ({count})" for name, count in counts.most_common())
        return f" Unknown too, with how often they occur: {counted}."
