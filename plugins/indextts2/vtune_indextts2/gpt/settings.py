"""The ``gpt`` section of the checkpoint's ``config.yaml``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, PositiveInt


class EncoderSettings(BaseModel):
    """A conditioning encoder: a conformer, and the heads of the perceiver behind it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    output_size: PositiveInt
    linear_units: PositiveInt
    attention_heads: PositiveInt
    num_blocks: PositiveInt
    input_layer: Literal["conv2d2"]
    perceiver_mult: PositiveInt


class GPTSettings(BaseModel):
    """Sizes of the GPT; the last three are fixed in the published model and not in its file."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    model_dim: PositiveInt
    layers: PositiveInt
    heads: PositiveInt
    max_mel_tokens: PositiveInt
    max_text_tokens: PositiveInt
    number_text_tokens: PositiveInt
    number_mel_codes: PositiveInt
    start_mel_token: int
    stop_mel_token: int
    start_text_token: int
    stop_text_token: int
    condition_type: Literal["conformer_perceiver"]
    condition_module: EncoderSettings
    emo_condition_module: EncoderSettings
    feature_dim: PositiveInt = 1024
    emo_perceiver_dim: PositiveInt = 1024
    prefix_latents: PositiveInt = 32

    @property
    def text_rows(self) -> int:
        """Rows of the text embedding: one more than there are pieces."""
        return self.number_text_tokens + 1

    @property
    def text_positions(self) -> int:
        """Places of the text block, start and stop included."""
        return self.max_text_tokens + 2

    @property
    def mel_positions(self) -> int:
        """Places of the code block, start and stop included."""
        return self.max_mel_tokens + 3

    @property
    def prefix(self) -> int:
        """Places before the text: the conditioning latents and the two of the speaking rate."""
        return self.prefix_latents + 2
