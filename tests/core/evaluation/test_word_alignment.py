from __future__ import annotations

import jiwer
from hypothesis import given
from hypothesis import strategies as st

from vtune.evaluation.word_alignment import align
from vtune.ingest.transcribe.error_rates import edit_distance

WORDS = st.lists(st.sampled_from(["the", "cat", "sat", "on", "mat"]), max_size=8)


@given(WORDS.filter(bool), WORDS)
def test_counts_are_those_of_jiwer(wanted: list[str], said: list[str]) -> None:
    alignment = align(wanted, said)
    theirs = jiwer.process_words(" ".join(wanted), " ".join(said))
    # Ways of one length may differ in what they take for other words; lengths and the balance cannot.
    assert alignment.errors == theirs.substitutions + theirs.insertions + theirs.deletions
    assert alignment.insertions - alignment.deletions == len(said) - len(wanted)


@given(WORDS, WORDS)
def test_a_way_leads_from_one_text_to_the_other(wanted: list[str], said: list[str]) -> None:
    alignment = align(wanted, said)
    assert [step[1] for step in alignment.steps if step[0] != "insertion"] == wanted
    assert [step[2] for step in alignment.steps if step[0] != "deletion"] == said
    assert all((kind == "match") == (old == new) for kind, old, new in alignment.steps)
    assert alignment.errors == edit_distance(wanted, said)


def test_by_hand() -> None:
    alignment = align(["please", "bring", "me", "some", "bread"], ["please", "please", "bring", "some", "red"])
    assert (alignment.insertions, alignment.deletions, alignment.errors) == (1, 1, 3)
