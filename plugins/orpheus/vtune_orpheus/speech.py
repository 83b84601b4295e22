"""Speak text: sentence by sentence and frame by frame as a stream, or several texts at the same time."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vtune import Audio, Conditioning, VoiceError, Waveform
from vtune_orpheus.conditioning import expected_tokens, prompt_of
from vtune_orpheus.decode_batch import DecodeBatch, DecodeRequest, decode_all
from vtune_orpheus.frame_decoder import FrameDecoder
from vtune_orpheus.layout import SLOTS
from vtune_orpheus.sampling import OrpheusSampling, SoundTokens, max_tokens, sample_frames
from vtune_orpheus.steppers import make_stepper
from vtune_orpheus.text_splitting import missing_pause, split_text

if TYPE_CHECKING:
    from torch import nn

    from vtune_orpheus.base import OrpheusBase
    from vtune_orpheus.options import OrpheusOptions

SAMPLE_RATE = 24_000
TAIL_SAMPLES = SAMPLE_RATE
"""The end of the spoken sound that is kept to measure the pause it ends with: one second."""

RUNAWAY_FACTOR = 3.0
"""An utterance that is this many times longer than the voice's pace predicts, plus a second, has run away."""

TOKENS_PER_SECOND = SLOTS * SAMPLE_RATE / 2048


def speak(
    base: OrpheusBase,
    tokens: SoundTokens,
    text: str,
    conditioning: Conditioning,
    seed: int,
    sampling: Mapping[str, Any],
) -> Iterator[Audio]:
    """Yield sound at 24 kHz as soon as frames are ready; see ``vtune.contract.hookspecs.synthesize``.

    :param tokens: samples the tokens from a network or a server.
    :raises VoiceError: the prompt does not fit into the network's positions.
    """
    options = base.options.model_copy(update=dict(sampling))
    settings = OrpheusSampling.of(options)
    for number, utterance in enumerate(_utterances(base, text, conditioning, seed, options)):
        first_frames = options.first_frames if number == 0 else None  # nobody waits for a later sentence
        decoder = FrameDecoder(base.codec, base.layout, utterance.seed, first_frames)
        tail = np.zeros(0, dtype=np.float32)
        frames = sample_frames(
            tokens, base.layout, utterance.prompt, settings, utterance.runaway_tokens, utterance.seed
        )
        for frame, ending in frames:
            sound = decoder.push(frame) if ending is None else decoder.flush()
            if sound is not None:
                tail = np.concatenate([tail, sound])[-TAIL_SAMPLES:]
            if ending is not None:
                # The pause belongs to the last piece of this utterance: pieces of a stream join without gaps.
                sound = np.concatenate([_or_empty(sound), missing_pause(tail, SAMPLE_RATE, utterance.pause)])
            if sound is not None:
                yield Audio(sound, SAMPLE_RATE, ending)


def speak_together(
    base: OrpheusBase,
    model: nn.Module,
    lines: Sequence[tuple[str, int]],
    conditioning: Conditioning,
    sampling: Mapping[str, Any],
) -> Iterator[tuple[int, list[Audio]]]:
    """Yield the index and the sound of each text when it is done; see the hook ``synthesize_together``.

    Nobody listens before a sentence is whole, so the codec decodes each sentence in one call.

    :param lines: texts with their seeds.
    :raises VoiceError: a prompt does not fit into the network's positions.
    """
    options = base.options.model_copy(update=dict(sampling))
    settings = OrpheusSampling.of(options)
    texts = [list(_utterances(base, text, conditioning, seed, options)) for text, seed in lines]
    utterances = [utterance for text in texts for utterance in text]
    line_of_utterance = [line for line, text in enumerate(texts) for _ in text]
    requests = [
        DecodeRequest(item.prompt, max_tokens(settings, item.runaway_tokens), item.seed, settings)
        for item in utterances
    ]
    sounds: list[dict[int, Audio]] = [{} for _ in lines]
    for number, tokens in decode_all(DecodeBatch(make_stepper(model), base.layout), requests):
        line = line_of_utterance[number]
        sounds[line][number] = _decode_whole(base, utterances[number], settings, tokens)
        if len(sounds[line]) == len(texts[line]):
            yield line, [sound for _, sound in sorted(sounds[line].items())]


@dataclass(frozen=True, slots=True)
class _PromptedUtterance:
    """One piece of a text with its prompt.

    :param runaway_tokens: an utterance with more tokens than this cannot be a reading of the text.
    :param pause: seconds of silence after it.
    """

    prompt: list[int]
    seed: int
    runaway_tokens: int
    pause: float


def _utterances(
    base: OrpheusBase, text: str, conditioning: Conditioning, seed: int, options: OrpheusOptions
) -> Iterator[_PromptedUtterance]:
    positions = int(base.config.max_position_embeddings)
    for number, piece in enumerate(split_text(text, options.max_chars)):
        prompt = prompt_of(base, conditioning, piece.text)
        if len(prompt) + options.max_new_tokens > positions:
            raise VoiceError(
                f"a prompt of {len(prompt)} tokens and max_new_tokens {options.max_new_tokens} are more than the "
                f"base's {positions} positions; use fewer reference_clips or a smaller max_new_tokens"
            )
        runaway_tokens = int(RUNAWAY_FACTOR * expected_tokens(conditioning, piece.text) + TOKENS_PER_SECOND)
        # Each sentence has its own seed, and the first sentence of a long text sounds as it would alone.
        yield _PromptedUtterance(prompt, seed + 1_000_003 * number, runaway_tokens, piece.pause)


def _decode_whole(
    base: OrpheusBase, utterance: _PromptedUtterance, sampling: OrpheusSampling, tokens: Sequence[int]
) -> Audio:
    """Decode the tokens of one utterance in one call of the codec."""

    def replay(*_: Any) -> Generator[int, None, None]:
        yield from tokens

    *frames, (_, ending) = sample_frames(
        replay, base.layout, utterance.prompt, sampling, utterance.runaway_tokens, utterance.seed
    )
    decoder = FrameDecoder(base.codec, base.layout, utterance.seed)
    for frame, _ in frames:
        decoder.add(frame)
    sound = decoder.flush()
    pause = missing_pause(sound[-TAIL_SAMPLES:], SAMPLE_RATE, utterance.pause)
    return Audio(np.concatenate([sound, pause]), SAMPLE_RATE, ending)


def _or_empty(sound: Waveform | None) -> Waveform:
    return np.zeros(0, dtype=np.float32) if sound is None else sound
