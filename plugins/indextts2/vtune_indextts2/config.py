"""Read the checkpoint's ``config.yaml``: names of its files, and sizes of its networks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError

from vtune import EngineError, RecipeError
from vtune.errors import first_problem
from vtune.recipe.parse import read_yaml
from vtune.runtime.untrusted import FileRefused
from vtune_indextts2.gpt.settings import GPTSettings
from vtune_indextts2.releases.detection import ReleaseName, release_of
from vtune_indextts2.s2mel.settings import S2MelSettings
from vtune_indextts2.waveform.mel import MelSettings

CODES_PER_SECOND = {"2.0": 50, "2.5": 25}
"""Semantic codes for each second of sound, by release."""

TOKENIZER_FILES = {"2.0": "bpe.model", "2.5": "multilingual_zh_ja_yue_char_del.tiktoken"}
"""Names of the tokenizers' files where ``config.yaml`` does not have one."""


class CodecSettings(BaseModel):
    """Sizes of the semantic codec; the names are the arguments of ``SemanticCodec``."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    codebook_size: PositiveInt
    hidden_size: PositiveInt
    codebook_dim: PositiveInt
    vocos_dim: PositiveInt
    vocos_intermediate_dim: PositiveInt
    vocos_num_layers: PositiveInt


class SpectrumSettings(BaseModel):
    """Settings of mel spectrograms; the names are those of the file."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    n_fft: PositiveInt = 1024
    win_length: PositiveInt = 1024
    hop_length: PositiveInt = 256
    n_mels: PositiveInt = 80
    fmin: NonNegativeFloat = 0.0
    fmax: PositiveFloat | Literal["None"] | None = None


class PreprocessSettings(BaseModel):
    """Sample rate and spectrogram of the flow and the vocoder; the names are those of the file."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    sr: PositiveInt = 22_050
    spect_params: SpectrumSettings = SpectrumSettings()


class Config(BaseModel):
    """All settings that are read from the file.

    ``semantic_layers`` and ``latent_dims`` are constants of the published model; its file does not have them.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    gpt: GPTSettings
    semantic_codec: CodecSettings
    s2mel: S2MelSettings
    mel: MelSettings
    emo_num: tuple[PositiveInt, ...]
    release: ReleaseName
    bpe_model: str
    gpt_checkpoint: str
    s2mel_checkpoint: str
    w2v_stat: str
    emo_matrix: str
    spk_matrix: str
    semantic_layers: PositiveInt = 17

    @property
    def latent_dims(self) -> tuple[int, ...]:
        """Widths along the projection of the GPT's latents to the codec's embeddings; empty without a projection."""
        if self.release == "2.5":
            return ()
        return (self.gpt.model_dim, 256, 128, self.semantic_codec.hidden_size)

    @property
    def codes_per_second(self) -> int:
        """Semantic codes for each second of sound."""
        return CODES_PER_SECOND[self.release]

    @property
    def title(self) -> str:
        """The name of the release, for messages."""
        return "IndexTTS-2.5" if self.release == "2.5" else "IndexTTS-2"


def read_config(path: Path) -> Config:
    """Read and check the file.

    :raises EngineError: the file is damaged or of another version, or its sizes do not fit together.
    """
    try:
        content = read_yaml(path)
    except FileRefused as error:
        raise EngineError(f"{path} cannot be read: {error.reason}") from error
    except RecipeError as error:
        raise EngineError(f"{path} cannot be read: {error.problems[0].removeprefix(f'{path}: ')}") from error
    if not isinstance(content, Mapping) or not isinstance(content.get("gpt"), Mapping):
        raise EngineError(f"{path} has no section 'gpt': it is not the config.yaml of IndexTTS-2")
    release = release_of(content, path)
    s2mel = content.get("s2mel")
    if not isinstance(s2mel, Mapping):
        raise EngineError(f"{path} has no section 's2mel': it is not the config.yaml of IndexTTS-2")
    try:
        config = Config.model_validate(
            {
                "bpe_model": _section(content, "dataset").get("bpe_model", TOKENIZER_FILES[release]),
                **content,
                "release": release,
                "gpt": {**content["gpt"], "release": release},
                "s2mel": S2MelSettings.read(s2mel, str(path)),
                "mel": _mel(_section(s2mel, "preprocess_params"), path),
            }
        )
    except ValidationError as error:
        raise EngineError(f"{path}: {first_problem(error)}") from error
    _require_fit(config, path)
    return config


def _section(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = content.get(name)
    return section if isinstance(section, Mapping) else {}


def _mel(section: Mapping[str, Any], path: Path) -> MelSettings:
    try:
        settings = PreprocessSettings.model_validate(section)
    except ValidationError as error:
        raise EngineError(f"{path}: {first_problem(error, 's2mel', 'preprocess_params')}") from error
    spectrum = settings.spect_params
    return MelSettings(
        sample_rate=settings.sr,
        n_fft=spectrum.n_fft,
        win_length=spectrum.win_length,
        hop_length=spectrum.hop_length,
        bins=spectrum.n_mels,
        fmin=spectrum.fmin,
        fmax=None if spectrum.fmax == "None" else spectrum.fmax,
    )


def _require_fit(config: Config, path: Path) -> None:
    gpt, codec, s2mel = config.gpt, config.semantic_codec, config.s2mel
    wrong = [
        f"{name} is {size}, {source} asks for {expected}"
        for name, size, source, expected in (
            ("semantic_codec.codebook_size", codec.codebook_size, "gpt.start_mel_token", gpt.start_mel_token),
            ("gpt.number_mel_codes", gpt.number_mel_codes, "gpt.stop_mel_token", gpt.stop_mel_token + 1),
            ("semantic_codec.hidden_size", codec.hidden_size, "the GPT's feature_dim", gpt.feature_dim),
            ("s2mel.length_regulator.in_channels", s2mel.length_regulator.in_channels, "the codec", codec.hidden_size),
            ("s2mel.DiT.in_channels", s2mel.dit.in_channels, "spect_params.n_mels", config.mel.bins),
            *(
                [("s2mel.style_encoder.dim", s2mel.style_encoder.dim, "the GPT's style_dim", gpt.style_dim)]
                if config.release == "2.5"
                else []
            ),
            ("s2mel.length_regulator.channels", s2mel.length_regulator.channels, "s2mel.DiT", s2mel.dit.content_dim),
        )
        if size != expected
    ]
    wrong += [
        f"{name} is {width}, which {heads} heads cannot share"
        for name, width, heads in (
            ("gpt.model_dim", gpt.model_dim, gpt.heads),
            ("s2mel.DiT.hidden_dim", s2mel.dit.hidden_dim, s2mel.dit.num_heads),
        )
        if width % heads
    ]
    if wrong:
        raise EngineError(f"{path}: {'; '.join(wrong)}")
