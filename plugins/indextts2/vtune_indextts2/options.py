"""What a recipe may say under ``engine_options`` for IndexTTS2."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, field_validator

from vtune import EngineOptions, option
from vtune_indextts2.multilingual.languages import checked_tag

Weight = Annotated[float, Field(ge=0, le=1.4)]


class IndexTTS2Options(EngineOptions):
    """Files, training rows, what a voice keeps, and speaking."""

    base_model: str = option(
        "IndexTeam/IndexTTS-2",
        affects=("training", "runtime"),
        min_length=1,
        description="The checkpoint of IndexTTS-2 or IndexTTS-2.5: a folder or Hub id with config.yaml, gpt.pth, "
        "s2mel.pth, the tokenizer and wav2vec2bert_stats.pt. `nano` and `nano-2.5` are small checkpoints with random "
        "weights that vtune builds itself.",
    )
    semantic_model: str | None = option(
        None,
        affects="runtime",
        description="The folder or Hub id of w2v-BERT. If it is null, it is the checkpoint's folder `w2v-bert-2.0/` if "
        "there is one, otherwise facebook/w2v-bert-2.0.",
    )
    codec: str | None = option(
        None,
        affects="runtime",
        description="The folder or Hub id of the semantic codec. If it is null, it is the checkpoint's folder "
        "`semantic_codec/` if there is one, otherwise amphion/MaskGCT; of IndexTTS-2.5, it is the checkpoint's "
        "`codec.pth`.",
    )
    speaker_model: str | None = option(
        None,
        affects=("speech", "runtime"),
        description="The folder or Hub id of CAMPPlus. If it is null, it is the checkpoint's folder `campplus/` if "
        "there is one, otherwise funasr/campplus.",
    )
    vocoder: str | None = option(
        None,
        affects="runtime",
        description="The folder or Hub id of BigVGAN. If it is null, it is the checkpoint's folder `bigvgan/` if there "
        "is one, otherwise nvidia/bigvgan_v2_22khz_80band_256x.",
    )
    frozen_device: Literal["auto", "cpu"] = option(
        "auto",
        affects="runtime",
        description="The device of all networks except the GPT. `auto` is the GPT's device; `cpu` saves GPU memory.",
    )
    normaliser: Literal["auto", "wetext", "basic"] = option(
        "auto",
        affects=("features", "runtime"),
        description="What writes numbers as words. `auto` uses wetext if it is installed, otherwise vtune's own rules "
        "(`basic`).",
    )
    glossary: Path | None = option(
        None, affects="runtime", description="A YAML file with terms and how they are pronounced."
    )

    language: str = option(
        "auto",
        affects=("features", "sampling"),
        description="The language of the texts as a tag, such as `en`, `zh`, `ja`, `es` or `ar`; a text in another "
        "script is refused. `auto` takes the voice's language if the text fits it, otherwise the language of its "
        "script. IndexTTS-2 speaks `en` and `zh`, and each text in the language that it is in.",
    )
    upstream_text: bool = option(
        False,
        affects=("features", "runtime"),
        description="Prepare texts exactly as the code of IndexTTS-2.5 does: times are torn apart, `!` is deleted, and "
        "long words are cut. Without it, none of this happens.",
    )

    prompt: Literal["other", "self"] = option(
        "other",
        affects="training",
        description="Where a training row takes its speaker latents from: `other` is another clip of the voice, `self` "
        "is the row's own clip.",
    )
    emo_source: Literal["target", "prompt", "mix"] = option(
        "target",
        affects="training",
        description="Where a training row takes its emotion from: `target` is its own clip, `prompt` is its prompt's "
        "clip, `mix` chooses one of the two at random.",
    )
    emo_mix: float = option(
        0.25,
        affects="training",
        ge=0,
        le=1,
        description="The share of rows that take the emotion of their prompt if `emo_source` is `mix`.",
    )
    text_loss_weight: NonNegativeFloat = option(
        0.2,
        affects="training",
        description="How much the loss of the text counts in the loss. 0.2 is what public trainers of the model use; "
        "more helps a language that the base does not know, and costs quality of the codes.",
    )
    code_loss_weight: PositiveFloat = option(
        0.8,
        affects="training",
        description="How much the loss of the semantic codes counts in the loss. Trainers of IndexTTS-2.5 also use 1.",
    )
    new_tokens: tuple[str, ...] = option(
        (),
        affects=("features", "training", "runtime"),
        description="Pieces to append to the tokenizer of IndexTTS-2, for letters and syllables of a language that it "
        "does not know, in capitals; `▁` marks the beginning of a word. Their rows of the text tables are new and must "
        "be trained (docs/how-to/indextts2.md#a-new-language).",
    )
    dropout: float = option(
        0.1,
        affects="training",
        ge=0,
        lt=1,
        description="The dropout in the GPT's blocks during training; 0.1 is the value of its pretraining.",
    )

    reference: Literal["best", "join", "average"] = option(
        "best",
        affects="speech",
        description="The reference sound that the voice keeps. `best` is its most typical clip; `join` is the best "
        "clips joined, up to `reference_seconds`; `average` is the best clip's sound with the latents, "
        "emotion and style averaged over the best clips.",
    )
    reference_seconds: PositiveFloat = option(
        15.0,
        affects=("speech", "sampling"),
        le=60,
        description="The longest reference in seconds, whether the voice keeps it or `reference_audio` gives it.",
    )
    reference_audio: Path | None = option(
        None, affects="sampling", description="A recording that the voice imitates instead of its own reference."
    )
    emotion_audio: Path | None = option(
        None, affects="sampling", description="A recording whose emotion the voice takes."
    )
    emotion_weights: tuple[Weight, Weight, Weight, Weight, Weight, Weight, Weight, Weight] | None = option(
        None,
        affects="sampling",
        description="The strengths of eight emotions: happy, angry, sad, afraid, disgusted, melancholic, surprised, "
        "calm.",
    )
    emotion_text: str | None = option(
        None,
        affects="sampling",
        min_length=1,
        description="A description of the emotion, such as `furious and out of breath`. A small language model turns "
        "it into the eight strengths of `emotion_weights`; see `emotion_model`.",
    )
    emotion_model: str | None = option(
        None,
        affects="runtime",
        description="The folder of the language model that reads `emotion_text`. If it is null, it is the checkpoint's "
        "folder `qwen0.6bemo4-merge/`.",
    )
    use_random: bool = option(
        False,
        affects="sampling",
        description="Take each of the eight emotions from a random speaker of the checkpoint's table, chosen by the "
        "seed, instead of the speaker most similar to the voice.",
    )
    emotion_cap: bool = option(
        True,
        affects="sampling",
        description="Keep the sum of the eight strengths at 0.8 or less, so that a fifth of the speaker's own emotion "
        "stays. With `false` they count as they are, as in upstream's Python API; a sum near 1 changes who speaks.",
    )
    emotion_bias: bool | None = option(
        None,
        affects="sampling",
        description="Weaken those of the eight emotions that would overpower the speaker's sound, as upstream's web "
        "page does. If it is null, it is what `emotion_cap` is.",
    )
    emotion_strength: NonNegativeFloat | None = option(
        None,
        affects="sampling",
        le=2,
        description="How far the voice moves from the reference's own emotion to the requested emotion (null means 1). "
        "If no emotion is requested, this number scales the stored one.",
    )

    temperature: NonNegativeFloat = option(
        0.8, affects="sampling", description="The temperature of sampling. 0 always takes the most likely code."
    )
    top_k: NonNegativeInt = option(
        30, affects="sampling", description="Sampling chooses among this many most likely codes. 0 means all codes."
    )
    top_p: PositiveFloat = option(
        0.8,
        affects="sampling",
        le=1,
        description="Sampling chooses among the most likely codes that together have this probability.",
    )
    repetition_penalty: PositiveFloat = option(
        10.0,
        affects="sampling",
        description="How strongly codes that were already used are made less likely. 1 means no penalty; 10 is "
        "upstream's value.",
    )
    penalty_history: Literal["codes", "upstream"] = option(
        "codes",
        affects="sampling",
        description="What the penalty counts: `codes` counts the codes that were spoken, `upstream` also counts the "
        "placeholder ids that upstream puts before them.",
    )
    beams: PositiveInt = option(
        1,
        affects="sampling",
        le=10,
        description="The number of beams of beam search. Upstream uses 3, which costs three times the computation.",
    )
    length_penalty: float = option(
        0.0, affects="sampling", description="Beam search prefers longer utterances if this is above 0."
    )
    mel_pos_offset: Literal[0, 1] = option(
        0,
        affects="sampling",
        description="The position of the first code during speech: 0 as in training, 1 as in upstream's inference.",
    )
    max_codes: PositiveInt = option(
        1500,
        affects="sampling",
        description="The largest number of codes in one segment. 1500 codes are 30 s, of IndexTTS-2.5 60 s.",
    )
    duration_factor: float = option(
        1.0,
        affects="sampling",
        ge=0.5,
        le=2,
        description="How long the speech lasts compared with the voice's own speed: 0.8 is faster, 1.25 slower. Only "
        "IndexTTS-2.5 has it; below 0.8, little more can be gained.",
    )
    segment_tokens: PositiveInt = option(
        120,
        affects="sampling",
        ge=8,
        description="The largest number of text tokens that are spoken as one segment. A longer text is split.",
    )
    quick_tokens: NonNegativeInt = option(
        0,
        affects="sampling",
        description="Keep segments separate until this many text tokens have been spoken, so that the first sound "
        "comes sooner.",
    )
    segment_pause: NonNegativeFloat = option(
        0.2, affects="sampling", le=5, description="The silence between two segments in seconds."
    )
    flow_steps: PositiveInt = option(
        25,
        affects="sampling",
        le=1000,
        description="The number of Euler steps of the flow from noise to mel. 10 is quick.",
    )
    guidance: NonNegativeFloat = option(
        0.7,
        affects="sampling",
        description="How strongly the flow follows the reference. 0 needs half of the computation.",
    )

    @field_validator("language")
    @classmethod
    def _language_has_a_tag(cls, value: str) -> str:
        return checked_tag(value)
