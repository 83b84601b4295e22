"""Models of transformers (``VitsModel``): MMS-TTS in many languages, VITS of LJ Speech and VCTK, and their relatives.

Only the configuration, the weights and the two files of the tokenizer are read; no code of a model runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import VitsConfig

from vtune import EngineError
from vtune.errors import shown
from vtune.runtime.untrusted import FileRefused, read_json_object, require_regular
from vtune.toolkit import fetch_file, read_tensors
from vtune_vits.bases.base_files import BaseFiles, BaseText, fingerprint_of
from vtune_vits.bases.names import fold_weight_normalisation, same_name
from vtune_vits.bases.piper_json import read_licence
from vtune_vits.network.settings import DurationSettings, VitsSettings, VocoderSettings

WEIGHTS_NAMES = ("model.safetensors", "pytorch_model.bin")

TRANSFORMERS_ESPEAK_VOICE = "en-us"
"""The voice of espeak-ng that transformers' tokenizer uses for every model with phonemes."""

_SIZES = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "flow_size": "flow_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "window": "window_size",
    "ffn_size": "ffn_dim",
    "ffn_kernel": "ffn_kernel_size",
    "spectrogram_bins": "spectrogram_bins",
    "sample_rate": "sampling_rate",
    "speakers": "num_speakers",
    "speaker_size": "speaker_embedding_size",
    "flow_steps": "prior_encoder_num_flows",
    "flow_layers": "prior_encoder_num_wavenet_layers",
    "posterior_layers": "posterior_encoder_num_wavenet_layers",
    "wavenet_kernel": "wavenet_kernel_size",
    "wavenet_dilation": "wavenet_dilation_rate",
}
_DURATION_SIZES = {
    "kernel": "duration_predictor_kernel_size",
    "flows": "duration_predictor_num_flows",
    "bins": "duration_predictor_flow_bins",
    "layers": "depth_separable_num_layers",
    "filter_size": "duration_predictor_filter_channels",
}
"""Fields of our settings, and the entries of ``config.json`` that they come from."""


def open_transformers(name: str) -> BaseFiles:
    """Return what is known of a ``VitsModel`` in a folder or on the Hub.

    :raises FileRefused: a file is damaged.
    :raises EngineError: it is no ``VitsModel``, a file is missing, or the Hub cannot be reached.
    """
    config_path = _required(name, "config.json")
    settings = _Config(config_path).settings()
    weights_path = next(filter(None, (fetch_file(name, file) for file in WEIGHTS_NAMES)), None)
    if weights_path is None:
        raise EngineError(f"{name} has no weights: expected {' or '.join(WEIGHTS_NAMES)}")
    vocabulary_path = _required(name, "vocab.json")
    tokenizer_path = _required(name, "tokenizer_config.json")
    card = fetch_file(name, "README.md")
    for path in (weights_path, *([card] if card else [])):
        require_regular(path)

    def read_all() -> Mapping[str, torch.Tensor]:
        content = read_tensors(weights_path)
        if not isinstance(content, Mapping) or not all(isinstance(t, torch.Tensor) for t in content.values()):
            raise EngineError(f"{weights_path} holds no dictionary of tensors")
        return fold_weight_normalisation(content)

    paths = (weights_path, config_path, vocabulary_path, tokenizer_path)
    return BaseFiles(
        format="transformers",
        source=name,
        paths=paths,
        settings=settings,
        text=_read_text(vocabulary_path, tokenizer_path, settings),
        fingerprint=fingerprint_of(paths),
        has_posterior=True,
        has_duration_posterior=True,
        licence=read_licence(card.parent) if card else "",
        read_tensors=read_all,
        name_in_file=same_name,
    )


def _required(name: str, file: str) -> Path:
    path = fetch_file(name, file)
    if path is None:
        raise EngineError(f"{name} has no {file}; a VitsModel of transformers has one")
    return path


