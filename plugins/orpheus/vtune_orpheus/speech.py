"""Text to sound: sentence by sentence, frame by frame, or several texts at once."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vtune import Audio, Conditioning, VoiceError, Waveform
from vtune_orpheus.chorus import Chorus, Wanted, draw_all
from vtune_orpheus.conditioning import expected_tokens, prompt_of
from vtune_orpheus.decoding import FrameDecoder
from vtune_orpheus.sampling import Sampling, Tokens, most_tokens, sample_frames
from vtune_orpheus.steps import steps_of
from vtune_orpheus.texts import missing_pause, split_text

if TYPE_CHECKING:
    from torch import nn

    from vtune_orpheus.base import OrpheusBase
    from vtune_orpheus.options import OrpheusOptions

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
    """Yield sound at 24 kHz as frames are ready; see ``vtune.contract.hookspecs.synthesize``.

    :param tokens: draws them, from whatever network.
    :raises VoiceError: the prompt does not fit into the network's positions.
    """
    options = base.options.model_copy(update=dict(asked))
    sampling = Sampling.of(options)
    for number, one in enumerate(_utterances(base, text, conditioning, seed, options)):
        first = options.first_frames if number == 0 else None  # nobody waits for a later sentence
        decoder = FrameDecoder(base.codec, base.layout, one.seed, first)
        tail = np.zeros(0, dtype=np.float32)
        for frame, ending in sample_frames(tokens, base.layout, one.prompt, sampling, one.runaway, one.seed):
            sound = decoder.push(frame) if ending is None else decoder.flush()
            if sound is not None:
                tail = np.concatenate([tail, sound])[-TAIL:]
            if ending is not None:
                # The pause belongs to this utterance's last piece: pieces of a stream join without gaps.
                sound = np.concatenate([_or_empty(sound), missing_pause(tail, RATE, one.pause)])
            if sound is not None:
                yield Audio(sound, RATE, ending)


def speak_together(
    base: OrpheusBase,
    model: nn.Module,
    lines: Sequence[tuple[str, int]],
    conditioning: Conditioning,
    asked: Mapping[str, Any],
) -> Iterator[tuple[int, list[Audio]]]:
    """Yield the places of texts as they are done, each with its sound, as the hook ``synthesize_together`` does.

    Nobody listens before a sentence is whole, so the codec decodes it in one go.

    :raises VoiceError: a prompt does not fit into the network's positions.
    """
    options = base.options.model_copy(update=dict(asked))
    sampling = Sampling.of(options)
    texts = [list(_utterances(base, text, conditioning, seed, options)) for text, seed in lines]
    places = [place for place, several in enumerate(texts) for _ in several]
    every = [one for several in texts for one in several]
    wanted = [Wanted(one.prompt, most_tokens(sampling, one.runaway), one.seed, sampling) for one in every]
    sounds: list[dict[int, Audio]] = [{} for _ in lines]
    for number, tokens in draw_all(Chorus(steps_of(model), base.layout), wanted):
        place = places[number]
        sounds[place][number] = _whole(base, every[number], sampling, tokens)
        if len(sounds[place]) == len(texts[place]):
            yield place, [sound for _, sound in sorted(sounds[place].items())]


@dataclass(frozen=True, slots=True)
class _Utterance:
    """One piece of a text, ready to be drawn.

    :param runaway: tokens after which no honest reading of it goes on.
    :param pause: seconds of quiet behind it.
    """

    prompt: list[int]
    seed: int
    runaway: int
    pause: float


def _utterances(
    base: OrpheusBase, text: str, conditioning: Conditioning, seed: int, options: OrpheusOptions
) -> Iterator[_Utterance]:
    positions = int(base.config.max_position_embeddings)
    for number, piece in enumerate(split_text(text, options.max_chars)):
        prompt = prompt_of(base, conditioning, piece.text)
        if len(prompt) + options.max_new_tokens > positions:
            raise VoiceError(
                f"a prompt of {len(prompt)} tokens and max_new_tokens {options.max_new_tokens} are more than the "
                f"base's {positions} positions; use fewer reference_clips"
            )
        runaway = int(RUNAWAY * expected_tokens(conditioning, piece.text) + 7 * RATE / 2048)
        # Each sentence draws anew, and the first of a long text draws as it would alone.
        yield _Utterance(prompt, seed + 1_000_003 * number, runaway, piece.pause)


def _whole(base: OrpheusBase, one: _Utterance, sampling: Sampling, drawn: Sequence[int]) -> Audio:
    """Decode what was drawn for an utterance in one go."""

    def again(*_: Any) -> Generator[int, None, None]:
        yield from drawn

    *frames, (_, ending) = sample_frames(again, base.layout, one.prompt, sampling, one.runaway, one.seed)
    decoder = FrameDecoder(base.codec, base.layout, one.seed)
    for frame, _ in frames:
        decoder.add(frame)
    sound = decoder.flush()
    return Audio(np.concatenate([sound, missing_pause(sound[-TAIL:], RATE, one.pause)]), RATE, ending)


def _or_empty(sound: Waveform | None) -> Waveform:
    return np.zeros(0, dtype=np.float32) if sound is None else sound
