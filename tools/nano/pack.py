"""Assemble the trained parts into a checkpoint: ``python tools/nano/pack.py CODEC LANGUAGE OUT``.

CODEC holds encoder.pt and decoder.pt, LANGUAGE language.pt; OUT becomes what ``base_model: nano`` names: network,
tokenizer, and the codec under ``snac/``, in 16 bits. Weights are the averages over the last steps.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from snac import SNAC
from train_encoder import CODEC
from train_language import SHAPE
from transformers import LlamaConfig, LlamaForCausalLM

from vtune_orpheus.tiny_checkpoint import build_tokenizer


def codec_of(folder: Path) -> SNAC:
    """Assemble encoder, quantisers and the averaged decoder into one codec."""
    codec = SNAC(**CODEC)
    codec.load_state_dict(torch.load(folder / "encoder.pt", weights_only=True)["codec"])
    codec.decoder.load_state_dict(torch.load(folder / "decoder.pt", weights_only=True)["average"])
    return codec.eval()


def network_of(file: Path, codebook: int) -> LlamaForCausalLM:
    """Load the averaged network, with the ids of its tokenizer in its configuration."""
    tokenizer = build_tokenizer(codebook)
    average = torch.load(file, weights_only=True)["average"]
    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.convert_tokens_to_ids("<custom_token_2>"),
        "pad_token_id": tokenizer.convert_tokens_to_ids("<custom_token_7>"),
    }
    vocabulary = len(average["model.embed_tokens.weight"])
    network = LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, **SHAPE, **ids))
    missing, unexpected = network.load_state_dict(average, strict=False)
    if set(missing) - {"lm_head.weight"} or unexpected:
        raise SystemExit(f"{file} does not fit: {missing} {unexpected}")
    network.tie_weights()
    return network.eval()


def main() -> None:
    """Write the checkpoint's folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("codec", type=Path)
    parser.add_argument("language", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    codebook = CODEC["codebook_size"]
    network_of(asked.language / "language.pt", codebook).half().save_pretrained(asked.out)
    build_tokenizer(codebook).save_pretrained(asked.out)
    snac = asked.out / "snac"
    snac.mkdir(exist_ok=True)
    state = {name: value.half().contiguous() for name, value in codec_of(asked.codec).state_dict().items()}
    save_file(state, str(snac / "model.safetensors"))
    (snac / "config.json").write_text(json.dumps(CODEC, indent=2) + "\n", encoding="utf-8")
    size = sum(file.stat().st_size for file in asked.out.rglob("*") if file.is_file())
    print(f"{asked.out}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
