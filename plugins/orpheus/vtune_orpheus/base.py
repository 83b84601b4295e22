"""The engine's state: tokenizer, layout, codec and network, each loaded on first use."""

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
from vtune.toolkit import hash_file, load_pretrained, read_tensors, unreachable
from vtune_orpheus import checkpoints
from vtune_orpheus.layout import Layout, derive_layout
from vtune_orpheus.options import OrpheusOptions


class OrpheusBase:
    """One checkpoint with its codec.

    ``device`` and ``dtype`` are the network's; the codec is float32, on the CPU unless the options say otherwise.
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
        """Where things stand in the vocabulary."""
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
        except Exception as error:  # what a wrong configuration leads to inside SNAC and torch is beyond listing
            raise EngineError(f"{path} does not fit its config.json: {in_a_line(error)}") from error
        device = self.device if self.options.codec_device == "auto" else torch.device("cpu")
        return codec.eval().requires_grad_(False).to(device)

    def new_network(self) -> nn.Module:
        """Load the frozen network; each call gives one of its own, for PEFT changes it in place."""
        from vtune.toolkit import packed_attention as attention
        from vtune_orpheus import network
        from vtune_orpheus.loss import Among

        options = self.options
        ours = self.config.model_type == "llama"
        automatic = attention.NAME if ours else None
        quantized = _quantization_config(options.quantization, self.dtype)
        # Each tensor goes from the file to the device by itself: a host of 12 GB never holds the whole network.
        placement = {"device_map": {"": self.device}} if self.device.type != "cpu" else {}
        loaded: Any = self._from_checkpoint(
            network.LlamaForCausalLM if ours else AutoModelForCausalLM,
            dtype=self.dtype,
            attn_implementation=automatic if options.attn_implementation == "auto" else options.attn_implementation,
            quantization_config=quantized,
            **placement,
        )
        if options.loss_among == "sound":
            if not ours:
                kind = self.config.model_type
                raise EngineError(f"engine_options.loss_among: 'sound' needs a Llama, and {self.checkpoint} is {kind}")
            loaded.among = Among(self.layout.end_of_speech, range(self.layout.audio, self.layout.audio_end))
        # What is not quantised stays in half precision, as it is without quantisation: PEFT's preparation would make
        # embeddings and head float32, 0.9 GiB more at 3B, and autocast would narrow the head again for each pass.
        made: nn.Module = loaded
        return made.requires_grad_(False)

    @torch.no_grad()
    def encode(self, waveform: Waveform) -> list[torch.Tensor]:
        """Encode one clip by itself (padding a batch would change the codes at its end).

        :param waveform: float32 ``[samples]`` at 24 kHz.
        :returns: int64 code levels ``[1, T]``, ``[1, 2T]``, ``[1, 4T]`` on the CPU.
        """
        device = next(self.codec.parameters()).device
        sound = torch.from_numpy(waveform).to(device)[None, None]  # (1, 1, samples)
        return [level.cpu() for level in self.codec.encode(sound)]

    def fingerprint(self) -> dict[str, str]:
        """Hash the parts that features and adapters depend on; the network by its configuration."""
        tokenizer = json.dumps(self.tokenizer.get_vocab(), sort_keys=True).encode()
        shape = {name: value for name, value in self.config.to_dict().items() if name in _SHAPE}
        return {
            "tokenizer": sha256(tokenizer).hexdigest()[:16],
            "codec": hash_file(checkpoints.codec_weights(self._codec_name)),
            "layout": sha256(json.dumps(self.layout.settings()).encode()).hexdigest()[:16],
            "network": sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16],
        }

    def save(self, network: nn.Module, directory: Path) -> list[Path]:
        """Write a whole checkpoint: network, tokenizer and codec, which this engine and plain transformers load."""
        from safetensors.torch import save_file

        # A file at a time is on the host when the network is on a GPU.
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

    def _from_checkpoint(self, kind: Any, **settings: Any) -> Any:
        try:
            return load_pretrained(kind, self.checkpoint, **settings)
        except (OSError, ValueError, ImportError) as error:
            if Path(self.checkpoint).is_dir():
                raise EngineError(f"checkpoint {self.checkpoint} cannot be loaded: {in_a_line(error)}") from error
            raise EngineError(unreachable(self.checkpoint, error)) from error


_MAX_SHARD_BYTES = 2 * 10**9
_SHAPE = frozenset({"hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size"})


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
