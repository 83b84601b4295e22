"""Text to sound: sentence by sentence, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vtune import Audio, Conditioning, VoiceError, Waveform
from vtune_orpheus.conditioning import expected_tokens, prompt_of, sampling_of
from vtune_orpheus.decoding import FrameDecoder
from vtune_orpheus.sampling import Tokens, sample_frames
from vtune_orpheus.texts import missing_pause, split_text

if TYPE_CHECKING:
    from vtune_orpheus.base import OrpheusBase

RATE = 24_000
TAIL = RATE
"""Samples kept of what was spoken, to see whether it ended in a pause: one second."""

RUNAWAY = 3.0
"""An utterance this many times longer than the voice's pace gives, with a second to spare, is no reading any more."""


def speak(
    base: OrpheusBase,
    tokens: Tokens,
    text: str,
    conditioning: Conditioning,
    seed: int,
    asked: Mapping[str, Any],
) -> Iterator[Audio]:
    """Yield sound at 24 kHz as frames are ready; see ``vtune.hookspecs.synthesize``.

    :param tokens: draws them, from whatever network.
    :raises VoiceError: the prompt does not fit into the network's positions.
    """
    sampling = replace(sampling_of(conditioning), **asked)
    positions = int(base.config.max_position_embeddings)
    for number, piece in enumerate(split_text(text, base.options.max_chars)):
        prompt = prompt_of(base, conditioning, piece.text)
        if len(prompt) + sampling.max_new_tokens > positions:
            raise VoiceError(
                f"a prompt of {len(prompt)} tokens and max_new_tokens {sampling.max_new_tokens} are more than the "
                f"base's {positions} positions; use fewer reference_clips"
            )
        runaway = int(RUNAWAY * expected_tokens(conditioning, piece.text) + 7 * RATE / 2048)
        first = base.options.first_frames if number == 0 else None  # nobody waits for a later sentence
        decoder = FrameDecoder(base.codec, base.layout, _seed_of(seed, number), first)
        tail = np.zeros(0, dtype=np.float32)
        for frame, ending in sample_frames(tokens, base.layout, prompt, sampling, runaway, _seed_of(seed, number)):
            sound = decoder.push(frame) if ending is None else decoder.flush()
            if sound is not None:
                tail = np.concatenate([tail, sound])[-TAIL:]
            if ending is not None:
                # The pause belongs to this utterance's last piece: pieces of a stream join without gaps.
                sound = np.concatenate([_or_empty(sound), missing_pause(tail, RATE, piece.pause)])
            if sound is not None:
                yield Audio(sound, RATE, ending)


def _or_empty(sound: Waveform | None) -> Waveform:
    return np.zeros(0, dtype=np.float32) if sound is None else sound


def _seed_of(seed: int, number: int) -> int:
    # Each sentence draws anew, and the first of a long text draws as it would alone.
    return seed + 1_000_003 * number
