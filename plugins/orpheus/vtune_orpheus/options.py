"""What a recipe may say under ``engine_options`` for Orpheus."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from vtune import EngineOptions, option


class OrpheusOptions(EngineOptions):
    """Checkpoint, layout, loading and speaking."""

    base_model: str = option(
        "canopylabs/orpheus-3b-0.1-pretrained",
        affects=("training", "runtime"),
        min_length=1,
        description="The folder or Hub id of the checkpoint. `nano` is the small checkpoint that comes with vtune.",
    )
    codec: str | None = option(
        None,
        affects="runtime",
        description="The folder or Hub id of the SNAC codec. If it is null, it is the checkpoint's folder `snac/` if "
        "there is one, otherwise 24 kHz SNAC.",
    )
    codec_device: Literal["cpu", "auto"] = option(
        "cpu", affects="runtime", description="The device of SNAC. `auto` is the network's device."
    )
    max_tokens: PositiveInt = option(
        2048,
        affects="features",
        description="The largest number of tokens of one clip, prompt and sound together (82 tokens are one second of "
        "sound). Longer clips are left out.",
    )
    voice_prefix: bool = option(
        True,
        affects="features",
        description="Start each prompt with the name of the voice, as '{voice}: {text}', so that one base can hold "
        "several voices. If it is false, the prompt is the text alone.",
    )
    loss_on: Literal["audio", "all"] = option(
        "audio",
        affects="features",
        description="The tokens that the loss counts: `audio` counts the sound, `all` counts the prompt too, as the "
        "official script does.",
    )
    loss_among: Literal["vocabulary", "sound"] = option(
        "vocabulary",
        affects="training",
        description="The tokens that each target competes with: `vocabulary` is the whole vocabulary, `sound` is only "
        "the sound tokens and the end token, as in speaking. `sound` needs 11 % fewer operations at 3B, "
        "but it is another objective, and such a voice can speak only with vtune.",
    )
    remove_duplicate_frames: bool = option(
        False,
        affects="features",
        description="Remove frames that repeat the first code of the frame before. This shortens held sounds and "
        "pauses, and so it changes the rhythm of the speaker.",
    )
    attn_implementation: Literal["auto", "eager", "sdpa", "flash_attention_2", "flex_attention"] = option(
        "auto", affects="runtime", description="The attention implementation of transformers."
    )
    quantization: Literal["none", "8bit", "4bit"] = option(
        "none",
        affects=("training", "runtime"),
        description="Load the network quantised (QLoRA). This needs a GPU and the extra `qlora`.",
    )
    reference_clips: NonNegativeInt = option(
        0,
        affects="speech",
        le=3,
        description="The number of clips that the voice keeps and puts before every prompt, as in zero-shot use of the "
        "base.",
    )
    temperature: NonNegativeFloat = option(
        0.6,
        affects="sampling",
        description="The temperature of sampling. 0 always takes the most likely token; 0.6 is the reference's value.",
    )
    top_p: PositiveFloat = option(
        0.8,
        affects="sampling",
        le=1,
        description="Sampling chooses among the most likely tokens that together have this probability. 0.8 is the "
        "reference's value; the notebooks use 0.95.",
    )
    repetition_penalty: PositiveFloat = option(
        1.3,
        affects="sampling",
        description="How strongly tokens that were already used are made less likely. Higher values make the speech "
        "faster. 1.3 is the reference's value; the notebooks use 1.1.",
    )
    max_new_tokens: PositiveInt = option(
        1200, affects="sampling", description="The largest number of tokens of one sentence. 1200 tokens are 14.6 s."
    )
    max_chars: PositiveInt = option(
        220,
        affects="sampling",
        ge=20,
        description="The largest number of characters that are spoken at once. A longer text is split.",
    )
    first_frames: int = option(
        4,
        affects="sampling",
        ge=2,
        le=4,
        description="The number of 85 ms frames that must be ready before the first sound is sent. 4 is exact. 2 sends "
        "sound sooner, but the codec computes the first frame without knowing the third and the fourth.",
    )

    @model_validator(mode="after")
    def _sound_alone_is_learned_among_sound(self) -> Self:
        if self.loss_among == "sound" and self.loss_on == "all":
            raise ValueError("loss_among 'sound' has no place for the words that loss_on 'all' learns; use 'audio'")
        return self
