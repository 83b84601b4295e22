"""The data that crosses the contract: clips, features, batches, conditioning, audio, and what an engine says of itself.

Units everywhere: seconds, Hz, samples; waveforms are mono ``float32 [samples]`` in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from vtune.errors import VoiceError, shown

if TYPE_CHECKING:
    import torch

Waveform = NDArray[np.float32]
"""Mono sound, ``[samples]``, in [-1, 1]."""

Watermark = Callable[[Waveform], Waveform]
"""Takes the pieces of one sound in order, and returns each with a mark that is not to be heard."""

Features = dict[str, np.ndarray]
"""One encoded clip, one row of the data set: arrays of integers or floats by name, free of padding.

A narrow type (int16, float16) saves disk; it comes back as int64 or float32.
"""

Batch = dict[str, "torch.Tensor"]
"""A collated batch: tensors ``[B, ...]`` on the CPU; labels to be ignored are -100."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One utterance of one voice, with its words."""

    id: str
    voice: str
    text: str
    waveform: Waveform
    sample_rate: int

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return len(self.waveform) / self.sample_rate


class Ending(StrEnum):
    """Why an utterance stopped."""

    END_TOKEN = "end token"
    LIMIT = "limit"
    RUNAWAY = "runaway"


@dataclass(frozen=True, slots=True)
class Audio:
    """A piece of synthesised sound; pieces of a stream join without gaps.

    ``ending`` is set on the last piece of each utterance (a long text holds several), else None.
    """

    waveform: Waveform
    sample_rate: int
    ending: Ending | None = None


@dataclass(frozen=True, slots=True)
class SamplingRequest:
    """Tokens that a server of language models is to draw.

    :param prompt: ids that they follow.
    :param max_tokens: how many at most.
    :param temperature: 0 takes the likeliest.
    :param stop: ids after which no further one is drawn; the one that was is given too.
    :param allowed: ids to draw from; None for all.
    """

    prompt: Sequence[int]
    seed: int
    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    stop: Sequence[int] = ()
    allowed: Sequence[int] | None = None


TokenSampler = Callable[[SamplingRequest], Generator[int, None, None]]
"""Yields token ids as they are drawn; closed early, no further one is drawn."""


@dataclass(frozen=True, slots=True)
class Conditioning:
    """What an engine keeps of a voice beside the adapter: one safetensors file's worth.

    ``strings`` become the file's metadata, so they hold short texts (a name, JSON), never sound.
    """

    tensors: Mapping[str, np.ndarray] = field(default_factory=dict)
    strings: Mapping[str, str] = field(default_factory=dict)

    def number(self, name: str, highest: float) -> float:
        """Return a number from 0 to ``highest`` that a string holds. :raises VoiceError: it holds none such."""
        text = self.strings.get(name, "")
        try:
            number = float(text)
        except ValueError:
            number = -1
        if not 0 <= number <= highest:
            raise VoiceError(
                f"the voice's conditioning.safetensors says {name} {shown(text)}, expected 0 to {highest}; "
                "make the voice again"
            )
        return number


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """A LoRA adapter's shape; names follow ``peft.LoraConfig``.

    ``targets`` are presets of the engine (a key of ``EngineInfo.lora_targets``), ends of module names
    (``q_proj``) or regular expressions over whole names.
    """

    rank: int = 32
    alpha: float = 64
    dropout: float = 0.0
    rslora: bool = False
    targets: tuple[str, ...] = ("all",)
    modules_to_save: tuple[str, ...] = ()


