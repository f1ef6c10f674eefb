"""Labelers that die of every unit: after some, the run is ended, as each of their starts may take minutes."""

from nrray.errors import ErrorKind, ResourcesError
from nrray.types import UnitResult, UnitStatus

UNITS_IN_A_ROW = 3
"""Units that kill their labeler, with none labelled between them. One that is alone at fault is quarantined; several in a row
speak against the labeler."""


class DyingLabelers:
    """Counts units that were quarantined because each process that tried them died, in the order of results."""

    def __init__(self) -> None:
        self._in_a_row: list[UnitResult] = []

    def check(self, result: UnitResult) -> None:
        """Take up one more result. Raises ResourcesError where labelers die of whatever they are given."""
        if result.status is UnitStatus.OK:
            self._in_a_row = []
        if result.error_kind is not ErrorKind.KILLED_LABELER:
            return
        self._in_a_row.append(result)
        if len(self._in_a_row) < UNITS_IN_A_ROW:
            return
        units = ", ".join(seen.unit_id for seen in self._in_a_row)
        raise ResourcesError(
            f"labelers die of whatever they are given: found {UNITS_IN_A_ROW} units in a row that killed every process which "
            f"tried them ({units}), and none labelled between, expected labels. The run was ended; its results so far are kept. "
            f"The reasons stand in the workers' logs: give labelers more memory, another device or another engine, then run the "
            f"same command with --retry-failed."
        )
