"""Small checkpoints of IndexTTS-2 and IndexTTS-2.5 that the project builds itself, in the official layout.

Their weights are random, from a fixed seed: they prove the pipeline, they do not speak.
"""

from __future__ import annotations

import base64
import io
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtune.toolkit import build_once
from vtune_indextts2.config import TOKENIZER_FILES
from vtune_indextts2.multilingual.tokens import load_encoder
from vtune_indextts2.releases.detection import CODEC_FILE, ReleaseName

if TYPE_CHECKING:
    from torch import nn

NANO_VERSION = 2
"""Raise it whenever the files built here change; old ones stay in the cache under their own number."""

FEATURE_WIDTH = 64
CODEBOOK_SIZE = 256
ATTENTION_GAIN = 10.0
"""Random attention is this much stronger in IndexTTS-2.5, where text and emotion reach the sound through codes alone:
without it, every text and every emotion would give the same codes."""

STOP_BIAS = -3.0
"""What the logit of the stop code begins with in IndexTTS-2.5."""
EMOTION_GROUP_SIZES = (3, 17, 2, 8, 4, 5, 10, 24)
TOKENIZER_PHRASES = (
    "THE RIVER RUNS PAST THE MILL, AND THE MILLER SLEEPS.",
    "DID YOU HEAR THE BELLS? THEY RANG FOR AN HOUR.",
    "PACK MY BAG WITH SIX JARS OF QUINCE JELLY!",
    "HE SAID 'GO HOME', BUT NOBODY LISTENED - NOT EVEN THE DOG.",
    "EVERY EVENING WE WALK UP THE HILL TO WATCH THE LIGHTS COME ON.",
    "IT TAKES WELL OVER A VERY LONG WEEK TO FIX THIS OLD BOAT...",
)
"""What the tokenizer learns its pieces from."""


def nano_checkpoint(release: ReleaseName = "2.0") -> Path:
    """Return the folder of a small checkpoint, built on first use into the user's cache of model files."""
    if release == "2.0":
        return build_once("indextts2", f"nano-{NANO_VERSION}", build, "config.yaml")
    return build_once("indextts2", f"nano-2.5-{NANO_VERSION}", partial(build, release=release), "config.yaml")


def build(folder: Path, *, width: int = 64, layers: int = 3, seed: int = 0, release: ReleaseName = "2.0") -> None:
    """Write a whole checkpoint into an existing folder; the same seed, the same weights.

    :param width: of the GPT, a multiple of 4.
    """
    import torch
    import yaml
    from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertModel

    from vtune_indextts2.gpt.conditioning import encoder_class
    from vtune_indextts2.gpt.network import SemanticGPTConfig
    from vtune_indextts2.gpt.settings import GPTSettings
    from vtune_indextts2.gpt.style_network import network_class
    from vtune_indextts2.s2mel.network import S2Mel
    from vtune_indextts2.s2mel.settings import S2MelSettings
    from vtune_indextts2.speaker.campplus import CAMPPlus
    from vtune_indextts2.vocoder.bigvgan import BigVGAN
    from vtune_indextts2.vocoder.settings import BigVGANSettings

    content = _config(width, layers, _write_tokenizer(folder, release), release)
    gpt = GPTSettings.model_validate({**content["gpt"], "release": release})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = network_class(gpt)(SemanticGPTConfig(settings=gpt.model_dump()))
        encoder = encoder_class(gpt)(gpt)
        for parameter in (p for name, p in encoder.named_parameters() if name.endswith("latents")):
            torch.nn.init.normal_(parameter)
        if release == "2.5":
            _let_text_decide(network, gpt.stop_mel_token)
        torch.save({"model": {**encoder.state_dict(), **network.state_dict()}}, folder / "gpt.pth")
        # Files of IndexTTS-2.5 hold the projection of latents too, which nothing reads.
        s2mel = S2Mel(S2MelSettings.read(content["s2mel"], "nano"), (width, 256, 128, FEATURE_WIDTH))
        parts: dict[str, dict[str, Any]] = {"cfm": {}, "length_regulator": {}, "gpt_layer": {}}
        for name, tensor in s2mel.state_dict().items():
            part, rest = name.split(".", 1)
            parts[part][rest] = tensor
        torch.save({"net": parts}, folder / "s2mel.pth")
        statistics = {"mean": torch.zeros(FEATURE_WIDTH), "var": torch.ones(FEATURE_WIDTH)}
        torch.save(statistics, folder / "wav2vec2bert_stats.pt")
        torch.save(torch.randn(sum(EMOTION_GROUP_SIZES), 192), folder / "feat1.pt")
        torch.save(torch.randn(sum(EMOTION_GROUP_SIZES), width), folder / "feat2.pt")
        for name in ("w2v-bert-2.0", "campplus", "bigvgan"):
            (folder / name).mkdir()
        _write_codec(folder, content["semantic_codec"], release)
        torch.save(CAMPPlus().state_dict(), folder / "campplus" / "campplus_cn_common.bin")
        vocoder = BigVGAN(BigVGANSettings.read(NANO_VOCODER_CONFIG, "nano"))
        torch.save({"generator": vocoder.state_dict()}, folder / "bigvgan" / "bigvgan_generator.pt")
        semantic = Wav2Vec2BertModel(
            Wav2Vec2BertConfig(
                hidden_size=FEATURE_WIDTH, num_hidden_layers=3, num_attention_heads=2, intermediate_size=64
            )
        )
        semantic.save_pretrained(folder / "w2v-bert-2.0")
    SeamlessM4TFeatureExtractor(padding_value=1).save_pretrained(folder / "w2v-bert-2.0")
    (folder / "bigvgan" / "config.json").write_text(json.dumps(NANO_VOCODER_CONFIG, indent=2) + "\n", encoding="utf-8")
    # Last, for it says that the folder is whole.
    (folder / "config.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def _let_text_decide(network: nn.Module, stop: int) -> None:
    """Let codes depend on what stands before them, and seldom stop, so that a trained one says more than a code."""
    import torch

    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if ".attn.c_" in name and name.endswith("weight"):
                parameter.mul_(ATTENTION_GAIN)
            elif name == "mel_head.bias":
                parameter[stop] += STOP_BIAS


def _write_codec(folder: Path, sizes: dict[str, int], release: ReleaseName) -> None:
    import torch
    from safetensors.torch import save_file

    from vtune_indextts2.semantic.codec import SemanticCodec
    from vtune_indextts2.semantic.half_rate_codec import HalfRateCodec

    if release == "2.5":
        torch.save({"model": HalfRateCodec(**sizes).state_dict()}, folder / CODEC_FILE)
        return
    (folder / "semantic_codec").mkdir()
    save_file(SemanticCodec(**sizes).state_dict(), str(folder / "semantic_codec" / "model.safetensors"))


NANO_VOCODER_CONFIG: dict[str, Any] = {
    "resblock": "1",
    "upsample_rates": [4, 4, 2, 2, 2, 2],
    "upsample_kernel_sizes": [8, 8, 4, 4, 4, 4],
    "upsample_initial_channel": 64,
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3]],
    "use_tanh_at_final": False,
    "use_bias_at_final": False,
    "activation": "snakebeta",
    "snake_logscale": True,
    "num_mels": 80,
    "sampling_rate": 22_050,
    "hop_size": 256,
}


