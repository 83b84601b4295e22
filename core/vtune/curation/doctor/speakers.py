"""Check that all clips of a voice sound like one person, by speaker embeddings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from vtune.audio.speaker_embedding import MIN_EMBEDDING_SECONDS, SpeakerEncoder, centre_of
from vtune.curation.doctor.check_titles import make_finding
from vtune.curation.doctor.findings import Finding, Measure, Severity
from vtune.curation.doctor.measure import Measures
from vtune.curation.doctor.recording_openers import RecordingOpener
from vtune.dataset import Row
from vtune.runtime.progress import track

MIN_CLIPS = 8
"""Smallest number of clips for the centre of a voice."""

MIN_SIMILARITY = 0.77
"""Smallest cosine to the centre. A speaker's own clips have 0.86 to 0.96, other speakers of the same sex 0.45 to
0.75."""

RowMeasures = tuple[Row, Measures]


class SpeakerCheck:
    """Compares the clips of each speaker with a speaker encoder."""

    def __init__(self) -> None:
        self._encoder = SpeakerEncoder()

    def strangers(self, clips: Sequence[RowMeasures], listener: RecordingOpener) -> Iterator[Finding]:
        """Yield a finding for each clip that does not sound like its speaker's other clips."""
        long_clips = [(row, measures) for row, measures in clips if measures.speech.seconds > MIN_EMBEDDING_SECONDS]
        counts = defaultdict[str, int](int)
        for row, _ in long_clips:
            counts[row.speaker] += 1
        long_clips = [(row, measures) for row, measures in long_clips if counts[row.speaker] >= MIN_CLIPS]
        by_speaker: dict[str, list[tuple[Row, np.ndarray]]] = defaultdict(list)
        for row, _ in track(long_clips, "comparing speakers", len(long_clips), "clips"):
            by_speaker[row.speaker].append((row, self._embedding(row.audio, listener)))
        centres = {
            speaker: centre_of(np.stack([embedding for _, embedding in embeddings]))
            for speaker, embeddings in by_speaker.items()
        }
        for speaker, embeddings in by_speaker.items():
            for row, embedding in embeddings:
                yield from _compare(row, embedding, speaker, centres)

    def _embedding(self, name: str, listener: RecordingOpener) -> np.ndarray:
        waveform, rate = listener.load(name)
        return self._encoder.embed(waveform, rate)


def _compare(row: Row, embedding: np.ndarray, speaker: str, centres: dict[str, np.ndarray]) -> Iterator[Finding]:
    similarities = {name: float(embedding @ centre) for name, centre in centres.items()}
    nearest = max(similarities, key=similarities.__getitem__)
    if similarities[speaker] >= MIN_SIMILARITY and nearest == speaker:
        return
    # Whispering and noise move a clip away from its speaker's centre, but not closer to another speaker's.
    addition = f", {similarities[nearest]:.2f} to {nearest}" if nearest != speaker else ""
    yield make_finding(
        "voice", Severity.WARNING, row,
        f"the clip sounds like somebody else: similarity {similarities[speaker]:.2f} to this voice{addition}",
        "listen: check who speaks (noise and laughter cause this as well)",
        Measure(round(similarities[speaker], 3), "cosine"),
    )  # fmt: skip
