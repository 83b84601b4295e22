"""The sections of a recipe that turn recordings into features; the descriptions become the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    WithJsonSchema,
)

from vtune.recipe.field_types import ColumnName, Device, VoiceName, YesNoOrAuto
from vtune.types import Settings

MIN_CLIP_SECONDS = 0.5
"""Seconds of the shortest clip that is trained on: a single word. The engines themselves take 0.1 s."""

MIN_LONE_SECONDS = 1.0
"""Seconds of the shortest clip that vtune cuts from speech that stands alone, such as a recording of one sentence."""

MIN_CUT_SECONDS, MAX_CUT_SECONDS = 3.0, 13.0
"""Seconds of the clips that vtune cuts from longer recordings; shorter sentences are joined with their neighbours."""


class SourceRecipe(Settings):
    """One source of clips: a folder with recordings and a table, or a data set."""

    source: str = Field(
        min_length=1,
        description="A folder, a table (docs/how-to/data.md lists the formats), a saved data set, or hub:owner/name. A "
        "relative path is looked up from the current folder first, then from the recipe's folder.",
    )
    voice: VoiceName | None = Field(
        None,
        description="The name of the voice that speaks here. If it is null, the speaker column of the table decides "
        "where it names several speakers; otherwise it is the recipe's `voice`.",
    )
    weight: PositiveFloat = Field(
        1.0, description="How often one epoch uses each clip: 2 means twice, 0.5 means every second clip."
    )
    use: Literal["auto", "train", "validation"] = Field(
        "auto",
        description="What the clips are used for: `train` trains on all of them, `validation` holds all of them out, "
        "and `auto` holds out the share `train.validation`, or trains on all of them if another source is held out.",
    )
    table: str | None = Field(
        None,
        description="The name of the table in the folder. It is needed only if the folder holds several tables.",
    )
    audio_column: ColumnName | None = Field(
        None,
        description="The column with the path of the recording: its heading, or its number, counted from "
        "1. If it is null, vtune finds the column by its heading or by what its cells hold.",
    )
    text_column: ColumnName | None = Field(
        None,
        description="The column with the spoken words: its heading, or its number, counted from "
        "1. If it is null, vtune finds the column by its heading or by what its cells hold.",
    )
    speaker_column: ColumnName | None = Field(
        None,
        description="The column with the name of the speaker: its heading, or its number, counted from "
        "1. If it is null, vtune finds the column by its heading or by what its cells hold.",
    )
    speaker_folders: bool | None = Field(
        None,
        description="Whether each folder that divides the recordings is a speaker. If it is null, vtune decides by the "
        "names of the folders where no table names speakers, and asks where the names are unclear.",
    )
    word_files: Literal["use", "ignore"] = Field(
        "use",
        description="What happens to tables, texts and subtitles beside the recordings: `use` reads them, and stops "
        "where vtune does not understand them; `ignore` cuts and transcribes the recordings all the same.",
    )
    split: str = Field("train", description="The split of a data set that is used.")
    flagged: Literal["skip", "use"] = Field(
        "skip",
        description="What happens to rows whose `red_flags` column says that their words are doubtful: `skip` leaves "
        "them out, `use` trains on them.",
    )


class FoldersRecipe(Settings):
    """Where vtune writes; relative paths start at the current folder."""

    runs: Path = Field(
        Path("runs"), description="The folder for everything about the making of voices: features, checkpoints, logs."
    )
    voices: Path = Field(Path("voices"), description="The folder for finished voices; each voice has its own folder.")


class PrepareRecipe(Settings):
    """How raw recordings are cut into clips, and what happens to each clip before the engine encodes it."""

    min_seconds: NonNegativeFloat | None = Field(
        None,
        description="Shorter clips are not trained on; the ledger lists them. If it is null, the limit is 0.5. Clips "
        "that vtune cuts from recordings then have 3 seconds or more, or 1 where a sentence stands alone.",
    )
    max_seconds: PositiveFloat | None = Field(
        None,
        description="Longer clips are not trained on; the ledger lists them, and they are never shortened. If it is "
        "null, the engine's own limit applies, or 13 for clips that vtune cuts from recordings.",
    )
    target_loudness: float | None = Field(
        None,
        ge=-60,
        le=-3,
        description="The level of speech that each clip is brought to; a limiter keeps peaks under -1 dBFS. If it is "
        "null, clips keep their level, and clips that vtune cuts from recordings are brought to -20.",
    )
    loudness: Literal["rms", "lufs"] = Field(
        "rms",
        description="The unit of `target_loudness`: `rms` is the RMS level of the speech in dBFS, `lufs` is LUFS and "
        "needs the extra `loudness`.",
    )
    sample_rate: int | None = Field(
        None,
        ge=8_000,
        le=192_000,
        description="The sample rate in Hz of clips that vtune cuts from recordings. If it is null, it is the "
        "engine's sample rate.",
    )
    silence_threshold: float | None = Field(
        None,
        ge=-100,
        le=-5,
        description="The level in dBFS below which sound counts as silence. If it is null, the level follows the "
        "noise of each recording.",
    )
    silence_seconds: PositiveFloat = Field(
        0.5,
        le=5,
        description="Recordings are cut at pauses of at least this many seconds, and at shorter ones only where a "
        "clip would be too long otherwise.",
    )
    vad: YesNoOrAuto = Field(
        "auto",
        description="Find speech with Silero's neural network, which recognises music and noise; it needs the extra "
        "`vad`. `auto` uses it for recordings with noise or music, if it is installed.",
    )
    processes: PositiveInt | None = Field(
        None, description="How many recordings are cut at the same time. If it is null, one for each CPU core."
    )
    examine: bool = Field(
        True,
        description="Check the clips as `vtune doctor` does and report what is wrong. The check leaves no clip out.",
    )


NumberStyle = Literal["words", "digits"]
"""How transcripts write numbers."""

OWN_RECOGNISERS = {
    "whisper": "openai-whisper",
    "faster-whisper": "Whisper in CTranslate2, which needs the extra of that name",
    "transformers": "any speech recognition model of transformers",
}
"""vtune's own recognisers by name, each with a few words; extensions may add some."""

