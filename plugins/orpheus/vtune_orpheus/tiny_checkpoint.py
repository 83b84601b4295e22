"""Build checkpoints of any size with random weights, with the classes and the layout of the released checkpoint.

They load like any checkpoint and speak noise. Tests and benchmarks use them, and ``tools/nano`` trains small ones.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CODEBOOK_SIZE = 256
CODEC_CONFIG: dict[str, Any] = {
    "sampling_rate": 24_000,
    "encoder_dim": 8,
    "encoder_rates": [2, 4, 8, 8],
    "decoder_dim": 64,
    "decoder_rates": [8, 8, 4, 2],
    "attn_window_size": None,
    "codebook_size": CODEBOOK_SIZE,
    "codebook_dim": 8,
    "vq_strides": [4, 2, 1],
    "noise": True,
    "depthwise": True,
}


def build(
    folder: Path,
    *,
    hidden: int = 128,
    layers: int = 4,
    heads: int = 4,
    codec: dict[str, Any] | None = None,
    seed: int = 0,
) -> None:
    """Write network, tokenizer and codec of a size into an existing folder. The same seed gives the same bytes."""
    import torch
    from safetensors.torch import save_file
    from snac import SNAC
    from transformers import LlamaConfig, LlamaForCausalLM

    config = codec or CODEC_CONFIG
    tokenizer = build_tokenizer(int(config["codebook_size"]))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=-(-len(tokenizer) // 8) * 8,
                hidden_size=hidden,
                intermediate_size=2 * hidden,
                num_hidden_layers=layers,
                num_attention_heads=heads,
                num_key_value_heads=heads // 2,
                max_position_embeddings=4096,
                rope_theta=500_000.0,
                tie_word_embeddings=True,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.convert_tokens_to_ids("<custom_token_2>"),
                pad_token_id=tokenizer.convert_tokens_to_ids("<custom_token_7>"),
            )
        )
        snac = SNAC(**config)
    tokenizer.save_pretrained(folder)
    (folder / "snac").mkdir()
    save_file(snac.state_dict(), str(folder / "snac" / "model.safetensors"))
    (folder / "snac" / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    network.save_pretrained(folder)


def build_tokenizer(codebook: int) -> Any:
    """Build a tokenizer of bytes with the special tokens of Llama 3 and Orpheus."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(BPE(vocab={letter: index for index, letter in enumerate(letters)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    custom = [f"<custom_token_{number}>" for number in range(10 + 7 * codebook)]
    inner.add_special_tokens(["<|begin_of_text|>", "<|eot_id|>", *custom])
    begin = inner.token_to_id("<|begin_of_text|>")
    inner.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", begin)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<|begin_of_text|>",
        eos_token="<custom_token_2>",
        pad_token="<custom_token_7>",
        model_max_length=4096,
    )
