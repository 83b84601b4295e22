"""Speak text segment by segment: text to codes, codes to latents, latents to mel, mel to a waveform."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from vtune import Audio, Conditioning, Ending, VoiceError
from vtune.toolkit import PAUSE_SECONDS
from vtune_indextts2.gpt.beam_search import search_codes
from vtune_indextts2.gpt.code_decoder import CodeDecoder, sample_codes
from vtune_indextts2.gpt.code_sampling import CodeSampling, DecodingRules
from vtune_indextts2.gpt.network import SemanticGPT
from vtune_indextts2.speaker_reference import SpeakerPrompt, pace_of, speaker_of

if TYPE_CHECKING:
    from vtune_indextts2.base import IndexTTS2Base
    from vtune_indextts2.options import IndexTTS2Options

logger = logging.getLogger(__name__)

RUNAWAY_FACTOR = 3.0
"""A segment that is this many times longer than the voice's pace predicts, plus a second, has run away."""

ENGINE_NAMES = ("wetext", "basic")
"""Text engines that the option ``normaliser`` can choose."""


def speak(
    base: IndexTTS2Base,
    model: nn.Module,
    text: str,
    conditioning: Conditioning,
    seed: int,
    sampling: Mapping[str, Any],
) -> Iterator[Audio]:
    """Yield each segment's sound, at the vocoder's rate, with the pause after it; see the hook ``synthesize``.

    :raises VoiceError: the text has no words, the voice is of another release, or it was trained with a normaliser that
        is not installed.
    :raises EngineError: the text does not fit the language, or the release does not have an option.
    """
    options, rate = base.options.model_copy(update=dict(sampling)), base.config.mel.sample_rate
    base.release.check(options)
    _require_release(base, conditioning)
    tag = base.frontend.resolve(text, options.language, conditioning.strings.get("language"))
    require_normaliser(base, conditioning, tag)
    longest = min(options.segment_tokens, base.config.gpt.max_text_tokens)
    segments = base.frontend.spoken_segments(text, longest, options.quick_tokens, tag)
    if not any(segments):
        raise VoiceError(f"there is nothing to speak in {text!r}")
    while not segments[0]:
        segments.pop(0)
    while not segments[-1]:
        segments.pop()
    network, speaker = network_of(model), speaker_of(base, conditioning, options, tag, seed)
    content, pace = base.release.content(base, network, speaker, conditioning, options), pace_of(conditioning)
    pause = np.zeros(int(options.segment_pause * rate), dtype=np.float32)
    for number, ids in enumerate(segments, 1):
        if not ids:
            yield Audio(np.zeros(int(PAUSE_SECONDS * rate), dtype=np.float32), rate)
            continue
        runaway = int((RUNAWAY_FACTOR * len(ids) * pace + 1) * base.semantic_rate)
        codes, ending = generate_codes(base, network, speaker, ids, runaway, _seed_of(seed, number), options)
        sound = content_to_waveform(base, speaker, *content(ids, codes), _seed_of(seed, number), options)
        yield Audio(sound if number == len(segments) else np.concatenate([sound, pause]), rate, ending)


def generate_codes(
    base: IndexTTS2Base, network: SemanticGPT, speaker: SpeakerPrompt, ids: Sequence[int], runaway: int, seed: int,
    options: IndexTTS2Options,
) -> tuple[list[int], Ending]:  # fmt: skip
    """Generate the codes of one segment; return them with the reason for the end.

    :param runaway: a segment with more codes than this cannot be a reading of its text.
    """
    settings = network.settings
    code_sampling = CodeSampling(
        options.temperature, options.top_k, options.top_p, options.repetition_penalty, options.penalty_history,
        options.mel_pos_offset, options.beams, options.length_penalty,
    )  # fmt: skip
    prompt = speaker.conditioning.to(network.mel_embedding.weight.device)
    start = CodeDecoder(network, prompt, ids, code_sampling.mel_pos_offset, code_sampling.beams, speaker.language)
    longest = min(options.max_codes, settings.mel_positions - 1 - code_sampling.mel_pos_offset)
    rules = DecodingRules(
        settings.stop_mel_token,
        min(longest, runaway),
        code_sampling.history(settings, start.length),
        never=[code for code in range(base.config.semantic_codec.codebook_size, settings.number_mel_codes)
               if code != settings.stop_mel_token],
    )  # fmt: skip
    codes, stopped = (search_codes if code_sampling.beams > 1 else sample_codes)(start, code_sampling, rules, seed)
    if stopped:
        return codes, Ending.END_TOKEN
    return codes, Ending.RUNAWAY if runaway < longest else Ending.LIMIT


def content_to_waveform(
    base: IndexTTS2Base, speaker: SpeakerPrompt, content: torch.Tensor, frames: int, seed: int,
    options: IndexTTS2Options,
) -> np.ndarray:  # fmt: skip
    """Turn the content ``[1 x steps x H]`` of one segment into its waveform, float32 ``[samples]`` in [-1, 1].

    :param frames: the number of mel frames that the segment is spoken in.
    """
    device, prompt = base.frozen_device, speaker.flow_prompt
    target = base.s2mel.condition(content, torch.tensor([max(frames, 1)], device=device))
    mu = torch.cat([prompt.prompt_condition, target], dim=1)
    shape = (1, base.config.mel.bins, mu.shape[1])
    # Sampled on the CPU, so that a seed gives the same noise on every device.
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device)
    mel = base.s2mel.flow(mu, prompt.ref_mel, prompt.style, noise, options.flow_steps, options.guidance)
    waveform = base.vocoder(mel[:, :, prompt.ref_mel.shape[-1] :])
    sound: np.ndarray = waveform[0, 0].float().cpu().numpy()
    return sound


def network_of(model: nn.Module) -> SemanticGPT:
    """Return the GPT inside a PeftModel, or a GPT without an adapter as it is."""
    from peft import PeftModel

    network = model.get_base_model() if isinstance(model, PeftModel) else model
    assert isinstance(network, SemanticGPT)
    return network


def _require_release(base: IndexTTS2Base, conditioning: Conditioning) -> None:
    made_with, here = conditioning.strings.get("release"), base.config.title
    if made_with not in {None, here}:
        raise VoiceError(
            f"the voice was made with {made_with}, but the base is of {here}; use the base it was made with"
        )


def require_normaliser(base: IndexTTS2Base, conditioning: Conditioning, tag: str = "") -> None:
    """Check that text is normalised here as it was when the voice was trained.

    :param tag: the language that is spoken; only that of the voice is compared.
    :raises VoiceError: another program normalises text here, and no option allows that.
    """
    trained = conditioning.strings.get("normaliser", "")
    if not trained or tag != conditioning.strings.get("language", ""):
        return
    here = base.frontend.identity(tag)
    if here == trained:
        return
    difference = (
        f"the voice was trained with the normaliser {trained}, here it is {here}: numbers may be read differently"
    )
    names = (here.split()[0], trained.split()[0])
    if names[0] != names[1] and names[0] in ENGINE_NAMES and base.options.normaliser == "auto":
        advice = (
            "install vtune-tts with the extra 'indextts2'" if trained.startswith("wetext") else "set normaliser=basic"
        )
        raise VoiceError(f"{difference}; {advice}, or set engine option normaliser={names[0]} to speak anyway")
    logger.warning("%s", difference)


def _seed_of(seed: int, number: int) -> int:
    # Each segment has its own seed, and the first segment of a long text sounds as it would alone.
    return seed + 1_000_003 * (number - 1)