RecogniserName = Annotated[
    str, WithJsonSchema({"anyOf": [{"enum": list(OWN_RECOGNISERS)}, {"type": "string", "pattern": "^[a-z0-9-]+$"}]})
]


class TranscribeRecipe(Settings):
    """How clips that were cut from raw recordings get their words: by speech recognition."""

    backend: RecogniserName = Field(
        "whisper",
        description="The speech recogniser: `whisper` is openai-whisper, `faster-whisper` needs the extra of that "
        "name, `transformers` takes any speech recognition model of transformers, and any other name is the recogniser "
        "of an extension.",
    )
    model: str = Field(
        "medium",
        min_length=1,
        description="The size of the Whisper model (tiny, base, small, medium, large, turbo), a local path, or a Hub "
        "id.",
    )
    language: str = Field(
        "en", min_length=2, description="The code of the spoken language, such as `en`, or `auto` to detect it."
    )
    device: Device = Field(
        "auto",
        description="The device of the recogniser: `cpu`, `cuda` or `cuda:1`; `auto` uses an NVIDIA or AMD GPU if "
        "there is one. On other GPUs the recogniser runs on the processor.",
    )
    numbers: NumberStyle = Field(
        "words",
        description="How numbers are written: `words` as they are spoken (twentieth, five dollars), or `digits` as the "
        "recogniser likes to write them (20th, $5), which an engine may read in another way than they were spoken.",
    )


class EncodeRecipe(Settings):
    """How clips are encoded into features, which happens once."""

    processes: PositiveInt = Field(
        1, description="The number of encoding processes for each rank. Each process loads the codec."
    )
    cache: bool = Field(
        True, description="Use features that an earlier run encoded. The option `--no-cache` sets it to false."
    )


class AugmentRecipe(Settings):
    """Changed copies of each training clip, made with audiomentations before encoding."""

    variants: NonNegativeInt = Field(
        0, description="The number of changed copies of each clip, in addition to the clip itself."
    )
    seed: NonNegativeInt = Field(
        0, description="The seed of the random changes. The same seed changes the same clip in the same way."
    )
    transforms: list[dict[str, dict[str, Any] | None]] = Field(
        default_factory=list,
        description="The audiomentations transforms with their arguments, for example "
        "`- AddGaussianSNR: {min_snr_db: 20}`.",
    )
