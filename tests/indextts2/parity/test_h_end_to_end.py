"""The whole chain against the reference: from a recording and fixed codes to a waveform, every step compared."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertModel

from vtune_indextts2.gpt import conditioning
from vtune_indextts2.gpt.code_decoder import latents
from vtune_indextts2.gpt.conditioning import ConditioningEncoder
from vtune_indextts2.gpt.network import SemanticGPT, SemanticGPTConfig
from vtune_indextts2.gpt.settings import GPTSettings
from vtune_indextts2.s2mel.network import S2Mel
from vtune_indextts2.s2mel.settings import S2MelSettings
from vtune_indextts2.semantic import codec as codec_module
from vtune_indextts2.semantic.codec import SemanticCodec
from vtune_indextts2.semantic.features import SemanticEncoder
from vtune_indextts2.speaker.campplus import CAMPPlus
from vtune_indextts2.state_dicts import fold_weight_norm, load_strictly
from vtune_indextts2.vocoder import bigvgan
from vtune_indextts2.vocoder.bigvgan import BigVGAN
from vtune_indextts2.vocoder.settings import BigVGANSettings
from vtune_indextts2.waveform.filterbank import SAMPLE_RATE, centred_filter_bank
from vtune_indextts2.waveform.mel import log_mel
from vtune_indextts2.waveform.resampling import resample


class Chain:
    """Every part of the chain, filled from the kit by the loader."""

    def __init__(self, stage: Any) -> None:
        config = stage.config
        gpt = GPTSettings.model_validate(config["gpt"])
        tensors = {part: fold_weight_norm(stage.weights(part)) for part in stage.json["weights"]}
        sizes = {
            name: v for name, v in config["w2vbert"].items() if name not in {"hidden_state_index", "padding_value"}
        }
        layers = config["w2vbert"]["hidden_state_index"]
        model = Wav2Vec2BertModel(Wav2Vec2BertConfig(**{**sizes, "num_hidden_layers": layers}))
        above = [f"encoder.layers.{layer}.*" for layer in range(layers, sizes["num_hidden_layers"])]
        filled(model, tensors["w2vbert"], tuple(above))
        extractor = SeamlessM4TFeatureExtractor(padding_value=config["w2vbert"]["padding_value"])
        statistics = tensors["w2v_stats"]
        self.semantic = SemanticEncoder(model, statistics["mean"], statistics["var"], extractor)
        self.codec = filled(SemanticCodec(**config["codec"]), tensors["codec"], codec_module.UNUSED_ENTRIES)
        encoders = {n: t for n, t in tensors["gpt"].items() if n.startswith(conditioning.CONDITIONING_PREFIXES)}
        self.encoder = filled(ConditioningEncoder(gpt), encoders, conditioning.UNUSED_ENTRIES)
        own = {n: t for n, t in tensors["gpt"].items() if n not in encoders}
        self.network = filled(SemanticGPT(SemanticGPTConfig(settings=gpt.model_dump())), own)
        widths = [t.shape for name, t in tensors["s2mel"].items() if re.fullmatch(r"gpt_layer\.\d+\.weight", name)]
        dims = [widths[0][1], *(shape[0] for shape in widths)]
        s2mel = S2Mel(S2MelSettings.read(config["s2mel"], "the kit"), dims)
        self.s2mel = filled(s2mel, tensors["s2mel"], s2mel.unused)
        self.speaker = filled(CAMPPlus(**config.get("campplus", {})), tensors["campplus"])
        vocoder = BigVGAN(BigVGANSettings.read(config["bigvgan"], "the kit"))
        self.vocoder = filled(vocoder, tensors["bigvgan"], bigvgan.UNUSED_ENTRIES)


def filled(network: Any, tensors: dict[str, torch.Tensor], unused: tuple[str, ...] = ()) -> Any:
    assert not load_strictly(network, tensors, "the kit", unused)
    return network.eval().requires_grad_(False)


@torch.no_grad()
def test_a_recording_and_codes_become_the_same_waveform(kit: Callable[[str], Any]) -> None:
    stage = kit("h_end_to_end")
    chain = Chain(stage)
    for case in stage.json["cases"]:
        walk(stage, case, chain)


def walk(stage: Any, case: str, chain: Chain) -> None:
    config = stage.config
    rates = (config["bigvgan"]["sampling_rate"], SAMPLE_RATE)
    reference, text, codes = (stage.inp(case, name) for name in ("ref_wav_22k", "text", "codes"))
    wav_16k = resample(reference, *rates)
    stage.compare(case, "wav_16k", wav_16k)
    input_features, mask = chain.semantic.input_features(list(wav_16k))
    stage.compare(case, "input_features", input_features)
    features = chain.semantic.normalised(input_features, mask)
    stage.compare(case, "feat", features)
    ref_codes, embedding = chain.codec.quantize(features)
    stage.compare(case, "ref_codes", ref_codes)
    ref_mel = log_mel(reference)
    stage.compare(case, "ref_mel", ref_mel)
    style = chain.speaker(centred_filter_bank(wav_16k[0])[None])
    stage.compare(case, "style", style)
    prompt = chain.s2mel.condition(embedding, torch.tensor([ref_mel.shape[-1]]))
    stage.compare(case, "prompt_condition", prompt)
    condition, emotion = chain.encoder.speaker(features), chain.encoder.emotion(features)
    stage.compare(case, "cond", condition)
    stage.compare(case, "emo", emotion)
    latent = latents(chain.network, condition + emotion[:, None], text[0].tolist(), codes[0].tolist())
    stage.compare(case, "latent", latent)
    content = chain.codec.lookup(codes) + chain.s2mel.project(latent)
    target = chain.s2mel.condition(content, torch.tensor([int(config["frames_per_code"] * codes.shape[1])]))
    stage.compare(case, "target_condition", target)
    noise, steps, guidance = stage.inp(case, "noise"), config["flow_steps"], config["cfg_rate"]
    mel = chain.s2mel.flow(torch.cat([prompt, target], dim=1), ref_mel, style, noise, steps, guidance)
    mel = mel[:, :, ref_mel.shape[-1] :]
    stage.compare(case, "mel", mel)
    stage.compare(case, "wav", chain.vocoder(mel)[:, 0])
