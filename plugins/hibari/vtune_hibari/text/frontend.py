"""From a text to the sentences that the network reads: lexicon, phonemes, written words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher

from vtune import SkipClip
from vtune.errors import listed, shown
from vtune.toolkit import is_speakable
from vtune.toolkit.lexicon import split_at_lexicon
from vtune.toolkit.sentences import Sentence, write_sentences
from vtune_hibari.bases.base_files import Accent
from vtune_hibari.text.reader import ReadGroup, read_groups, split_sentences

_LINK = re.compile(r"\[([^\]]+)\]\(/[^)]*/\)")
"""A word with its phonemes, as the package and misaki write it: ``[Piper](/pˈIpəɹ/)``."""


def prepare(text: str, accent: Accent, lexicon: Mapping[str, str]) -> str:
    """Return a text as the network reads it; see ``vtune.toolkit.sentences``.

    :param lexicon: words and their readings.
    :raises SkipClip: nothing of the text can be spoken, or words of it cannot be read.
    :raises EngineError: the package that reads texts is missing.
    """
    linked = "".join(
        f"[{part.text}](/{part.phonemes}/)" if part.phonemes else part.text for part in split_at_lexicon(text, lexicon)
    )
    sentences = [_read(sentence, accent) for sentence in split_sentences(linked)]
    sentences = [sentence for sentence in sentences if is_speakable(sentence.symbols)]
    if not sentences:
        raise SkipClip(f"nothing of the text {shown(text)} can be spoken")
    return write_sentences(sentences)


def _read(text: str, accent: Accent) -> Sentence:
    groups = read_groups(text, accent)
    unread = [group.text for group in groups if not is_speakable(group.phonemes) and is_speakable(group.text)]
    if unread:
        raise SkipClip(
            f"the words {listed(unread)} cannot be read; write them in other letters, or give them a reading in "
            "engine_options.lexicon"
        )
    names = words_of_groups(_LINK.sub(r"\1", text).split(), [group.text for group in groups])
    return Sentence(" ".join(group.phonemes for group in groups).strip(), tuple(_spread(groups, names)))


def words_of_groups(words: Sequence[str], groups: Sequence[str]) -> list[str]:
    """Return the written words that begin with each group of a normalised text, empty where none begins.

    ``words_of_groups(["on", "Jan.", "5th"], ["on", "January", "fifth"])`` is ``["on", "Jan.", "5th"]``, and
    ``words_of_groups(["at", "9:30am."], ["at", "nine", "thirty", "A.M."])`` is ``["at", "9:30am.", "", ""]``.
    """
    names = [""] * len(groups)
    for tag, first, end, first_group, end_group in SequenceMatcher(None, words, groups, autojunk=False).get_opcodes():
        if tag in ("equal", "replace") and end - first == end_group - first_group:
            names[first_group:end_group] = words[first:end]
        elif tag in ("replace", "delete") and groups:
            # Words that became fewer or more groups belong to the first of them; words that vanished, to the group
            # before.
            index = min(first_group, len(groups) - 1) if tag == "replace" else max(first_group - 1, 0)
            names[index] = " ".join(filter(None, (names[index], *words[first:end])))
    return names


def _spread(groups: Sequence[ReadGroup], names: Sequence[str]) -> Iterator[str]:
    """Yield a name for each group of symbols: a group such as ``23`` has two, and the second has no name."""
    for group, name in zip(groups, names, strict=True):
        parts = group.phonemes.split()
        if parts:
            yield from (name, *[""] * (len(parts) - 1))
