"""What training asks of a machine, from ``config.yaml`` alone: no weight is loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vtune import Footprint, LoraSettings
from vtune.toolkit import adapter_size
from vtune_indextts2.checkpoint_files import CheckpointFiles
from vtune_indextts2.config import Config
from vtune_indextts2.options import IndexTTS2Options

if TYPE_CHECKING:
    from torch import nn

RELEASED_BIGVGAN_BYTES = 4 * 112_399_426
"""Of the published vocoder, where its configuration is not at hand."""

TEXT_TOKENS_PER_SECOND = 4.0
"""Text tokens that go with a second of speech, about."""


def estimate(
    options: IndexTTS2Options,
    lora: LoraSettings,
    dtype_bytes: int,
    presets: Mapping[str, tuple[str, ...]],
    product_bytes: int | None = None,
) -> Footprint:
    """Count parameters, bytes and operations of what is trained on: the GPT without its conditioning encoders.

    Operations a token: 4 N forward and backward through N frozen weights, 6 a trained one.
    """
    files = CheckpointFiles(options)
    config = files.config
    listening, speaking = _listening_bytes(files), _speaking_bytes(files)
    gpt = config.gpt
    layers, width = gpt.layers, gpt.model_dim
    body = layers * (12 * width * width + 13 * width)
    tables = 2 * (gpt.text_rows + gpt.number_mel_codes) * width + gpt.text_rows + gpt.number_mel_codes
    positions = (gpt.text_positions + gpt.mel_positions + 4) * width  # two norms of two vectors each
    positions += (gpt.style_dim + 1 + gpt.languages) * width if config.release == "2.5" else 2 * width
    adapter = adapter_size(empty_network(config), lora, presets)
    # What backward keeps of one layer: inputs of both norms, queries, keys, values and what was attended to, the inner
    # ones of the MLP, two masks of dropout, what each adapted module is given. Heads see one place each.
    read = Counter[str]()
    for name, (inputs, _) in adapter.modules.items():
        if ".h." in name:
            read[name.partition(".h.")[2].partition(".")[0]] += inputs
    narrow = product_bytes or dtype_bytes
    kept = (2 + 3 + 1 + 4 + 2) * width * narrow
    if narrow < dtype_bytes:
        kept += 3 * width * 4  # hidden states stay wide, beside what is narrowed of them
    layer = kept + (max(read.values(), default=0) + adapter.token_numbers / layers) * narrow
    head = (gpt.number_mel_codes + gpt.text_rows * TEXT_TOKENS_PER_SECOND / config.codes_per_second) * (narrow + 3 * 4)
    return Footprint(
        parameters=body + tables + positions,
        trainable=adapter.parameters,
        tensors=adapter.tensors,
        tokens_per_second=config.codes_per_second,
        tokens_per_clip=gpt.prefix + 6 * TEXT_TOKENS_PER_SECOND + 3,
        weight_bytes=(body + tables + positions) * dtype_bytes,
        token_bytes=layers * kept + (sum(read.values()) + adapter.token_numbers) * narrow + head,
        # What one layer keeps is gone before the head comes.
        token_bytes_checkpointed=layers * width * dtype_bytes + max(layer, head),
        token_flops=4.0 * (body + gpt.number_mel_codes * width) + 6.0 * adapter.parameters,
        pass_bytes=adapter.pass_numbers * 4,  # the update is float32
        longest_seconds=gpt.max_mel_tokens / config.codes_per_second,
        listening_bytes=listening,
        speaking_bytes=speaking,
        tensor_bytes=max(gpt.text_rows, gpt.number_mel_codes, 4 * width) * width * dtype_bytes,
        gathered_bytes=(2 * body // layers + tables + positions) * dtype_bytes,
        # Merging copies one adapted weight at a time; an untouched head, the largest weight of all, is not among them.
        largest_bytes=max((inputs * outputs for inputs, outputs in adapter.modules.values()), default=0) * dtype_bytes,
    )


def empty_network(config: Config) -> nn.Module:
    """Return the GPT that is trained, without weights, on the device ``meta``."""
    import torch

    from vtune_indextts2.gpt.network import SemanticGPTConfig
    from vtune_indextts2.gpt.style_network import network_class

    with torch.device("meta"):
        return network_class(config.gpt)(SemanticGPTConfig(settings=config.gpt.model_dump()))


def empty_codec(config: Config) -> nn.Module:
    """Return the semantic codec of the release, without weights, on the device ``meta``."""
    import torch

    from vtune_indextts2.semantic.codec import SemanticCodec
    from vtune_indextts2.semantic.half_rate_codec import HalfRateCodec

    with torch.device("meta"):
        sizes = config.semantic_codec.model_dump()
        return HalfRateCodec(**sizes) if config.release == "2.5" else SemanticCodec(**sizes)


def _listening_bytes(files: CheckpointFiles) -> int:
    """Bytes of w2v-BERT, codec, conditioning encoders and CAMPPlus; of a w2v-BERT on the Hub, of its published shape.

    No part's weights are read: each is built on torch's ``meta``, which keeps shapes alone.
    """
    import torch
    from transformers import Wav2Vec2BertConfig, Wav2Vec2BertModel

    from vtune_indextts2.gpt.conditioning import encoder_class
    from vtune_indextts2.semantic.released_weights import read_config
    from vtune_indextts2.speaker.campplus import CAMPPlus

    config, model_path = files.config, files.semantic_model
    layers = config.semantic_layers
    at_hand = Path(model_path).is_dir()
    shape = read_config(model_path, layers) if at_hand else Wav2Vec2BertConfig(num_hidden_layers=layers)
    with torch.device("meta"):
        encoder = encoder_class(config.gpt)(config.gpt)
        return _bytes(Wav2Vec2BertModel(shape), empty_codec(config), encoder, CAMPPlus())


def _speaking_bytes(files: CheckpointFiles) -> int:
    """Bytes of flow, vocoder and, of IndexTTS-2.5, the codec, counted as ``_listening_bytes`` counts."""
    import torch

    from vtune.runtime.untrusted import read_json_object
    from vtune_indextts2.s2mel.network import S2Mel
    from vtune_indextts2.vocoder.bigvgan import BigVGAN
    from vtune_indextts2.vocoder.settings import BigVGANSettings

    path = files.vocoder_config
    with torch.device("meta"):
        flow = _bytes(S2Mel(files.config.s2mel, files.config.latent_dims))
        if files.config.release == "2.5":
            flow += _bytes(empty_codec(files.config))
        if path is None:
            return flow + RELEASED_BIGVGAN_BYTES
        return flow + _bytes(BigVGAN(BigVGANSettings.read(read_json_object(path), str(path))))


def _bytes(*networks: nn.Module) -> int:
    return sum(4 * tensor.numel() for network in networks for tensor in network.state_dict().values())
