"""Find which written words the groups of symbols belong to: espeak joins ``of the`` and divides ``23``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher

from vtune.ingest.transcribe.error_rates import edit_distance

MAX_JOINED_WORDS = 4
"""The most written words that a phonemiser reads as one group; espeak's tables join up to four."""

MAX_GROUPS_OF_A_WORD = 16
"""The most groups that one written word is read as, such as a long number."""

MAX_COMPARISONS = 400
"""Above this product of words and groups, words are spread evenly over the groups."""

_STRESS = re.compile(r"[ˈˌ.,:;?!]")


def words_of_groups(words: Sequence[str], groups: Sequence[str], read: Callable[[str], str]) -> list[str]:
    """Return the written word that begins with each group of symbols, empty for a group within a word.

    ``words_of_groups(["of", "the", "23"], ["ʌvðə", "twˈɛnti", "θɹˈiː"], read)`` is ``["of the", "23", ""]``.

    :param words: written words in order.
    :param groups: what they are read as, in order.
    :param read: reads one word alone, with spaces between its groups.
    """
    if len(words) == len(groups) and not any(character.isdigit() for word in words for character in word):
        return list(words)
    alone = [_bare(read(word)) for word in words]
    spoken = [index for index, reading in enumerate(alone) if reading]
    result = [""] * len(groups)
    readings, bare_groups = [alone[index] for index in spoken], [_bare(group) for group in groups]
    for word_range, group_range in _gaps(readings, bare_groups):
        for word_indices, group in _matched(readings, bare_groups, word_range, group_range):
            names = [words[spoken[index]] for index in word_indices]
            result[group] = " ".join([*result[group].split(), *names])
    return result


def _gaps(readings: Sequence[str], groups: Sequence[str]) -> Iterator[tuple[range, range]]:
    """Yield ranges of words and of groups that belong together, in order; between them, words equal groups."""
    word = group = 0
    for block in SequenceMatcher(None, readings, groups, autojunk=False).get_matching_blocks():
        if block.a > word or block.b > group:
            yield range(word, block.a), range(group, block.b)
        for offset in range(block.size):
            yield range(block.a + offset, block.a + offset + 1), range(block.b + offset, block.b + offset + 1)
        word, group = block.a + block.size, block.b + block.size


def _matched(
    readings: Sequence[str], groups: Sequence[str], words: range, group_range: range
) -> Iterator[tuple[range, int]]:
    """Yield words, and the group that they begin with."""
    if not words:
        return
    if not group_range:  # joined with the group before or behind
        yield words, min(max(group_range.start - 1, 0), len(groups) - 1) if groups else 0
    elif len(words) * len(group_range) > MAX_COMPARISONS:
        for index in words:
            yield (
                range(index, index + 1),
                group_range.start + (index - words.start) * len(group_range) // len(words),
            )
    else:
        yield from _cheapest(readings, groups, words, group_range)


def _cheapest(
    readings: Sequence[str], groups: Sequence[str], words: range, group_range: range
) -> Iterator[tuple[range, int]]:
    """Divide words and groups into pairs, of one word or of one group, with the least distance of their symbols."""
    word_count, group_count = len(words), len(group_range)
    infinity = float("inf")
    costs = [[infinity] * (group_count + 1) for _ in range(word_count + 1)]
    steps = [[(0, 0)] * (group_count + 1) for _ in range(word_count + 1)]
    costs[0][0] = 0.0
    moves = [(joined, 1) for joined in range(1, max(MAX_JOINED_WORDS, word_count - group_count + 1) + 1)]
    moves += [(1, divided) for divided in range(2, max(MAX_GROUPS_OF_A_WORD, group_count - word_count + 1) + 1)]
    for word in range(word_count):
        for group in range(group_count):
            if costs[word][group] == infinity:
                continue
            for more_words, more_groups in moves:
                next_word, next_group = word + more_words, group + more_groups
                if next_word > word_count or next_group > group_count:
                    continue
                reading = "".join(readings[words[index]] for index in range(word, next_word))
                symbols = "".join(groups[group_range[index]] for index in range(group, next_group))
                cost = costs[word][group] + edit_distance(reading, symbols)
                if cost < costs[next_word][next_group]:
                    costs[next_word][next_group], steps[next_word][next_group] = cost, (more_words, more_groups)
    word, group, pairs = word_count, group_count, []
    while word and group:
        more_words, more_groups = steps[word][group]
        word, group = word - more_words, group - more_groups
        pairs.append((range(words[word], words[word] + more_words), group_range[group]))
    yield from reversed(pairs)


def _bare(symbols: str) -> str:
    return _STRESS.sub("", symbols).replace(" ", "")
