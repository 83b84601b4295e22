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
from vtune_indextts2.gpt.code_decoder import CodeDecoder, latents, sample_codes
from vtune_indextts2.gpt.code_sampling import CodeSampling, DecodingRules
from vtune_indextts2.gpt.network import SemanticGPT
from vtune_indextts2.s2mel.length_regulator import target_frames
from vtune_indextts2.speaker_reference import CodeEmbeddings, SpeakerPrompt, code_embeddings_of, pace_of, speaker_of

if TYPE_CHECKING:
    from vtune_indextts2.base import IndexTTS2Base
    from vtune_indextts2.options import IndexTTS2Options

logger = logging.getLogger(__name__)

RUNAWAY_FACTOR = 3.0
"""A segment that is this many times longer than the voice's pace predicts, plus a second, has run away."""


def speak(
    base: IndexTTS2Base,
    model: nn.Module,
    text: str,
    conditioning: Conditioning,
    seed: int,
    sampling: Mapping[str, Any],
) -> Iterator[Audio]:
    """Yield each segment's sound, at the vocoder's rate, with the pause after it; see the hook ``synthesize``.

    :raises VoiceError: the text has no words, or the voice was trained with a normaliser that is not installed.
    """
    require_normaliser(base, conditioning)
    options, rate = base.options.model_copy(update=dict(sampling)), base.config.mel.sample_rate
    longest = min(options.segment_tokens, base.config.gpt.max_text_tokens)
    segments = base.frontend.spoken_segments(text, longest, options.quick_tokens)
    if not any(segments):
        raise VoiceError(f"there is nothing to speak in {text!r}")
    while not segments[0]:
        segments.pop(0)
    while not segments[-1]:
        segments.pop()
    speaker, table = speaker_of(base, conditioning, options), code_embeddings_of(base, conditioning)
    pace = pace_of(conditioning)
    network = _network_of(model)
    pause = np.zeros(int(options.segment_pause * rate), dtype=np.float32)
    for number, ids in enumerate(segments, 1):
        if not ids:
            yield Audio(np.zeros(int(PAUSE_SECONDS * rate), dtype=np.float32), rate)
            continue
        runaway = int((RUNAWAY_FACTOR * len(ids) * pace + 1) * base.semantic_rate)
        codes, ending = generate_codes(base, network, speaker, ids, runaway, _seed_of(seed, number), options)
        sound = codes_to_waveform(base, network, speaker, table, ids, codes, _seed_of(seed, number), options)
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
    latents_ = speaker.conditioning.to(network.mel_embedding.weight.device)
    start = CodeDecoder(network, latents_, ids, code_sampling.mel_pos_offset, code_sampling.beams)
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


def codes_to_waveform(
    base: IndexTTS2Base, network: SemanticGPT, speaker: SpeakerPrompt, table: CodeEmbeddings, ids: Sequence[int],
    codes: Sequence[int], seed: int, options: IndexTTS2Options,
) -> np.ndarray:  # fmt: skip
    """Turn the codes of one segment into its waveform, float32 ``[samples]`` in [-1, 1]."""
    device, prompt = base.frozen_device, speaker.flow_prompt
    hidden = latents(network, speaker.conditioning.to(network.mel_embedding.weight.device), ids, codes)
    content = table.lookup(torch.tensor([codes], device=device)) + base.s2mel.project(hidden.float().to(device))
    frames = max(target_frames(len(codes)), 1)
    target = base.s2mel.condition(content, torch.tensor([frames], device=device))
    mu = torch.cat([prompt.prompt_condition, target], dim=1)
    shape = (1, base.config.mel.bins, mu.shape[1])
    # Sampled on the CPU, so that a seed gives the same noise on every device.
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device)
    mel = base.s2mel.flow(mu, prompt.ref_mel, prompt.style, noise, options.flow_steps, options.guidance)
    waveform = base.vocoder(mel[:, :, prompt.ref_mel.shape[-1] :])
    sound: np.ndarray = waveform[0, 0].float().cpu().numpy()
    return sound


def _network_of(model: nn.Module) -> SemanticGPT:
    from peft import PeftModel

    network = model.get_base_model() if isinstance(model, PeftModel) else model
    assert isinstance(network, SemanticGPT)
    return network


def require_normaliser(base: IndexTTS2Base, conditioning: Conditioning) -> None:
    """Check that text is normalised here as it was when the voice was trained.

    :raises VoiceError: another program normalises text here, and no option allows that.
    """
    here, trained = base.frontend.engine.identity, conditioning.strings.get("normaliser", "")
    if not trained or here == trained:
        return
    difference = (
        f"the voice was trained with the normaliser {trained}, here it is {here}: numbers may be read differently"
    )
    if here.split()[0] != trained.split()[0] and base.options.normaliser == "auto":
        advice = (
            "install vtune-tts with the extra 'indextts2'" if trained.startswith("wetext") else "set normaliser=basic"
        )
        raise VoiceError(f"{difference}; {advice}, or set engine option normaliser={here.split()[0]} to speak anyway")
    logger.warning("%s", difference)


def _seed_of(seed: int, number: int) -> int:
    # Each segment has its own seed, and the first segment of a long text sounds as it would alone.
    return seed + 1_000_003 * (number - 1)