def _config(width: int, layers: int, pieces: int, release: ReleaseName) -> dict[str, Any]:
    encoder = {"output_size": 32, "linear_units": 64, "attention_heads": 2, "input_layer": "conv2d2"}
    return {
        "dataset": {"bpe_model": TOKENIZER_FILES[release]},
        "gpt": {
            "model_dim": width,
            "max_mel_tokens": 1815,
            "max_text_tokens": 600,
            "heads": 4,
            "layers": layers,
            "number_text_tokens": pieces,
            "number_mel_codes": CODEBOOK_SIZE + 2,
            "start_mel_token": CODEBOOK_SIZE,
            "stop_mel_token": CODEBOOK_SIZE + 1,
            "start_text_token": 0,
            "stop_text_token": 1,
            "condition_type": "conformer_perceiver",
            "condition_module": {**encoder, "num_blocks": 2, "perceiver_mult": 2},
            "emo_condition_module": {**encoder, "num_blocks": 1, "perceiver_mult": 2},
            "feature_dim": FEATURE_WIDTH,
            "emo_perceiver_dim": FEATURE_WIDTH,
        },
        "semantic_codec": {
            "codebook_size": CODEBOOK_SIZE,
            "hidden_size": FEATURE_WIDTH,
            "codebook_dim": 8,
            "vocos_dim": 24,
            "vocos_intermediate_dim": 48,
            "vocos_num_layers": 2,
        },
        "s2mel": {
            "preprocess_params": {
                "sr": 22_050,
                "spect_params": {"n_fft": 1024, "win_length": 1024, "hop_length": 256, "n_mels": 80, "fmin": 0},
            },
            "style_encoder": {"dim": 192},
            "length_regulator": {"channels": 32, "in_channels": FEATURE_WIDTH, "sampling_ratios": [1, 1]},
            "DiT": {"hidden_dim": 32, "num_heads": 2, "depth": 3, "in_channels": 80, "content_dim": 32},
            "wavenet": {"hidden_dim": 32, "num_layers": 2, "kernel_size": 5, "dilation_rate": 1},
        },
        "emo_num": list(EMOTION_GROUP_SIZES),
        "gpt_checkpoint": "gpt.pth",
        "s2mel_checkpoint": "s2mel.pth",
        "w2v_stat": "wav2vec2bert_stats.pt",
        "spk_matrix": "feat1.pt",
        "emo_matrix": "feat2.pt",
        "semantic_layers": 2,
        "version": float(release),
    }


def _write_tokenizer(folder: Path, release: ReleaseName) -> int:
    """Write the tokenizer of a release; return the number of its tokens."""
    path = folder / TOKENIZER_FILES[release]
    if release == "2.5":
        path.write_bytes(_byte_pairs())
        return load_encoder(path).size
    tokenizer, pieces = _sentence_pieces()
    path.write_bytes(tokenizer)
    return pieces


def _byte_pairs() -> bytes:
    """Return a vocabulary of all bytes, the pairs of the phrases' letters, and the empty token of released files.

    ``!`` has the id 0 and the straight quote the id 1, as in the released vocabulary.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    tokens = [bytes([value]) for value in [*printable, *(value for value in range(256) if value not in printable)]]
    phrases = " ".join(TOKENIZER_PHRASES).lower().encode()
    tokens += sorted({phrases[index : index + 2] for index in range(len(phrases) - 1)})
    lines = [base64.b64encode(token) + b" %d" % rank for rank, token in enumerate(tokens)]
    return b"\n".join([*lines, b"= %d" % len(tokens), b""])


def _sentence_pieces() -> tuple[bytes, int]:
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TOKENIZER_PHRASES),
        model_writer=model,
        model_type="bpe",
        vocab_size=90,
        hard_vocab_limit=False,
        character_coverage=1.0,
        bos_id=0,
        eos_id=1,
        unk_id=2,
        minloglevel=2,
    )
    loaded = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return model.getvalue(), loaded.vocab_size()