class _Config:
    """Reads ``config.json``; entries that are not there have the value that transformers gives them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        content = read_json_object(path)
        if content.get("model_type") != "vits":
            raise FileRefused(path, f"model_type is {shown(content.get('model_type'))}, expected 'vits'")
        self.content = {**VitsConfig().to_dict(), **content}

    def settings(self) -> VitsSettings:
        for name, expected in (("hidden_act", "relu"), ("depth_separable_channels", 2)):
            if self.content[name] != expected:
                raise self._refused(name, f"{expected!r}, the only one that vtune has")
        settings = VitsSettings(
            **{name: self.content[entry] for name, entry in _SIZES.items()},
            attention_bias=self._flag("use_bias"),
            layer_norm_eps=self._number("layer_norm_eps", 1e-12, 1.0),
            stochastic_durations=self._flag("use_stochastic_duration_prediction"),
            durations=DurationSettings(
                **{name: self.content[entry] for name, entry in _DURATION_SIZES.items()},
                tail_bound=self._number("duration_predictor_tail_bound", 0.1, 100.0),
            ),
            vocoder=VocoderSettings(
                residual_type=1,
                upsample_rates=self._list("upsample_rates"),
                upsample_kernels=self._list("upsample_kernel_sizes"),
                residual_kernels=self._list("resblock_kernel_sizes"),
                residual_dilations=tuple(map(tuple, self._list("resblock_dilation_sizes", list))),
                first_channels=self.content["upsample_initial_channel"],
                leaky_slope=self._number("leaky_relu_slope", 0.0, 1.0),
            ),
            noise_scale=self._number("noise_scale", 0.0, 100.0),
            noise_scale_w=self._number("noise_scale_duration", 0.0, 100.0),
            length_scale=1 / self._number("speaking_rate", 0.01, 100.0),
        )
        settings.check(str(self.path))
        return settings

    def _number(self, name: str, minimum: float, maximum: float) -> float:
        value = self.content[name]
        if type(value) not in (int, float) or not minimum <= value <= maximum:
            raise self._refused(name, f"a number from {minimum:g} to {maximum:g}")
        return float(value)

    def _flag(self, name: str) -> bool:
        value = self.content[name]
        if not isinstance(value, bool):
            raise self._refused(name, "true or false")
        return value

    def _list(self, name: str, kind: type = int) -> tuple[Any, ...]:
        value = self.content[name]
        if not isinstance(value, list | tuple) or not all(isinstance(entry, kind | tuple) for entry in value):
            raise self._refused(name, f"a list of {'whole numbers' if kind is int else 'lists'}")
        return tuple(value)

    def _refused(self, name: str, expected: str) -> FileRefused:
        return FileRefused(self.path, f"{name} is {shown(self.content[name])}, expected {expected}")


def _read_text(vocabulary_path: Path, tokenizer_path: Path, settings: VitsSettings) -> BaseText:
    symbols = read_json_object(vocabulary_path)
    for symbol, number in symbols.items():
        if type(number) is not int or not 0 <= number < settings.vocab_size:
            raise FileRefused(
                vocabulary_path,
                f"the symbol {shown(symbol)} has the id {shown(number)}, expected a number from 0 to "
                f"{settings.vocab_size - 1}",
            )
    tokenizer = read_json_object(tokenizer_path)
    flag = _flags(tokenizer_path, tokenizer)
    language = tokenizer.get("language")
    if not isinstance(language, str | None):
        raise FileRefused(tokenizer_path, f"language is {shown(language)}, expected a code such as 'eng'")
    kind: Literal["espeak", "characters", "uroman"] = "characters"
    if flag("phonemize", True):
        kind, language = "espeak", TRANSFORMERS_ESPEAK_VOICE
    elif flag("is_uroman", False):
        kind = "uroman"
    special = {tokenizer.get(name) for name in ("unk_token",) if isinstance(tokenizer.get(name), str)}
    return BaseText(
        kind=kind,
        symbols={symbol: (number,) for symbol, number in symbols.items() if symbol not in special},
        language=language or "",
        blank=(0,) if flag("add_blank", True) else None,
        blank_first=flag("add_blank", True),
        lowercase=flag("normalize", True),
    )


def _flags(path: Path, tokenizer: Mapping[str, Any]) -> Callable[[str, bool], bool]:
    def flag(name: str, default: bool) -> bool:
        value = tokenizer.get(name, default)
        if not isinstance(value, bool):
            raise FileRefused(path, f"{name} is {shown(value)}, expected true or false")
        return value

    return flag
