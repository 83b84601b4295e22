"""Synthesise recordings of speakers who never lived, so that an engine can be trained and judged without a microphone.

Each letter has a sound of its own: vowels are harmonics under two formants, consonants are bands of noise. Two speakers
differ in the pitch of their harmonics and in the place of their formants, as a man and a child do.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vtune.types import Waveform

FORMANTS_HZ = {"a": (750, 1200), "e": (480, 2000), "i": (300, 2500), "o": (480, 900), "u": (330, 750), "y": (320, 2100)}
FORMANT_WIDTH_HZ = 120.0
VOWEL_SECONDS, CONSONANT_SECONDS, PAUSE_SECONDS = 0.12, 0.07, 0.06
LEAD_SECONDS, TAIL_SECONDS = 0.1, 0.3
"""Silence before and after a sentence."""
EDGE_SECONDS = 0.008
"""Each letter fades in and out over this time."""

SENTENCES = (
    "a lion sat in the sun",
    "my old boat is made of tin",
    "we eat nuts and honey",
    "the moon is over the hill",
    "open a window at noon",
    "he does not hear the rain",
    "some tea is in a pot",
    "you may sit in my seat",
    "the pony ate all the hay",
    "a yellow bee is on the sofa",
    "they see us in the mist",
    "put no salt into the soup",
    "an owl sees in the dark",
    "her sister is at home",
    "it is too late to go out",
    "our house has a blue door",
)
"""Sentences of the default recordings."""


@dataclass(frozen=True, slots=True)
class MadeSpeaker:
    """A synthetic speaker.

    :param pitch: in Hz, of the vowels at the beginning of a sentence; it falls by a sixth until the end.
    :param formant_scale: multiplies the frequencies of all formants and noises; 1 is a long vocal tract, 1.3 a short.
    """

    pitch: float = 120.0
    formant_scale: float = 1.0

    def speak(self, text: str, sample_rate: int, seed: int = 0) -> Waveform:
        """Synthesise a text, float32 ``[samples]``; the same text and seed give the same sound."""
        random = np.random.default_rng(seed)
        letters = [letter for letter in text.lower() if letter.isalpha() or letter == " "]
        pitches = self.pitch * np.linspace(1, 5 / 6, len(letters)) * random.uniform(0.97, 1.03, len(letters))
        sounds = [
            self._letter(letter, pitch, sample_rate, random) for letter, pitch in zip(letters, pitches, strict=True)
        ]
        lead, tail = (np.zeros(round(seconds * sample_rate)) for seconds in (LEAD_SECONDS, TAIL_SECONDS))
        waveform = np.concatenate([lead, *sounds, tail])
        waveform += random.normal(0, 3e-4, len(waveform))
        scaled: Waveform = (0.5 * waveform / np.abs(waveform).max()).astype(np.float32)
        return scaled

    def _letter(self, letter: str, pitch: float, sample_rate: int, random: np.random.Generator) -> np.ndarray:
        if letter == " ":
            return np.zeros(round(PAUSE_SECONDS * sample_rate))
        is_vowel = letter in FORMANTS_HZ
        times = np.arange(round((VOWEL_SECONDS if is_vowel else CONSONANT_SECONDS) * sample_rate)) / sample_rate
        if is_vowel:
            harmonics = np.arange(1, int(0.45 * sample_rate / pitch)) * pitch
            peaks = [formant * self.formant_scale for formant in FORMANTS_HZ[letter]]
            gains = sum(1 / (1 + ((harmonics - peak) / FORMANT_WIDTH_HZ) ** 2) for peak in peaks)
            sound = gains @ np.sin(2 * np.pi * np.outer(harmonics, times))
        else:
            noise = np.fft.rfft(random.normal(size=len(times)))
            frequencies = np.fft.rfftfreq(len(times), 1 / sample_rate)
            centre = self.formant_scale * (500 + 110 * (ord(letter) - ord("a")))
            sound = np.fft.irfft(noise * (0.1 + np.exp(-(((frequencies - centre) / 400) ** 2))), len(times))
        edge = np.clip(np.minimum(times, times[::-1]) / EDGE_SECONDS, 0, 1)
        loudness = 0.25 if is_vowel else 0.08
        scaled: np.ndarray = loudness * edge * sound / np.sqrt(np.mean(sound**2))
        return scaled


def write_recordings(
    folder: Path, speaker: MadeSpeaker, sample_rate: int, sentences: Sequence[str] = SENTENCES, suffix: str = ".wav"
) -> Path:
    """Write a speaker's recordings into a new folder beside ``transcripts.csv``; return the folder.

    :param suffix: chooses the format of the files: ``.wav`` or ``.flac``.
    """
    import soundfile

    (folder / "clips").mkdir(parents=True)
    with (folder / "transcripts.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["filename", "text"])
        for index, sentence in enumerate(sentences):
            name = f"{index:02d}{suffix}"
            soundfile.write(folder / "clips" / name, speaker.speak(sentence, sample_rate, index), sample_rate)
            table.writerow([name, sentence])
    return folder
