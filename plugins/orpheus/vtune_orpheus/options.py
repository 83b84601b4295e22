"""What a recipe may say under ``engine_options`` for Orpheus."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from vtune import EngineOptions


class OrpheusOptions(EngineOptions):
    """Checkpoint, layout, loading and speaking."""

    base_model: str = Field(
        "canopylabs/orpheus-3b-0.1-pretrained",
        min_length=1,
        description="folder or Hub id of the checkpoint; 'nano' is the small one that comes with vtune",
    )
    codec: str | None = Field(
        None,
        description="folder or Hub id of the SNAC codec; default: `snac/` in the checkpoint, else 24 kHz SNAC",
    )
    codec_device: Literal["cpu", "auto"] = Field(
        "cpu", description="where SNAC encodes and decodes; auto: beside the network"
    )
    max_tokens: PositiveInt = Field(
        2048,
        description="budget of one clip, prompt and sound together (82 tokens a second); longer ones are left out",
    )
    voice_prefix: bool = Field(
        True,
        description="prompt '{voice}: {text}', so that one base can hold several voices; false for plain text",
    )
    loss_on: Literal["audio", "all"] = Field(
        "audio",
        description="audio: learn to speak; all: learn the prompt as well, as the official script does",
    )
    loss_among: Literal["vocabulary", "sound"] = Field(
        "vocabulary",
        description="what a token is learned against: the whole vocabulary, or sound and its end alone, as it is drawn "
        "in speaking (11 % fewer operations at 3B; another objective, for speaking with vtune only)",
    )
    remove_duplicate_frames: bool = Field(
        False,
        description="drop frames whose first code repeats; off, because it shortens held sounds and pauses, "
        "and with them the speaker's rhythm",
    )
    attn_implementation: Literal["auto", "eager", "sdpa", "flash_attention_2", "flex_attention"] = Field(
        "auto", description="attention of transformers"
    )
    quantization: Literal["none", "8bit", "4bit"] = Field(
        "none", description="load the network quantised (QLoRA); needs a GPU and the extra 'qlora'"
    )
    reference_clips: NonNegativeInt = Field(
        0,
        le=3,
        description="clips kept in the voice and put before every prompt, as in zero-shot use of the base",
    )
    temperature: NonNegativeFloat = Field(0.6, description="of sampling; the reference's. 0 takes the likeliest token")
    top_p: PositiveFloat = Field(0.8, le=1, description="of sampling; the reference's (notebooks use 0.95)")
    repetition_penalty: PositiveFloat = Field(
        1.3, description="of sampling; the reference's, higher speaks faster (notebooks use 1.1)"
    )
    max_new_tokens: PositiveInt = Field(1200, description="of one sentence: 1200 are 14.6 s")
    max_chars: PositiveInt = Field(220, ge=20, description="longest text that is spoken in one go; longer is split")
    first_frames: int = Field(
        4,
        ge=2,
        le=4,
        description="frames of 85 ms that are drawn before the first sound leaves: 4 is exact; with 2 it leaves "
        "sooner, and its first frame is what the codec makes of it without knowing the third and fourth",
    )

    @model_validator(mode="after")
    def _sound_alone_is_learned_among_sound(self) -> Self:
        if self.loss_among == "sound" and self.loss_on == "all":
            raise ValueError("loss_among 'sound' has no place for the words that loss_on 'all' learns; use 'audio'")
        return self
