"""Whether all clips of a voice sound like one person, by Resemblyzer's embeddings (the extra ``similarity``)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from vtune.audio.speaker_embedding import LEAST_SECONDS, SpeakerEncoder, centre_of
from vtune.curation.doctor.checks import found
from vtune.curation.doctor.findings import Finding, Measure, Severity
from vtune.curation.doctor.measure import Measures
from vtune.curation.doctor.recordings import Listener
from vtune.dataset import Row
from vtune.errors import VtuneError
from vtune.runtime.progress import track

ENOUGH = 8
"""Clips that a voice's centre is taken from."""

STRANGER = 0.77
"""Cosine to the centre. A speaker's own clips have 0.86 to 0.96, other speakers of the same sex 0.45 to 0.75."""

MeasuredRow = tuple[Row, Measures]


class Voices:
    """The network. :raises VtuneError: the extra is not installed."""

    def __init__(self) -> None:
        try:
            self._encoder = SpeakerEncoder()
        except VtuneError as error:
            raise VtuneError(f"voice: {error}") from error

    def strangers(self, clips: Sequence[MeasuredRow], listener: Listener) -> Iterator[Finding]:
        """Yield clips that do not sound like the others of their speaker."""
        long = [(row, heard) for row, heard in clips if heard.speech.seconds > LEAST_SECONDS]
        counts = defaultdict[str, int](int)
        for row, _ in long:
            counts[row.speaker] += 1
        long = [(row, heard) for row, heard in long if counts[row.speaker] >= ENOUGH]
        by_speaker: dict[str, list[tuple[Row, np.ndarray]]] = defaultdict(list)
        for row, _ in track(long, "comparing speakers", len(long), "clips"):
            by_speaker[row.speaker].append((row, self._embedding(row.audio, listener)))
        centres = {who: centre_of(np.stack([one for _, one in several])) for who, several in by_speaker.items()}
        for who, several in by_speaker.items():
            for row, embedding in several:
                yield from _compare(row, embedding, who, centres)

    def _embedding(self, name: str, listener: Listener) -> np.ndarray:
        waveform, rate = listener.load(name)
        return self._encoder.embed(waveform, rate)


def _compare(row: Row, embedding: np.ndarray, who: str, centres: dict[str, np.ndarray]) -> Iterator[Finding]:
    likeness = {name: float(embedding @ centre) for name, centre in centres.items()}
    nearest = max(likeness, key=likeness.__getitem__)
    if likeness[who] >= STRANGER and nearest == who:
        return
    # A whisper or noise takes a voice away from its centre, but not nearer to another's.
    other = f"; nearer to {nearest}, {likeness[nearest]:.2f}" if nearest != who else ""
    yield found(
        "voice", Severity.WARNING, row, f"sounds like somebody else: likeness {likeness[who]:.2f} to this voice{other}",
        "listen who speaks; noise and laughter do the same", Measure(round(likeness[who], 3), "cosine"),
    )  # fmt: skip
