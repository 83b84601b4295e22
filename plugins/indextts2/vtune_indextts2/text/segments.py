"""Cut long texts into segments that are spoken one by one: at sentence ends, else at commas, hyphens, or anywhere."""

from __future__ import annotations

from collections.abc import Sequence

SENTENCE_ENDS = frozenset({".", "!", "?", "▁.", "▁?", "▁..."})
COMMAS = frozenset({",", "▁,"})
HYPHENS = frozenset({"-"})
APOSTROPHES = frozenset({"'", "▁'"})


def split(pieces: Sequence[str], longest: int, quick: int = 0, repeat_apostrophe: bool = False) -> list[list[int]]:
    """Cut pieces into segments of at most ``longest`` each.

    :param quick: segments stay as short as they are while no more than this many pieces have passed, so that speech
        can begin early.
    :param repeat_apostrophe: an apostrophe behind a sentence end is spoken twice, as the last piece of that segment,
        which it may make one piece too long, and as the first of the next: what the original does. Else a closing
        one goes with its sentence where there is room, and the segments joined are the pieces.
    :return: for each segment, the indices of its pieces.
    """
    if longest < 1:
        raise ValueError(f"longest must be at least 1, not {longest}")
    return _Splitter(pieces, longest, quick, repeat_apostrophe).cut(range(len(pieces)), SENTENCE_ENDS)


class _Splitter:
    def __init__(self, pieces: Sequence[str], longest: int, quick: int, repeat_apostrophe: bool) -> None:
        self.pieces, self.longest, self.quick, self.repeat = pieces, longest, quick, repeat_apostrophe

    def cut(self, indices: Sequence[int], marks: frozenset[str]) -> list[list[int]]:
        segments: list[list[int]] = []
        buffer: list[int] = []
        skipped = -1
        for order, index in enumerate(indices):
            if order == skipped:
                continue
            buffer.append(index)
            # What is cut at a finer mark leaves the buffer at once, so such a mark can only be the last piece in it.
            finer = self._finer(self.pieces[index], marks)
            if finer is not None:
                segments += self.cut(buffer, finer)
            elif len(buffer) > self.longest:
                segments += [buffer[start : start + self.longest] for start in range(0, len(buffer), self.longest)]
            elif self.pieces[index] in marks and len(buffer) > 2:
                if order + 1 < len(indices) and self._closes(self.pieces[indices[order + 1]], len(buffer)):
                    buffer.append(indices[order + 1])
                    skipped = -1 if self.repeat else order + 1
                segments.append(buffer)
            else:
                continue
            buffer = []
        if buffer:
            segments.append(buffer)
        return self._merged(segments)

    def _finer(self, piece: str, marks: frozenset[str]) -> frozenset[str] | None:
        if piece in COMMAS and not marks & COMMAS:
            return COMMAS
        if piece in HYPHENS and not marks & HYPHENS:
            return HYPHENS
        return None

    def _closes(self, following: str, length: int) -> bool:
        if self.repeat:
            return following in APOSTROPHES
        return following == "'" and length < self.longest

    def _merged(self, segments: list[list[int]]) -> list[list[int]]:
        merged: list[list[int]] = []
        passed = 0
        for segment in segments:
            passed += len(segment)
            joint = len(merged[-1]) + len(segment) if merged else self.longest + 1
            if joint <= self.longest / 2 or (joint <= self.longest and passed > self.quick):
                merged[-1] += segment
            else:
                merged.append(segment)
        return merged
