"""Text to sound, segment by segment: codes, latents, mel, waveform."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from vtune import Audio, Conditioning, Ending, VoiceError
from vtune.toolkit import PAUSE_SECONDS
from vtune_indextts2.gpt.beams import search_codes
from vtune_indextts2.gpt.decoding import Continuation, draw_codes, latents
from vtune_indextts2.gpt.network import SemanticGPT
from vtune_indextts2.gpt.sampling import Rules, Sampling
from vtune_indextts2.reference import CodeTable, Speaker, code_table, pace_of, speaker_of
from vtune_indextts2.s2mel.regulator import target_frames

if TYPE_CHECKING:
    from vtune_indextts2.base import IndexTTS2Base
    from vtune_indextts2.options import IndexTTS2Options

logger = logging.getLogger(__name__)

RUNAWAY = 3.0
"""A segment this many times longer than the voice's pace gives, with a second to spare, is no reading any more."""


def speak(
    base: IndexTTS2Base,
    model: nn.Module,
    text: str,
    conditioning: Conditioning,
    seed: int,
    asked: Mapping[str, Any],
) -> Iterator[Audio]:
    """Yield each segment's sound, at the vocoder's rate, with the pause behind it, as the hook ``synthesize`` does.

    :raises VoiceError: the text has nothing to say, or the voice was trained with a normaliser that is not here.
    """
    require_normaliser(base, conditioning)
    options, rate = base.options.model_copy(update=dict(asked)), base.config.mel.sample_rate
    longest = min(options.segment_tokens, base.config.gpt.max_text_tokens)
    segments = base.frontend.spoken_segments(text, longest, options.quick_tokens)
    if not any(segments):
        raise VoiceError(f"there is nothing to speak in {text!r}")
    while not segments[0]:
        segments.pop(0)
    while not segments[-1]:
        segments.pop()
    speaker, table = speaker_of(base, conditioning, options), code_table(base, conditioning)
    pace = pace_of(conditioning)
    network = _network_of(model)
    pause = np.zeros(int(options.segment_pause * rate), dtype=np.float32)
    for number, ids in enumerate(segments, 1):
        if not ids:
            yield Audio(np.zeros(int(PAUSE_SECONDS * rate), dtype=np.float32), rate)
            continue
        runaway = int((RUNAWAY * len(ids) * pace + 1) * base.semantic_rate)
        codes, ending = say_codes(base, network, speaker, ids, runaway, _seed_of(seed, number), options)
        sound = voice_codes(base, network, speaker, table, ids, codes, _seed_of(seed, number), options)
        yield Audio(sound if number == len(segments) else np.concatenate([sound, pause]), rate, ending)


def say_codes(
    base: IndexTTS2Base, network: SemanticGPT, speaker: Speaker, ids: Sequence[int], runaway: int, seed: int,
    options: IndexTTS2Options,
) -> tuple[list[int], Ending]:  # fmt: skip
    """Draw the codes of one segment.

    :param runaway: codes after which no honest reading goes on.
    """
    settings = network.settings
    sampling = Sampling(
        options.temperature, options.top_k, options.top_p, options.repetition_penalty, options.penalty_history,
        options.mel_pos_offset, options.beams, options.length_penalty,
    )  # fmt: skip
    given = speaker.conditioning.to(network.mel_embedding.weight.device)
    start = Continuation(network, given, ids, sampling.mel_pos_offset, sampling.beams)
    longest = min(options.max_codes, settings.mel_positions - 1 - sampling.mel_pos_offset)
    rules = Rules(
        settings.stop_mel_token,
        min(longest, runaway),
        sampling.history(settings, start.length),
        never=[code for code in range(base.config.semantic_codec.codebook_size, settings.number_mel_codes)
               if code != settings.stop_mel_token],
    )  # fmt: skip
    codes, stopped = (search_codes if sampling.beams > 1 else draw_codes)(start, sampling, rules, seed)
    if stopped:
        return codes, Ending.END_TOKEN
    return codes, Ending.RUNAWAY if runaway < longest else Ending.LIMIT


def voice_codes(
    base: IndexTTS2Base, network: SemanticGPT, speaker: Speaker, table: CodeTable, ids: Sequence[int],
    codes: Sequence[int], seed: int, options: IndexTTS2Options,
) -> np.ndarray:  # fmt: skip
    """Turn the codes of one segment into its waveform, float32 ``[samples]`` in [-1, 1]."""
    where, portrait = base.frozen_device, speaker.portrait
    said = latents(network, speaker.conditioning.to(network.mel_embedding.weight.device), ids, codes)
    content = table.lookup(torch.tensor([codes], device=where)) + base.s2mel.project(said.float().to(where))
    frames = max(target_frames(len(codes)), 1)
    target = base.s2mel.condition(content, torch.tensor([frames], device=where))
    mu = torch.cat([portrait.prompt_condition, target], dim=1)
    shape = (1, base.config.mel.bins, mu.shape[1])
    # Drawn on the CPU, so that a seed means the same on every device.
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(where)
    mel = base.s2mel.flow(mu, portrait.ref_mel, portrait.style, noise, options.flow_steps, options.guidance)
    waveform = base.vocoder(mel[:, :, portrait.ref_mel.shape[-1] :])
    sound: np.ndarray = waveform[0, 0].float().cpu().numpy()
    return sound


def _network_of(model: nn.Module) -> SemanticGPT:
    from peft import PeftModel

    network = model.get_base_model() if isinstance(model, PeftModel) else model
    assert isinstance(network, SemanticGPT)
    return network


def require_normaliser(base: IndexTTS2Base, conditioning: Conditioning) -> None:
    """Compare what writes out numbers here and where the voice was trained.

    :raises VoiceError: they are different programs, and nobody asked for that.
    """
    here, there = base.frontend.engine.identity, conditioning.strings.get("normaliser", "")
    if not there or here == there:
        return
    said = f"the voice was trained with the normaliser {there}, here it is {here}: numbers may be read otherwise"
    if here.split()[0] != there.split()[0] and base.options.normaliser == "auto":
        wanted = (
            "install vtune-tts with the extra 'indextts2'" if there.startswith("wetext") else "set normaliser=basic"
        )
        raise VoiceError(f"{said}; {wanted}, or set engine option normaliser={here.split()[0]} to speak anyway")
    logger.warning("%s", said)


def _seed_of(seed: int, number: int) -> int:
    # Each segment draws anew, and the first of a long text draws as it would alone.
    return seed + 1_000_003 * (number - 1)
