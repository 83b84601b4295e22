from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.dataset.features.pairs import LOT, PairedRows, PartnerSampler


@settings(deadline=None, max_examples=100)
@given(st.data(), st.integers(0, 5), st.integers(0, 1000))
def test_a_partner_is_another_clip_of_the_same_voice(data: st.DataObject, seed: int, place: int) -> None:
    copies = data.draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3)), min_size=1, max_size=12))
    voices = [voice for voice, count in copies for _ in range(count)]
    clips = [3 * clip for clip, (_, count) in enumerate(copies) for _ in range(count)]
    partners = PartnerSampler(voices, clips, seed)
    for voice, clip in {*zip(voices, clips, strict=True), (0, 1), (7, 1)}:
        row, lot = partners.draw(voice, clip, place)
        allowed = [r for r in range(len(voices)) if voices[r] == voice and clips[r] != clip]
        assert (row in allowed) if allowed else row is None
        assert 0 <= lot < 1
        assert partners.draw(voice, clip, place) == (row, lot)


def test_every_other_clip_is_drawn_equally_often() -> None:
    partners = PartnerSampler([0, 0, 1, 0, 0], [0, 1, 2, 3, 4], 0)
    drawn = Counter(partners.draw(0, 3, index)[0] for index in range(3000))
    assert set(drawn) == {0, 1, 4}
    assert all(abs(count - 1000) < 150 for count in drawn.values())
    lots = [partners.draw(0, 3, index)[1] for index in range(3000)]
    assert abs(np.mean(lots) - 0.5) < 0.03


class Numbered:
    """Rows whose features are their own numbers."""

    def __init__(self, first: int, count: int) -> None:
        self._numbers = range(first, first + count)

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, row: int) -> dict[str, np.ndarray]:
        return {"sound": np.asarray([self._numbers[row]]), "words": np.asarray([row])}


def test_rows_hold_what_was_asked_for_of_their_partner() -> None:
    among = Numbered(0, 3)
    partners = PartnerSampler([0, 0, 1], [0, 1, 2], 0)
    rows = PairedRows(among, [0, 0, 1], [0, 1, 2], partners, among, frozenset({"sound"}))
    assert rows[0]["paired.sound"].tolist() == [1]
    assert set(rows[1, 7]) == {"sound", "words", "paired.sound", LOT}
    assert set(rows[2]) == {"sound", "words", LOT}  # the only clip of its voice
    held_out = PairedRows(Numbered(10, 1), [1], [5], partners, among, frozenset({"sound"}))
    assert held_out[0]["paired.sound"].tolist() == [2]
    plain = PairedRows(among, [0, 0, 1], [0, 1, 2], partners, among, frozenset())
    assert set(plain[0, 3]) == {"sound", "words", LOT}


def test_every_row_has_a_lot_of_its_own_in_each_epoch_and_a_fixed_one_in_validation() -> None:
    among = Numbered(0, 4)
    rows = PairedRows(among, [0] * 4, [0, 1, 2, 3], PartnerSampler([0] * 4, [0, 1, 2, 3], 5), among, frozenset())
    lots = {(row, epoch): rows[row, 4 * epoch + row][LOT] for row in range(4) for epoch in range(3)}
    assert len({float(lot) for lot in lots.values()}) == len(lots)
    assert all(lot.dtype == np.float64 and lot.shape == () and 0 <= lot < 1 for lot in lots.values())
    assert rows[2, 6][LOT] == lots[2, 1]  # the same position, as after a resume
    assert rows[2][LOT] == rows[2][LOT]  # a row of validation has no position
    other_seed = PairedRows(among, [0] * 4, [0, 1, 2, 3], PartnerSampler([0] * 4, [0] * 4, 6), among, frozenset())
    assert other_seed[2, 6][LOT] != lots[2, 1]
