"""What a recipe may say under ``engine_options`` for VITS."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from vtune import EngineOptions, option
from vtune.toolkit.lexicon import LexiconOption
from vtune_vits.network.settings import SourceFilterSettings, VitsSettings


class VitsOptions(EngineOptions):
    """The base, how texts are read, clips, training, and how the voice speaks."""

    base_model: str = option(
        affects=("training", "runtime"),
        min_length=1,
        description="The base: a Piper voice (.onnx with its .onnx.json beside it), a Piper checkpoint (.ckpt with its "
        "config.json beside it), or the folder or Hub id of a VITS of transformers, such as facebook/mms-tts-deu.",
    )
    language: str | None = option(
        None,
        affects="text",
        min_length=1,
        max_length=40,
        description="The espeak-ng voice that turns texts into phonemes, such as de, nl or en-gb. If it is null, it is "
        "the base's own. Bases that read characters take no language.",
    )
    lexicon: LexiconOption = option(
        {},
        affects="text",
        description="How words are read: a mapping, or the path of a YAML or tab-separated file. `Kathleen: kath leen` "
        "respells a word; `Piper: /pˈaɪpɚ/` gives its phonemes. The voice keeps the words, not the path.",
    )
    speaker: int | str | None = option(
        None,
        affects=("features", "speech"),
        description="The name or number of the base's speaker from which the voice starts, for a base of several "
        "speakers. If it is null, it is the speaker who has the voice's name, otherwise the first.",
    )
    max_seconds: PositiveFloat = option(
        20.0, affects="features", le=120, description="The longest clip, in seconds. Longer clips are left out."
    )

    vocoder: Literal["own", "source_filter"] = option(
        "own",
        affects=("features", "training", "runtime"),
        description="What turns latents into sound. `own` is the base's vocoder. `source_filter` filters pulses and "
        "noise: it learns a speaker in a few hundred steps, where the base's own would need hours, and speaks faster. "
        "It is made from the base's own speech before its first use.",
    )

    # Training
    vocoder_steps: PositiveInt = option(
        1500,
        affects=("training", "runtime"),
        le=100_000,
        description="The steps in which a vocoder of source and filters learns from the base's own speech, before it "
        "is first used. It is made once for each base; 1,500 steps take 12 minutes of one core.",
    )
    posterior_steps: PositiveInt = option(
        1200,
        affects="training",
        le=100_000,
        description="The steps in which a base without posterior encoder, such as a Piper .onnx, teaches one with its "
        "own speech before the first training. It is made once for each base; 1,200 steps take 6 minutes of one core.",
    )
    adversarial_weight: NonNegativeFloat = option(
        1.0,
        affects="training",
        le=100,
        description="The weight of the losses of the discriminators, which judge whether sound is recorded or made. 0 "
        "trains without discriminators, which is faster.",
    )
    stft_weight: NonNegativeFloat | None = option(
        None,
        affects="training",
        le=100,
        description="The weight of the differences between recorded and made spectra, at four resolutions. They "
        "see single lines, which the mel loss does not. 0 trains without them, as Piper does. If it is null, it is 5 "
        "for the base's own vocoder, and 22.5 for one of source and filters.",
    )
    discriminators: Literal["auto", "waveform", "spectrogram", "both"] = option(
        "auto",
        affects="training",
        description="What judges the sound: `waveform`, the discriminators that Piper has; `spectrogram`, which are "
        "smaller and faster; or `both`. `auto` takes those of waveforms if the base brings trained ones, as a Piper "
        "checkpoint does, and new ones of spectrograms otherwise; a vocoder of source and filters needs none.",
    )
    discriminator_narrowing: PositiveInt = option(
        4,
        affects="training",
        le=16,
        description="Divides the width of new discriminators: 1 is the published size, 4 takes a seventh of its time. "
        "Discriminators that a Piper checkpoint brings have their own width.",
    )

    # Speaking
    noise_scale: NonNegativeFloat | None = option(
        None,
        affects="sampling",
        le=2,
        description="How much the sound varies: 0 is always the same sound. If it is null, it is the base's own value; "
        "most bases have 0.667.",
    )
    noise_w: NonNegativeFloat | None = option(
        None,
        affects="sampling",
        le=2,
        description="How much the rhythm varies. If it is null, it is the base's own value; most bases have 0.8. Bases "
        "with a deterministic duration predictor do not use it.",
    )
    length_scale: PositiveFloat | None = option(
        None,
        affects="sampling",
        ge=0.1,
        le=10,
        description="How slowly the voice speaks: 2 is half as fast. If it is null, it is the base's own value; most "
        "bases have 1.",
    )
    contrast: PositiveFloat | None = option(
        None,
        affects="sampling",
        ge=0.5,
        le=2,
        description="How clearly a vocoder of source and filters speaks: gains lie this many times as far from their "
        "mean over a sentence. More is clearer and less like the person. If it is null, it is 1.35. A base's own "
        "vocoder does not use it.",
    )
    sentence_pause: NonNegativeFloat = option(
        0.2,
        affects="sampling",
        le=10,
        description="The seconds of silence between two sentences; silence that the voice speaks itself counts.",
    )

    def network_settings(self, published: VitsSettings) -> VitsSettings:
        """Return the shapes of the network that is trained and speaks, from those of the base's files."""
        return replace(published, source_filter=SourceFilterSettings()) if self.filters_source else published

    @property
    def filters_source(self) -> bool:
        """Whether a vocoder of source and filters takes the place of the base's own."""
        return self.vocoder == "source_filter"

    def chosen_discriminators(self, base_has_own: bool) -> tuple[str, ...]:
        """Return the kinds of discriminators that judge the sound; ``auto`` depends on vocoder and base."""
        kind = self.discriminators
        if kind == "auto":
            if self.filters_source:
                return ()
            kind = "waveform" if base_has_own else "spectrogram"
        return ("waveform", "spectrogram") if kind == "both" else (kind,)
