"""Time every stage of IndexTTS2 at its published size with random weights: seconds, real-time factor, share.

    python benchmarks/indextts2_stages.py --seconds 5

Encoding a clip and speaking a segment are listed separately. Three choices are compared with their alternative in the
same run: w2v-BERT up to layer 17 with all 24 layers, a KV cache for the codes with none, and 10 flow steps with 25.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertModel

from vtune_indextts2.config import read_config
from vtune_indextts2.gpt.code_decoder import CodeDecoder, latents, sample_codes
from vtune_indextts2.gpt.code_sampling import CodeSampling, DecodingRules
from vtune_indextts2.gpt.conditioning import ConditioningEncoder
from vtune_indextts2.gpt.network import SemanticGPT, SemanticGPTConfig
from vtune_indextts2.s2mel.length_regulator import target_frames
from vtune_indextts2.s2mel.network import S2Mel
from vtune_indextts2.semantic.codec import SemanticCodec
from vtune_indextts2.semantic.features import SemanticEncoder
from vtune_indextts2.speaker.campplus import CAMPPlus
from vtune_indextts2.vocoder.bigvgan import BigVGAN
from vtune_indextts2.vocoder.settings import BigVGANSettings
from vtune_indextts2.waveform.filterbank import centred_filter_bank
from vtune_indextts2.waveform.mel import log_mel
from vtune_indextts2.waveform.resampling import resample

VOCODER = {
    "resblock": "1", "upsample_rates": [4, 4, 2, 2, 2, 2], "upsample_kernel_sizes": [8, 8, 4, 4, 4, 4],
    "upsample_initial_channel": 1536, "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5]] * 3, "use_tanh_at_final": False, "use_bias_at_final": False,
    "activation": "snakebeta", "snake_logscale": True, "num_mels": 80, "sampling_rate": 22_050, "hop_size": 256,
}  # fmt: skip
RECORDING_RATE_HZ = 44_100
REFERENCE_SECONDS = 6.0
"""Length of the reference recording in seconds."""


class Clock:
    """Times stages and prints them as a table."""

    def __init__(self, device: torch.device, seconds: float) -> None:
        self._device = device
        self._seconds = seconds
        self._rows: list[tuple[str, float]] = []

    def time(self, stage: str, work: Callable[[], Any], repeats: int = 1) -> Any:
        """Run once to warm up if that is cheap, then return the best of ``repeats`` runs."""
        best, result = float("inf"), None
        for _ in range(repeats):
            began = time.perf_counter()
            result = work()
            if self._device.type == "cuda":
                torch.cuda.synchronize()
            best = min(best, time.perf_counter() - began)
        self._rows.append((stage, best))
        return result

    def report(self, title: str) -> None:
        """Print the stages that were timed since the last report."""
        total = sum(took for _, took in self._rows)
        print(f"\n{title}: {self._seconds:g} s of sound in {total:.2f} s, {total / self._seconds:.2f} s a second")
        for stage, took in self._rows:
            print(f"  {stage:34s} {took:8.3f} s  {took / self._seconds:7.3f} s a second  {100 * took / total:5.1f} %")
        self._rows = []


def main() -> None:
    """Print tables."""
    asked = arguments()
    device = torch.device(asked.device)
    torch.manual_seed(0)
    with torch.inference_mode():
        listen(device, asked.seconds, asked.repeats)
        speak(device, asked.seconds, asked.repeats)


def listen(device: torch.device, seconds: float, repeats: int) -> None:
    """Time the stages that encode a clip and describe a speaker."""
    config = read_config(Path(__file__).with_name("indextts2.yaml"))
    sound = torch.from_numpy(
        np.random.default_rng(0).normal(0, 0.1, int(seconds * RECORDING_RATE_HZ)).astype(np.float32)
    )
    clock = Clock(device, seconds)
    low = clock.time("resampling to 16 kHz", lambda: resample(sound, RECORDING_RATE_HZ, 16_000), repeats)
    high = clock.time("resampling to 22.05 kHz", lambda: resample(sound, RECORDING_RATE_HZ, 22_050), repeats)
    encoder = semantic_encoder(17, device)
    features = clock.time("w2v-BERT, 17 layers", lambda: encoder.encode(low), repeats)
    codec = placed(SemanticCodec(**config.semantic_codec.model_dump()), device)
    clock.time("semantic codec", lambda: codec.quantize(features), repeats)
    conditioning = placed(ConditioningEncoder(config.gpt), device)
    clock.time("speaker latents", lambda: conditioning.speaker(features), repeats)
    clock.time("emotion vector", lambda: conditioning.emotion(features), repeats)
    speaker = placed(CAMPPlus(), device)
    clock.time("mel (of a reference)", lambda: log_mel(high[None]), repeats)
    clock.time("CAMPPlus (of a reference)", lambda: speaker(centred_filter_bank(low)[None].to(device)), repeats)
    clock.report("listening")
    full_encoder = semantic_encoder(24, device)
    clock.time("w2v-BERT, 24 layers", lambda: full_encoder.encode(low), repeats)
    clock.report("instead")


def speak(device: torch.device, seconds: float, repeats: int) -> None:
    """Time the stages that speak one segment."""
    config = read_config(Path(__file__).with_name("indextts2.yaml"))
    clock = Clock(device, seconds)
    count, text = int(50 * seconds), list(range(3, 3 + int(4 * seconds)))
    settings = SemanticGPTConfig(settings=config.gpt.model_dump())
    with torch.device(device):
        network = SemanticGPT(settings).eval()
    given = torch.randn(1, 32, config.gpt.model_dim, device=device)
    # A stop code that never comes: every run says the same number of codes.
    rules = DecodingRules(stop=-1, limit=count, never=[config.gpt.stop_mel_token, config.gpt.start_mel_token])
    sampling = CodeSampling()
    start = clock.time("GPT, prompt", lambda: CodeDecoder(network, given, text, 0), repeats)
    codes, _ = clock.time(f"GPT, {count} codes", lambda: sample_codes(start, sampling, rules, 0))
    hidden_states = clock.time("GPT, latents", lambda: latents(network, given, text, codes), repeats)
    s2mel = placed(S2Mel(config.s2mel, config.latent_dims), device)
    frames, prompt = torch.tensor([target_frames(count)], device=device), int(REFERENCE_SECONDS * 22_050 / 256)
    content = clock.time("projection of the latents", lambda: s2mel.project(hidden_states), repeats)
    target = clock.time("length regulator", lambda: s2mel.condition(content, frames), repeats)
    mu = torch.cat([torch.randn(1, prompt, target.shape[2], device=device), target], dim=1)
    ref_mel, style = torch.randn(1, 80, prompt, device=device), torch.randn(1, 192, device=device)
    noise = torch.randn(1, 80, mu.shape[1], device=device)
    mel = clock.time("flow, 25 steps", lambda: s2mel.flow(mu, ref_mel, style, noise, 25, 0.7))
    vocoder = placed(BigVGAN(BigVGANSettings.read(json.loads(json.dumps(VOCODER)), "benchmark")), device)
    clock.time("BigVGAN", lambda: vocoder(mel[:, :, prompt:]), repeats)
    clock.report("speaking")
    clock.time("flow, 10 steps", lambda: s2mel.flow(mu, ref_mel, style, noise, 10, 0.7))
    few = min(count, 50)
    clock.time(f"GPT, {few} codes without a cache", lambda: recomputed(network, given, text, few))
    again = CodeDecoder(network, given, text, 0)
    few_rules = DecodingRules(stop=-1, limit=few, never=rules.never)
    clock.time(f"GPT, {few} codes with it", lambda: sample_codes(again, sampling, few_rules, 0))
    clock.report("instead")


def recomputed(network: SemanticGPT, given: torch.Tensor, text: list[int], count: int) -> list[int]:
    """Sample codes without a KV cache: the whole row is computed for each code."""
    codes: list[int] = [0]
    while len(codes) < count:
        hidden = latents(network, given, text, codes)
        codes.append(int(network.mel_head(hidden[:, -1]).argmax()) % 8192)
    return codes


def semantic_encoder(layers: int, device: torch.device) -> SemanticEncoder:
    """Build w2v-BERT with the published width."""
    model = placed(Wav2Vec2BertModel(Wav2Vec2BertConfig(num_hidden_layers=layers)), device)
    return SemanticEncoder(model, torch.zeros(1024), torch.ones(1024), SeamlessM4TFeatureExtractor(padding_value=1))


def placed(network: nn.Module, device: torch.device) -> Any:
    """Move a network to the device that is measured."""
    return network.to(device).eval().requires_grad_(False)


def arguments() -> Any:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of the clip and of the segment")
    parser.add_argument(
        "--repeats", type=int, default=2, help="number of runs, of which the fastest counts; codes and flow run once"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


if __name__ == "__main__":
    main()
