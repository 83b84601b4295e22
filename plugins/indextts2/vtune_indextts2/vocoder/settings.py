"""Read the keys of BigVGAN's ``config.json`` that the generator is built from."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError, model_validator

from vtune import EngineError
from vtune.errors import first_problem


class BigVGANSettings(BaseModel):
    """Shape of the generator; keys that only training reads are left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    num_mels: PositiveInt
    sampling_rate: PositiveInt
    hop_size: PositiveInt
    upsample_rates: tuple[PositiveInt, ...]
    upsample_kernel_sizes: tuple[PositiveInt, ...]
    upsample_initial_channel: PositiveInt
    resblock_kernel_sizes: tuple[PositiveInt, ...]
    resblock_dilation_sizes: tuple[tuple[PositiveInt, ...], ...]
    resblock: Literal["1"]
    activation: Literal["snakebeta"]
    snake_logscale: Literal[True]
    # BigVGAN takes these two as true where a file does not have them, so they must be there.
    use_tanh_at_final: Literal[False]
    use_bias_at_final: Literal[False]

    @model_validator(mode="after")
    def _agree(self) -> BigVGANSettings:
        if prod(self.upsample_rates) != self.hop_size:
            raise ValueError(f"upsample_rates multiply to {prod(self.upsample_rates)}, hop_size is {self.hop_size}")
        for first, second in (
            ("upsample_rates", "upsample_kernel_sizes"),
            ("resblock_kernel_sizes", "resblock_dilation_sizes"),
        ):
            if len(getattr(self, first)) != len(getattr(self, second)):
                raise ValueError(f"{first} and {second} have different lengths")
        return self

    @classmethod
    def read(cls, config: Mapping[str, Any], where: str) -> BigVGANSettings:
        """Check the file's contents.

        :param where: name of the file in the error text.
        :raises EngineError: a key is missing or has a value that vtune does not support; the message names the key.
        """
        try:
            return cls.model_validate(config)
        except ValidationError as error:
            raise EngineError(f"{where}: {first_problem(error)}") from error
