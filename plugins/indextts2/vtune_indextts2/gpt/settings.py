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
    """Sizes of the GPT. Those with defaults are fixed in the published models and not in their files.

    ``release`` decides the inputs: IndexTTS-2 has ``prefix_latents`` for the speaker; IndexTTS-2.5 has a style of
    ``style_dim`` numbers and ``languages`` rows.
    """

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
    style_dim: PositiveInt = 192
    languages: PositiveInt = 107
    release: Literal["2.0", "2.5"] = "2.0"

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
        """Places before the text: the conditioning latents, or the speaker's one, and two more."""
        return (1 if self.release == "2.5" else self.prefix_latents) + 2

    @property
    def conditioning_shape(self) -> tuple[int, ...]:
        """The shape of what the GPT is told about one speaker and emotion."""
        if self.release == "2.5":
            return (self.style_dim + self.model_dim,)
        return (self.prefix_latents, self.model_dim)
