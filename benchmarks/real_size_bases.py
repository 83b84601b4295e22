"""Write checkpoints of the published sizes with random weights, for `real_size.py`."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
import yaml
from orpheus_gate import SHAPE

CODEC: dict[str, Any] = {
    "sampling_rate": 24_000, "encoder_dim": 48, "encoder_rates": [2, 4, 8, 8], "decoder_dim": 1024,
    "decoder_rates": [8, 8, 4, 2], "attn_window_size": None, "codebook_size": 4096, "codebook_dim": 8,
    "vq_strides": [4, 2, 1], "noise": True, "depthwise": True,
}  # fmt: skip


def build_orpheus(folder: Path, **shape: int) -> None:
    """Write network, tokenizer and codec; at most one tensor of the network is in memory at a time."""
    from safetensors.torch import save_file
    from snac import SNAC

    from vtune_orpheus.tiny_checkpoint import build_tokenizer

    tokenizer = build_tokenizer(CODEC["codebook_size"])
    config = transformers.LlamaConfig(
        **{**SHAPE, **shape},
        rope_theta=500_000.0,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.convert_tokens_to_ids("<custom_token_2>"),
        pad_token_id=tokenizer.convert_tokens_to_ids("<custom_token_7>"),
        architectures=["LlamaForCausalLM"],
        dtype="bfloat16",
    )
    with torch.device("meta"):
        network = transformers.LlamaForCausalLM(config)
    shapes = {name: tuple(p.shape) for name, p in network.named_parameters()}  # tied ones once
    write_random(folder / "model.safetensors", shapes)
    torch.manual_seed(0)
    (folder / "snac").mkdir(exist_ok=True)
    save_file(SNAC(**CODEC).state_dict(), str(folder / "snac" / "model.safetensors"))
    (folder / "snac" / "config.json").write_text(json.dumps(CODEC, indent=2) + "\n", encoding="utf-8")
    tokenizer.save_pretrained(folder)
    config.save_pretrained(folder)


def write_random(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """Write bf16 tensors into a safetensors file, one after another: norms are ones, the others small noise."""
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    text += b" " * (-len(text) % 8)
    generator = torch.Generator().manual_seed(0)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for shape in shapes.values():
            if len(shape) == 1:
                tensor = torch.ones(shape, dtype=torch.bfloat16)
            else:
                tensor = torch.randn(shape, generator=generator).mul_(0.02).bfloat16()
            file.write(tensor.view(torch.uint8).numpy().data)


def build_indextts2(folder: Path, num_hidden_layers: int = 24) -> None:
    """Write a checkpoint whose GPT has the published width and depth."""
    from vtune_indextts2 import nano_checkpoint

    nano_checkpoint.build(folder, width=1280, layers=num_hidden_layers)


def build_indextts25(folder: Path, num_hidden_layers: int = 24) -> None:
    """Write a checkpoint of the published shape of IndexTTS-2.5, with a small w2v-BERT and a small vocoder."""
    from vtune_indextts2 import nano_checkpoint
    from vtune_indextts2.config import read_config
    from vtune_indextts2.gpt.conditioning import encoder_class
    from vtune_indextts2.gpt.network import SemanticGPTConfig
    from vtune_indextts2.gpt.style_network import StyleGPT
    from vtune_indextts2.s2mel.network import LATENT_DIMS, S2Mel
    from vtune_indextts2.semantic.half_rate_codec import HalfRateCodec

    nano_checkpoint.build(folder, layers=1, release="2.5")
    content = yaml.safe_load(Path(__file__).with_name("indextts25.yaml").read_text(encoding="utf-8"))
    content["gpt"]["layers"] = num_hidden_layers
    (folder / "config.yaml").write_text(yaml.safe_dump({**content, "semantic_layers": 2}, sort_keys=False))
    config = read_config(folder / "config.yaml")
    torch.manual_seed(0)
    for path in folder.glob("*.tiktoken"):
        path.unlink()
    specials = 1_673
    write_vocabulary(folder / config.bpe_model, config.gpt.number_text_tokens - specials)
    network = StyleGPT(SemanticGPTConfig(settings=config.gpt.model_dump())).state_dict()
    tensors = {**encoder_class(config.gpt)(config.gpt).state_dict(), **network}
    torch.save({"model": tensors}, folder / "gpt.pth")
    del network, tensors
    torch.save({"model": HalfRateCodec().state_dict()}, folder / "codec.pth")
    nested: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in S2Mel(config.s2mel, LATENT_DIMS).state_dict().items():  # with the part that nothing reads
        part, rest = name.split(".", 1)
        nested.setdefault(part, {})[rest] = tensor
    torch.save({"net": nested}, folder / "s2mel.pth")
    width, rows = config.gpt.feature_dim, sum(config.emo_num)
    torch.save({"mean": torch.zeros(width), "var": torch.ones(width)}, folder / "wav2vec2bert_stats.pt")
    torch.save(torch.randn(rows, config.gpt.model_dim), folder / "feat2.pt")
    semantic = transformers.Wav2Vec2BertConfig(
        hidden_size=width, num_hidden_layers=2, num_attention_heads=16, intermediate_size=64
    )
    transformers.Wav2Vec2BertModel(semantic).save_pretrained(folder / "w2v-bert-2.0")


def write_vocabulary(path: Path, lines: int) -> None:
    """Write a byte-pair vocabulary: all bytes, random tokens, and the empty token of the released file."""
    tokens = [bytes([value]) for value in range(256)]
    tokens += [b"\xff" + number.to_bytes(3, "big") for number in range(lines - 1 - len(tokens))]
    text = b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(tokens))
    path.write_bytes(text + b"= %d\n" % (lines - 1))


BUILDERS = {"orpheus": build_orpheus, "indextts2": build_indextts2, "indextts2.5": build_indextts25}