class Settings(BaseModel):
    """Keys and values that a user writes: unknown keys are refused, values are frozen, numbers are finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        # pydantic takes true for 1, so `early_stopping: true` would mean one validation.
        if isinstance(value, bool) and _is_number(cls.model_fields[str(info.field_name)].annotation):
            raise PydanticCustomError("number_type", "input should be a number")
        return value


def _is_number(annotation: Any) -> bool:
    return annotation in (int, float) or any(map(_is_number, get_args(annotation)))


class EngineOptions(Settings):
    """Base of an engine's ``engine_options``; subclass it and describe each field."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine says of itself before anything is loaded.

    :param sample_rate: Hz, of the audio that it speaks, and of the clips that it is given.
    :param clips_as_recorded: clips come at the rate of their recording instead, for an engine that needs several.
    :param features_version: raise it whenever ``prepare_sample`` returns something else for the same clip.
    :param options: the model behind ``engine_options``.
    :param features_options: names of the options that change what ``prepare_sample`` returns; the others
        (say, sampling temperature) can change without encoding the data anew.
    :param speaking_options: names of the options that only keeping and speaking a voice depend on; when one changes,
        the voice is written anew and nothing is trained again.
    :param sampling_options: names of the options that may differ from one utterance to the next; ``synthesize`` takes
        them as ``sampling``, and must not read them from the base.
    :param base_options: names of the options that the network and the codec are made of. ``vtune serve`` speaks voices
        that differ in other options with one base: each has its own ``sampling_options``, and speaking reads no
        further ones. None: all but ``sampling_options``, so that voices that differ in any other have a base each.
    :param live_options: values of options that suit somebody who waits for the sound; ``vtune serve`` has them unless
        it is told otherwise.
    :param lora: what ``lora:`` says when the recipe does not.
    :param lora_targets: presets, name to ends of module names or regular expressions.
    :param paired_features: features that ``collate`` also gets of another clip of the same voice, drawn anew for
        each place in each epoch, as ``paired.<name>``, with a number of [0, 1) as ``paired.lot`` for its own choices.
        A row without them (a voice of one clip, a probe) stands alone.
    :param length_feature: the feature whose first axis grows with the clip; its length is what batches cost.
    :param licence: what the engine's licence asks of users, in a sentence or two; goes onto the card.
    :param licence_id: that licence as the Hub's cards name it (``apache-2.0``, ``llama3.2``), else ``other``.
    :param licence_name: a short name of a licence that is ``other`` to the Hub.
    :param licence_note: what must go with a voice or a merged model that is passed on; a file beside it.
    """

    sample_rate: int
    features_version: str
    options: type[EngineOptions]
    lora: LoraSettings = LoraSettings()
    lora_targets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    features_options: frozenset[str] = frozenset()
    speaking_options: frozenset[str] = frozenset()
    sampling_options: frozenset[str] = frozenset()
    base_options: frozenset[str] | None = None
    streaming_defaults: Mapping[str, Any] = field(default_factory=dict)
    paired_features: frozenset[str] = frozenset()
    length_feature: str = "input_ids"
    licence: str = ""
    licence_id: str = "other"
    licence_name: str = ""
    licence_note: str = ""
    clips_as_recorded: bool = False


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one training asks of a machine, known before any weight is loaded; ``vtune plan`` prints it.

    :param parameters: of the network that the adapter sits on.
    :param trainable: with the settings asked about; ``tensors`` is how many tensors they are.
    :param tokens_per_second: of sound.
    :param tokens_per_clip: beside the sound: prompt, words, ends; an average.
    :param weight_bytes: of the loaded network, at the asked dtype or quantisation.
    :param token_bytes: memory that forward and backward hold for one token of a batch.
    :param token_bytes_checkpointed: the same with gradient checkpointing.
    :param token_flops: floating-point operations to train on one token.
    :param pass_bytes: memory that a pass takes whatever its length, such as for a few places' logits.
    :param codec_bytes: of the networks that encode and decode sound, beside the one that is trained.
    :param encoding_second_bytes: memory that encoding holds for one second of a clip.
    :param listening_bytes: of networks that encode clips and are let go before training; a voice's conditioning is
        made with them too.
    :param speaking_bytes: memory that speaking takes beside the weights: caches, sound being decoded, and networks that
        nothing else needs.
    :param largest_bytes: of the largest weight of a layer, as it is loaded; ``tensor_bytes`` of the largest of all.
    :param longest_seconds: of a clip that the engine takes; None where it does not say.
    """

    parameters: int
    trainable: int
    tensors: int
    tokens_per_second: float
    tokens_per_clip: float
    weight_bytes: int
    token_bytes: float
    token_bytes_checkpointed: float
    token_flops: float
    pass_bytes: float = 0
    longest_seconds: float | None = None
    codec_bytes: float = 0
    encoding_second_bytes: float = 0
    listening_bytes: float = 0
    speaking_bytes: float = 0
    largest_bytes: float = 0
    tensor_bytes: float = 0


@dataclass(frozen=True, slots=True)
class ExtensionInfo:
    """An extension's own section of a recipe: ``extensions: {name: {...}}`` is read with ``options``."""

    name: str
    options: type[EngineOptions]
