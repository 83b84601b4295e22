"""The former position of a dropped row is computed from the history alone, whatever was added or removed later."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vtune.curation.review.dropped_positions import dropped_rows, interleaved
from vtune.curation.review.history import HistoryEntry
from vtune.dataset.editing.edit import Change


def entry(action: str, row: int, took: int, put: int, **more: str) -> HistoryEntry:
    change = Change(row, took, put, 0, "", "", "utf-8", "", "")
    return HistoryEntry(action, "t.csv", 1, "a", {}, {}, change=change, **more)


@given(st.integers(1, 8), st.lists(st.tuples(st.sampled_from(["drop", "restore", "split", "add"]), st.integers(0, 99))))
def test_the_mixed_list_is_that_of_a_review_that_never_ended(count: int, steps: list[tuple[str, int]]) -> None:
    listed = [(name, True) for name in map(str, range(count))]
    entries: list[HistoryEntry] = []
    drops: dict[str, HistoryEntry] = {}
    for action, lot in steps:
        live = [n for n, (_, kept) in enumerate(listed) if kept]
        dead = [n for n, (_, kept) in enumerate(listed) if not kept]
        if action == "restore" and dead:
            at = dead[lot % len(dead)]
            row = sum(kept for _, kept in listed[:at])
            entries.append(entry("restore", row, 0, 1, of=drops[listed[at][0]].id))
            listed[at] = listed[at][0], True
        elif action == "drop" and live:
            at = live[lot % len(live)]
            entries.append(entry("drop", live.index(at), 1, 0))
            drops[listed[at][0]] = entries[-1]
            listed[at] = listed[at][0], False
        elif action == "split" and live:
            at = live[lot % len(live)]
            entries.append(entry("split", live.index(at), 1, 2))
            listed[at : at + 1] = [(listed[at][0] + half, True) for half in "ab"]
        elif action == "add":
            entries.append(entry("add", len(live), 0, 1))
            listed.append((f"new{len(entries)}", True))
    names = {drop.id: name for name, drop in drops.items()}
    rows = [name for name, kept in listed if kept]
    found_rows = [(ghost.position, names[ghost.entry.id]) for ghost in dropped_rows(entries)]
    assert interleaved(rows, found_rows) == [name for name, _ in listed]
