"""The state of the engine: tokenizer, layout, codec and network, each loaded on first use."""

from __future__ import annotations

import json
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from vtune import EngineError, Waveform
from vtune.errors import in_a_line
from vtune.toolkit import hash_file, load_pretrained, read_tensors, unreachable_message
from vtune_orpheus import checkpoints
from vtune_orpheus.layout import Layout, derive_layout
from vtune_orpheus.options import OrpheusOptions


class OrpheusBase:
    """One checkpoint with its codec.

    ``device`` and ``dtype`` belong to the network. The codec is float32, and on the CPU unless ``codec_device`` is
    auto.
    """

    def __init__(self, options: OrpheusOptions, device: torch.device, dtype: torch.dtype) -> None:
        self.options = options
        self.device = device
        self.dtype = dtype
        self.checkpoint = checkpoints.checkpoint_name(options.base_model)
        self._codec_name = checkpoints.codec_name(options.codec, self.checkpoint)
        if options.quantization != "none":
            _require_bitsandbytes(options.quantization, device)

    @cached_property
    def config(self) -> Any:
        """The network's configuration."""
        return self._from_checkpoint(AutoConfig)

    @cached_property
    def tokenizer(self) -> Any:
        """The checkpoint's own tokenizer."""
        return self._from_checkpoint(AutoTokenizer)

    @cached_property
    def layout(self) -> Layout:
        """The token ids of the vocabulary."""
        config = checkpoints.codec_config(self._codec_name)
        return derive_layout(self.tokenizer, config, self.config.vocab_size, self.checkpoint)

    @cached_property
    def codec(self) -> Any:
        """SNAC in eval mode, float32."""
        from snac import SNAC

        config = checkpoints.codec_config(self._codec_name)
        path = checkpoints.codec_weights(self._codec_name)
        try:
            codec = SNAC(**config)
            codec.load_state_dict(read_tensors(path))
        except EngineError:
            raise
        except Exception as error:  # a wrong configuration can raise any error inside SNAC and torch
            raise EngineError(f"{path} does not fit its config.json: {in_a_line(error)}") from error
        device = self.device if self.options.codec_device == "auto" else torch.device("cpu")
        return codec.eval().requires_grad_(False).to(device)

    def new_network(self) -> nn.Module:
        """Load the frozen network; each call loads a new one, because PEFT changes a network in place."""
        from vtune.toolkit import packed_attention
        from vtune_orpheus import network
        from vtune_orpheus.loss import LossTokens

        options = self.options
        is_llama = self.config.model_type == "llama"
        automatic = packed_attention.ATTENTION_NAME if is_llama else None
        quantized = _quantization_config(options.quantization, self.dtype)
        # Each tensor goes from the file to the device on its own, so a host with 12 GB never holds the whole network.
        placement = {"device_map": {"": self.device}} if self.device.type != "cpu" else {}
        loaded: Any = self._from_checkpoint(
            network.LlamaForCausalLM if is_llama else AutoModelForCausalLM,
            dtype=self.dtype,
            attn_implementation=automatic if options.attn_implementation == "auto" else options.attn_implementation,
            quantization_config=quantized,
            **placement,
        )
        if options.loss_among == "sound":
            if not is_llama:
                raise EngineError(
                    f"engine_options.loss_among: 'sound' needs a Llama, but {self.checkpoint} is a "
                    f"{self.config.model_type}; use 'vocabulary'"
                )
            loaded.loss_tokens = LossTokens(self.layout.end_of_speech, range(self.layout.audio, self.layout.audio_end))
        # Weights that are not quantised stay in half precision, as without quantisation. PEFT's preparation would make
        # embeddings and head float32, 0.9 GiB more at 3B, and autocast would convert the head back in each pass.
        frozen: nn.Module = loaded.requires_grad_(False)
        return frozen

    @torch.no_grad()
    def encode(self, waveform: Waveform) -> list[torch.Tensor]:
        """Encode one clip to SNAC codes. Clips are encoded one by one, because padding would change the last codes.

        :param waveform: float32 ``[samples]`` at 24 kHz.
        :returns: three code levels, int64 ``[1 x T]``, ``[1 x 2T]`` and ``[1 x 4T]``, on the CPU.
        """
        device = next(self.codec.parameters()).device
        batch = torch.from_numpy(waveform).to(device)[None, None]  # [1 x 1 x samples]
        return [level.cpu() for level in self.codec.encode(batch)]

    def fingerprint(self) -> dict[str, str]:
        """Return a hash of each part that features and adapters depend on; of the network, only its shape is hashed."""
        tokenizer = json.dumps(self.tokenizer.get_vocab(), sort_keys=True).encode()
        shape = {name: value for name, value in self.config.to_dict().items() if name in _SHAPE_KEYS}
        return {
            "tokenizer": sha256(tokenizer).hexdigest()[:16],
            "codec": hash_file(checkpoints.codec_weights(self._codec_name)),
            "layout": sha256(json.dumps(self.layout.settings()).encode()).hexdigest()[:16],
            "network": sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16],
        }

    def save(self, network: nn.Module, directory: Path) -> list[Path]:
        """Write network, tokenizer and codec as a checkpoint that this engine and plain transformers can load."""
        from safetensors.torch import save_file

        # If the network is on a GPU, the host holds one file at a time.
        network.save_pretrained(directory, max_shard_size=_MAX_SHARD_BYTES)  # type: ignore[operator]
        self.tokenizer.save_pretrained(directory)
        codec = directory / "snac"
        codec.mkdir()
        config = checkpoints.codec_config(self._codec_name)
        (codec / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        save_file(
            read_tensors(checkpoints.codec_weights(self._codec_name)),
            str(codec / "model.safetensors"),
        )
        return sorted(path for path in directory.rglob("*") if path.is_file())

    def _from_checkpoint(self, auto_class: Any, **settings: Any) -> Any:
        try:
            return load_pretrained(auto_class, self.checkpoint, **settings)
        except (OSError, ValueError, ImportError) as error:
            if Path(self.checkpoint).is_dir():
                raise EngineError(f"checkpoint {self.checkpoint} cannot be loaded: {in_a_line(error)}") from error
            raise EngineError(unreachable_message(self.checkpoint, error)) from error


_MAX_SHARD_BYTES = 2 * 10**9
_SHAPE_KEYS = frozenset(
    {"hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size"}
)


def _require_bitsandbytes(quantization: str, device: torch.device) -> None:
    import importlib.util

    if importlib.util.find_spec("bitsandbytes") is None:
        raise EngineError(
            f"engine_options.quantization: {quantization} needs bitsandbytes; install vtune-tts with the extra 'qlora'"
        )
    if device.type != "cuda":
        raise EngineError(f"engine_options.quantization: {quantization} needs a CUDA GPU; use 'none' on {device.type}")


def _quantization_config(quantization: str, dtype: torch.dtype) -> Any:
    if quantization == "none":
        return None
    from transformers import BitsAndBytesConfig

    if quantization == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if dtype == torch.float32 else dtype,
    )
