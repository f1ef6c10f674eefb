"""Times of ELAN's time slots: in TIME_ORDER they are sorted, and some may have no time of their own."""

from collections.abc import Sequence
from itertools import pairwise
from xml.etree import ElementTree

from nrray.errors import DataError
from nrray.formats.options import UnsetTimeSlots
from nrray.wording import counted


class SlotTimes:
    """Slot id to microseconds. Raises DataError where a slot is no time and may not be interpolated."""

    def __init__(self, root: ElementTree.Element, *, file: str, mode: UnsetTimeSlots) -> None:
        self._mode = mode
        self._order: dict[str, int] = {}
        self._times_us: dict[str, float] = {}
        self._num_filled = 0
        for place, slot in enumerate(root.iter("TIME_SLOT")):
            slot_id, value = slot.get("TIME_SLOT_ID", ""), slot.get("TIME_VALUE")
            self._order[slot_id] = place
            if value is None:
                continue
            try:
                self._times_us[slot_id] = int(value) * 1000
            except ValueError:
                raise DataError(f"{file}: time slot {slot_id} is {value!r}, expected whole milliseconds") from None

    @property
    def notes(self) -> list[str]:
        if not self._num_filled:
            return []
        return [f"{counted(self._num_filled, 'time slot')} without a time interpolated between neighbours."]

    def fill(self, pairs: Sequence[tuple[str, str, str]]) -> None:
        """Interpolate along one tier: (first slot, last slot, annotation id) of its annotations, in any order.

        Between two annotations that touch in no set time there is one border, so it counts once.
        """
        if self._mode is not UnsetTimeSlots.INTERPOLATE:
            return
        chain: list[list[str]] = []
        for first, last, _ in sorted(pairs, key=lambda pair: self._order.get(pair[0], -1)):
            if chain and (first in chain[-1] or (self._is_unset(first) and self._is_unset(chain[-1][-1]))):
                chain[-1].append(first)
            else:
                chain.append([first])
            chain.append([last])
        known = [next((self._times_us[slot] for slot in border if slot in self._times_us), None) for border in chain]
        set_places = [place for place, time_us in enumerate(known) if time_us is not None]
        for before, after in pairwise(set_places):
            start_us, end_us = known[before], known[after]
            if start_us is None or end_us is None:
                continue
            for place in range(before + 1, after):
                for slot in set(chain[place]):
                    self._times_us[slot] = start_us + (end_us - start_us) * (place - before) / (after - before)
                    self._num_filled += 1

    def time_us(self, slot: str | None, *, where: str) -> int:
        """Raises DataError that names `where`."""
        if slot is None or slot not in self._order:
            raise DataError(f"{where}: its time slot {slot!r} is not in TIME_ORDER: open and save the file in ELAN")
        if slot not in self._times_us:
            advice = (
                "it has no neighbours with times to interpolate between: give it a time in ELAN"
                if self._mode is UnsetTimeSlots.INTERPOLATE
                else "give it a time in ELAN, or set unset_time_slots=interpolate"
            )
            raise DataError(f"{where}: its time slot {slot} has no TIME_VALUE; {advice}")
        return round(self._times_us[slot])

    def _is_unset(self, slot: str) -> bool:
        return slot in self._order and slot not in self._times_us
