"""What a recipe may say under ``engine_options`` for IndexTTS2."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from vtune import EngineOptions

Weight = Annotated[float, Field(ge=0, le=1.4)]


class IndexTTS2Options(EngineOptions):
    """Files, training rows, what a voice keeps, and speaking."""

    base_model: str = Field(
        "IndexTeam/IndexTTS-2",
        min_length=1,
        description="folder or Hub id with config.yaml, gpt.pth, s2mel.pth, bpe.model, wav2vec2bert_stats.pt; "
        "'nano' is a small one with random weights that vtune builds itself",
    )
    semantic_model: str | None = Field(
        None,
        description="folder or Hub id of w2v-BERT; default: the checkpoint's `w2v-bert-2.0/`, "
        "else facebook/w2v-bert-2.0",
    )
    codec: str | None = Field(
        None,
        description="folder or Hub id of the semantic codec; default: the checkpoint's `semantic_codec/`, "
        "else amphion/MaskGCT",
    )
    speaker_model: str | None = Field(
        None, description="folder or Hub id of CAMPPlus; default: `campplus/` in the checkpoint, else funasr/campplus"
    )
    vocoder: str | None = Field(
        None,
        description="folder or Hub id of BigVGAN; default: `bigvgan/` in the checkpoint, "
        "else nvidia/bigvgan_v2_22khz_80band_256x",
    )
    frozen_device: Literal["auto", "cpu"] = Field(
        "auto", description="where all but the GPT runs; auto: beside it, cpu: to save memory on the GPU"
    )
    normaliser: Literal["auto", "wetext", "basic"] = Field(
        "auto", description="what writes out numbers; auto: wetext where it is installed, else vtune's own"
    )
    glossary: Path | None = Field(None, description="YAML file of terms and how they are read")

    prompt: Literal["other", "self"] = Field(
        "other", description="whose speaker latents a training row has: another clip's of the voice, or its own"
    )
    emo_source: Literal["target", "prompt", "mix"] = Field(
        "target", description="whose emotion a training row has: its own, its prompt's, or a lot decides"
    )
    emo_mix: float = Field(0.25, ge=0, le=1, description="share of rows with their prompt's emotion, for `mix`")
    dropout: float = Field(0.1, ge=0, lt=1, description="in the GPT's blocks while it trains, as it was pretrained")

    reference: Literal["best", "join", "average"] = Field(
        "best",
        description="what the voice keeps: its most typical clip, the best clips joined up to `reference_seconds`, "
        "or latents, emotion and style averaged over the best clips beside the best clip's sound",
    )
    reference_seconds: PositiveFloat = Field(15.0, le=60, description="longest reference, kept or given")
    reference_audio: Path | None = Field(
        None, description="speak like this recording instead of the voice's own reference"
    )
    emotion_audio: Path | None = Field(None, description="take the emotion of this recording")
    emotion_weights: tuple[Weight, Weight, Weight, Weight, Weight, Weight, Weight, Weight] | None = Field(
        None, description="happy, angry, sad, afraid, disgusted, melancholic, surprised, calm"
    )
    emotion_bias: bool = Field(True, description="damp those of the eight that overpower the speaker, as upstream does")
    emotion_strength: NonNegativeFloat | None = Field(
        None,
        le=2,
        description="how far to go from the reference's own emotion to the one that is asked for (default 1); "
        "with neither asked for, scales the stored one",
    )

    temperature: NonNegativeFloat = Field(0.8, description="of sampling; 0 takes the likeliest code")
    top_k: NonNegativeInt = Field(30, description="likeliest codes that are drawn from; 0 for all")
    top_p: PositiveFloat = Field(0.8, le=1, description="share of the probability that is drawn from")
    repetition_penalty: PositiveFloat = Field(10.0, description="of codes that were said before; upstream's")
    penalty_history: Literal["codes", "upstream"] = Field(
        "codes", description="what the penalty counts: what was said, or upstream's made-up ids before it as well"
    )
    beams: PositiveInt = Field(1, le=10, description="rows of beam search; upstream uses 3, three times the work")
    length_penalty: float = Field(0.0, description="of beam search: above 0 prefers long utterances")
    mel_pos_offset: Literal[0, 1] = Field(
        0, description="positions of codes while speaking: 0 as they were trained, 1 as upstream's inference has them"
    )
    max_codes: PositiveInt = Field(1500, description="of one segment: 1500 are 30 s")
    segment_tokens: PositiveInt = Field(120, ge=8, description="longest piece of text that is spoken in one go")
    quick_tokens: NonNegativeInt = Field(0, description="keep early segments apart until so many tokens: sound sooner")
    segment_pause: NonNegativeFloat = Field(0.2, le=5, description="seconds of silence between segments")
    flow_steps: PositiveInt = Field(25, le=1000, description="Euler steps of the flow from noise to mel; 10 are quick")
    guidance: NonNegativeFloat = Field(
        0.7, description="of the flow: how much it leans on the reference; 0 halves its work"
    )
