"""Files to networks: each part of the chain in float32 and eval mode, frozen, strictly filled from its file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from vtune import EngineError
from vtune.runtime.untrusted import FileRefused, read_json_object, why
from vtune.toolkit import read_tensors
from vtune_indextts2.config import Config
from vtune_indextts2.gpt import conditioning
from vtune_indextts2.gpt.conditioning import EmotionEncoder
from vtune_indextts2.gpt.emotion import EmotionTable
from vtune_indextts2.gpt.network import SemanticGPT, SemanticGPTConfig
from vtune_indextts2.gpt.new_rows import with_new_rows
from vtune_indextts2.gpt.style_network import network_class
from vtune_indextts2.s2mel.network import S2Mel
from vtune_indextts2.semantic import codec
from vtune_indextts2.semantic.codec import SemanticCodec
from vtune_indextts2.semantic.half_rate_codec import HalfRateCodec
from vtune_indextts2.speaker.campplus import CAMPPlus
from vtune_indextts2.state_dicts import Tensors, flatten_state_dict, fold_weight_norm, load_strictly
from vtune_indextts2.vocoder import bigvgan
from vtune_indextts2.vocoder.bigvgan import BigVGAN
from vtune_indextts2.vocoder.settings import BigVGANSettings

Network = TypeVar("Network", bound=nn.Module)

UNUSED_GPT_ENTRIES = ("inference_model.*", "gpt.wte.weight", "*.lora_*")
"""Entries of a GPT checkpoint that saving an assembled or adapted model leaves behind."""


def gpt_tensors(path: Path) -> Tensors:
    """Read the whole GPT checkpoint by upstream's names, mapped into memory."""
    content = read_tensors(path)
    tensors = flatten_state_dict(
        content["model"] if isinstance(content, dict) and "model" in content else content, path
    )
    return {name.replace(".base_layer.", "."): tensor for name, tensor in tensors.items()}


def load_network(path: Path, config: Config, dropout: float, new_pieces: Sequence[Sequence[int]] = ()) -> SemanticGPT:
    """Load what LoRA adapts, float32 on the CPU.

    :param new_pieces: for each piece that was appended to the tokenizer, the ids that it had before.
    """
    settings = SemanticGPTConfig(settings=config.gpt.model_dump(), dropout=dropout)
    with torch.device("meta"):
        network = network_class(config.gpt)(settings)
    own = {name: t for name, t in gpt_tensors(path).items() if not name.startswith(conditioning.CONDITIONING_PREFIXES)}
    if new_pieces:
        own = with_new_rows(own, new_pieces)
    return _load_frozen(network, own, path, UNUSED_GPT_ENTRIES)


def load_conditioning_encoder(path: Path, config: Config) -> EmotionEncoder:
    """Load the encoders of emotion and, of IndexTTS-2, of the speaker out of the GPT's checkpoint."""
    with torch.device("meta"):
        encoder = conditioning.encoder_class(config.gpt)(config.gpt)
    own = {name: t for name, t in gpt_tensors(path).items() if name.startswith(conditioning.CONDITIONING_PREFIXES)}
    return _load_frozen(encoder, own, path, conditioning.UNUSED_ENTRIES)


def load_codec(path: Path, config: Config) -> SemanticCodec:
    """Load the semantic codec of IndexTTS-2."""
    with torch.device("meta"):
        network = SemanticCodec(**config.semantic_codec.model_dump())
    return _load_frozen(network, flatten_state_dict(read_tensors(path), path), path, codec.UNUSED_ENTRIES)


def load_half_rate_codec(path: Path, config: Config) -> HalfRateCodec:
    """Load the codec of IndexTTS-2.5 with its decoder."""
    content = read_tensors(path)
    with torch.device("meta"):
        network = HalfRateCodec(**config.semantic_codec.model_dump())
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    return _load_frozen(network, flatten_state_dict(content, path), path, ())


def load_speaker_model(path: Path) -> CAMPPlus:
    """Load CAMPPlus."""
    with torch.device("meta"):
        network = CAMPPlus()
    return _load_frozen(network, flatten_state_dict(read_tensors(path), path), path, ())


def load_s2mel(path: Path, config: Config) -> S2Mel:
    """Load flow, length regulator and projection."""
    content = read_tensors(path)
    if not isinstance(content, dict) or not isinstance(content.get("net"), dict):
        raise EngineError(f"{path} has no entry 'net': it is not the s2mel.pth of {config.title}")
    with torch.device("meta"):
        network = S2Mel(config.s2mel, config.latent_dims)
    return _load_frozen(network, flatten_state_dict(content["net"], path), path, network.unused)


def load_vocoder(settings_path: Path, path: Path, config: Config) -> BigVGAN:
    """Load BigVGAN. :raises EngineError: BigVGAN speaks other mel spectrograms than the checkpoint makes."""
    try:
        settings = BigVGANSettings.read(read_json_object(settings_path), str(settings_path))
    except (OSError, FileRefused) as error:
        raise EngineError(f"{settings_path} cannot be read: {why(error)}") from error
    own = (settings.num_mels, settings.sampling_rate, settings.hop_size)
    made = (config.mel.bins, config.mel.sample_rate, config.mel.hop_length)
    if own != made:
        raise EngineError(
            f"{settings_path}: a vocoder for {own[0]} mel bins at {own[1]} Hz, hop {own[2]}; "
            f"the checkpoint makes {made[0]} at {made[1]} Hz, hop {made[2]}"
        )
    content = read_tensors(path)
    if not isinstance(content, dict) or not isinstance(content.get("generator"), dict):
        raise EngineError(f"{path} has no entry 'generator': it is not a generator of BigVGAN")
    with torch.device("meta"):
        network = BigVGAN(settings)
    return _load_frozen(network, flatten_state_dict(content["generator"], path), path, bigvgan.UNUSED_ENTRIES)


def load_emotions(emotions: Path, speakers: Path, config: Config) -> EmotionTable:
    """Load the tables behind a list of emotion weights."""
    tables = []
    for path in (emotions, speakers):
        table = read_tensors(path)
        if not isinstance(table, torch.Tensor) or table.ndim != 2:
            raise EngineError(f"{path} does not hold one table of vectors")
        tables.append(table.float())
    return EmotionTable(tables[0], tables[1], config.emo_num)


def _load_frozen(network: Network, tensors: Tensors, path: Path, unused: tuple[str, ...]) -> Network:
    load_strictly(network, fold_weight_norm(tensors), str(path), unused)
    return network.float().eval().requires_grad_(False)
