"""The ``s2mel`` section of the checkpoint's ``config.yaml``, as far as the network is built from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from vtune import EngineError
from vtune.errors import first_problem


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RegulatorSettings(_Section):
    """Length regulator; one convolution for each sampling ratio, whose value plays no part."""

    channels: PositiveInt
    in_channels: PositiveInt
    sampling_ratios: tuple[float, ...] = Field(min_length=1)
    is_discrete: Literal[False] = False
    vector_quantize: Literal[False] = False
    f0_condition: Literal[False] = False


class TransformerSettings(_Section):
    """Diffusion transformer; ``in_channels`` are mel bins, ``content_dim`` is the width of mu."""

    hidden_dim: PositiveInt
    num_heads: PositiveInt
    depth: PositiveInt
    in_channels: PositiveInt
    content_dim: PositiveInt
    style_condition: Literal[True] = True
    final_layer_type: Literal["wavenet"] = "wavenet"
    uvit_skip_connection: Literal[True] = True
    long_skip_connection: Literal[True] = True
    f0_condition: Literal[False] = False
    is_causal: Literal[False] = False
    time_as_token: Literal[False] = False
    style_as_token: Literal[False] = False
    zero_prompt_speech_token: Literal[False] = False


class WaveNetSettings(_Section):
    """WaveNet block; layer ``i`` has dilation ``dilation_rate ** i``."""

    hidden_dim: PositiveInt
    num_layers: PositiveInt
    kernel_size: PositiveInt
    dilation_rate: PositiveInt


class StyleSettings(_Section):
    """Speaker embedding."""

    dim: PositiveInt


class S2MelSettings(_Section):
    """All of it; keys that only training reads are left out."""

    style_encoder: StyleSettings
    length_regulator: RegulatorSettings
    dit: TransformerSettings = Field(alias="DiT")
    wavenet: WaveNetSettings

    @classmethod
    def read(cls, section: Mapping[str, Any], where: str) -> S2MelSettings:
        """Check the section.

        :param where: what the error names: the file.
        :raises EngineError: names the first key that is missing, or asks for what is not built.
        """
        try:
            return cls.model_validate(section)
        except ValidationError as error:
            raise EngineError(f"{where}: {first_problem(error, 's2mel')}") from error
