"""What a recipe may say, section by section; the descriptions become the documentation and the JSON schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PlainValidator,
    PositiveFloat,
    PositiveInt,
    WithJsonSchema,
    field_serializer,
)
from pydantic_core import PydanticCustomError

from vtune.recipe.lora_arguments import MAX_RANK, LoraArguments
from vtune.types import LoraSettings, Settings

VOICE_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
"""A voice names a folder, a prompt prefix and a served model, so it is plain."""


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[
    list[str],
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]}),
]


def _count_or_auto(value: Any) -> Any:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise PydanticCustomError("count_or_auto", "must be a whole number above 0, or 'auto'")


def _yes_no_or_auto(value: Any) -> Any:
    if value == "auto":
        return value
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise PydanticCustomError("yes_no_or_auto", "must be true, false or 'auto'")


# One validator each, for pydantic's own unions tell of a wrong value once for each of their kinds.
CountOrAuto = Annotated[
    int | Literal["auto"],
    PlainValidator(_count_or_auto),
    WithJsonSchema({"anyOf": [{"type": "integer", "exclusiveMinimum": 0}, {"const": "auto"}]}),
]
YesNoOrAuto = Annotated[
    bool | Literal["auto"],
    PlainValidator(_yes_no_or_auto),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"const": "auto"}]}),
]
VoiceName = Annotated[str, Field(pattern=VOICE_NAME)]
ColumnName = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer", "exclusiveMinimum": 0}]}),
]
Fraction = Annotated[float, Field(ge=0, lt=1)]


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
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="The device of the recogniser; `auto` uses the GPU if there is one."
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


class LoraRecipe(Settings):
    """The LoRA adapter; names follow `peft.LoraConfig`. Each engine has its own defaults."""

    rank: PositiveInt = Field(
        32,
        le=MAX_RANK,
        description="The rank of the update, which sets how much the adapter can learn: 8 is small, 32 is usual, 64 "
        "is large.",
    )
    alpha: PositiveFloat = Field(64, description="The scale of the update, usually twice the rank.")
    dropout: Fraction = Field(
        0.0, description="The share of the adapter's inputs that is set to zero in each training step."
    )
    rslora: bool = Field(False, description="Scale the update by alpha / sqrt(rank) instead of alpha / rank.")
    targets: Names = Field(
        ["all"],
        min_length=1,
        description="The modules that get an adapter: presets of the engine, ends of module names, or regular "
        "expressions.",
    )
    modules_to_save: Names = Field(
        default_factory=list,
        description="Modules that are trained whole. A voice with such modules must be merged before other servers "
        "can use it.",
    )
    arguments: Annotated[LoraArguments, BeforeValidator(lambda given: {} if given is None else given)] = Field(
        LoraArguments(), description="Further settings of the adapter, such as DoRA; see the section `lora.arguments`."
    )

    @field_serializer("arguments")
    def _only_what_was_given(self, arguments: LoraArguments) -> dict[str, Any]:
        # So that an argument that is new to vtune changes neither the identity nor the record of earlier adapters.
        return arguments.given()

    def settings(self) -> LoraSettings:
        """Return the adapter's shape as engines take it."""
        return LoraSettings(
            self.rank,
            self.alpha,
            self.dropout,
            self.rslora,
            tuple(self.targets),
            tuple(self.modules_to_save),
            self.arguments.given(),
        )


class TrainRecipe(Settings):
    """The training loop; names follow `transformers.TrainingArguments` where it has them."""

    method: Literal["lora", "full"] = Field(
        "lora",
        description="`lora` trains an adapter, `full` trains every weight. For QLoRA, use `lora` and set the engine's "
        "`quantization`.",
    )
    epochs: PositiveFloat = Field(
        3,
        description="The number of passes over the clips. Use 1 for 100 clips or more, 2 to 3 for 30 to 100, and 5 or "
        "more for fewer.",
    )
    max_steps: PositiveInt | None = Field(
        None,
        description="Stop after this many optimizer steps, even if `epochs` asks for more. If it is null, `epochs` "
        "decides.",
    )
    batch_size: CountOrAuto = Field(
        1,
        description="The number of clips in one forward pass of one process. `auto` takes as many of the "
        "`gradient_accumulation` clips of an optimizer step as fit into memory, with the same result.",
    )
    gradient_accumulation: PositiveInt = Field(1, description="The number of forward passes in one optimizer step.")
    learning_rate: PositiveFloat = Field(
        5e-5, description="The highest learning rate, reached after warm-up. 1e-5 is careful, 1e-4 is fast."
    )
    learning_rates: dict[str, PositiveFloat] = Field(
        default_factory=dict,
        description="Learning rates for some of what is trained, in place of `learning_rate`: for a part that the "
        "engine trains beside the adapter, such as `discriminator`, or for the tensors whose names have these words "
        "(`lora_B`, `layers.0`) or match a regular expression.",
    )
    scheduler: str = Field(
        "cosine",
        description="How the learning rate changes: `linear`, `cosine`, `constant`, `constant_with_warmup` or any "
        "other scheduler of transformers.",
    )
    warmup: NonNegativeFloat = Field(
        0.03,
        description="How long the learning rate rises from zero. A value below 1 is a share of all steps, any other "
        "value is a number of steps.",
    )
    weight_decay: NonNegativeFloat = Field(
        0.0, description="How strongly the optimizer pulls weights towards zero. 0 turns weight decay off."
    )
    max_grad_norm: NonNegativeFloat = Field(
        1.0, description="Gradients with a larger norm are scaled down to it. 0 turns clipping off."
    )
    ema: PositiveFloat | None = Field(
        None,
        lt=1,
        description="Make the voice of an exponential moving average of the adapter in place of its last weights: the "
        "share of the average that a step keeps, such as `0.999`. It begins lower. If it is null, nothing is averaged.",
    )
    optimizer: str = Field(
        "adamw_torch",
        description="An optimizer of transformers, such as `adamw_torch`, `adamw_torch_fused` or `adamw_8bit`.",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        description="The number format of the computation. `auto` uses bf16 if the device multiplies in bf16 (CPUs "
        "included), otherwise fp16 on a GPU and fp32 on a CPU.",
    )
    gradient_checkpointing: YesNoOrAuto = Field(
        "auto",
        description="Use less memory and about 40 % more time, with the same result. `auto` turns it on if the "
        "estimate of `vtune plan` does not fit into memory without it.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="The device of the training; `auto` uses the GPU if there is one."
    )
    world_size: PositiveInt | None = Field(
        None,
        description="The number of processes that this run must have. A run with any other number fails. If it is "
        "null, any number is accepted.",
    )
    sharding: Literal["none", "fsdp2"] = Field(
        "none",
        description="How the network lies in the memory of several processes. `none` keeps the whole network in each. "
        "`fsdp2` divides weights, gradients and the optimizer's state over them, which full fine-tuning of a large "
        "network on small GPUs needs.",
    )
    validation: Fraction = Field(
        0.05,
        description="The share of the clips that is kept for validation. A hash of its content decides about each "
        "clip.",
    )
    evaluate_every: PositiveInt | None = Field(
        None, description="Steps between two measurements of the validation loss. If it is null, once in each epoch."
    )
    save_every: PositiveInt | None = Field(
        None, description="Steps between two checkpoints. If it is null, once in each epoch."
    )
    save_limit: PositiveInt = Field(
        2, description="The number of newest checkpoints that are kept, in addition to the best one."
    )
    early_stopping: PositiveInt | None = Field(
        None,
        description="Stop after this many validations in a row that were not better than the best. A validation is "
        "judged by `evaluate.selection` if that can be measured, otherwise by its loss. If it is null, training never "
        "stops early.",
    )
    log_every: PositiveInt = Field(10, description="Steps between two lines of metrics.")
    report_to: Names = Field(
        ["tensorboard"],
        description="Experiment trackers of transformers, such as `tensorboard`, `wandb` or `mlflow`.",
    )
    seed: NonNegativeInt = Field(
        0, le=2**31 - 1, description="The seed of the order of clips, of dropout and of the initial adapter."
    )
    arguments: dict[str, Any] = Field(
        default_factory=dict,
        description="Any other arguments of `transformers.TrainingArguments`, under their own names.",
    )


class EvaluateRecipe(Settings):
    """What the voice and its untuned base speak after training, and how the speech is scored."""

    sentences: list[str] = Field(
        default=[
            "The quick brown fox jumps over the lazy dog.",
            "I will read you one more line before we stop.",
        ],
        description="Sentences that are spoken into the `samples/` folder of the voice.",
    )
    seed: NonNegativeInt = Field(
        0, description="The seed of the spoken samples. Scores use this seed and the ones that follow it."
    )
    source: str | None = Field(
        None,
        min_length=1,
        description="Recordings of the voice with their words, given as under `data`, that are not trained on. Their "
        "words are spoken and scored against them. If it is null, the clips that are kept for validation are used.",
    )
    impostors: str | None = Field(
        None,
        min_length=1,
        description="Recordings of other people, given as under `data`. They show how similar a stranger sounds. If "
        "it is null, the other voices of the data are used.",
    )
    clips: NonNegativeInt = Field(
        8, description="The largest number of these clips that are spoken and scored. 0 turns scoring off."
    )
    seeds: PositiveInt = Field(1, description="How often each clip is spoken, each time with another seed.")
    train_sentences: NonNegativeInt = Field(
        4,
        description="How many sentences of the training data are spoken too. Much better scores on them show that the "
        "voice has memorised them.",
    )
    checkpoint_sentences: NonNegativeInt = Field(
        4,
        description="How many sentences are spoken and scored at each checkpoint, to keep the best checkpoint: first "
        "the `sentences`, then words of held-out clips. 0 keeps the checkpoint with the lowest loss, or the last.",
    )
    metrics: list[str] | None = Field(
        None,
        description="The metrics that are computed, such as `wer`, or groups of them, such as `delivery`. If it is "
        "null, all installed metrics are computed.",
    )
    selection: Names = Field(
        ["wer", "speaker_similarity"],
        min_length=1,
        description="The metrics that the best checkpoint is chosen by, extensions' metrics included. One metric "
        "chooses by itself. Several are scaled from 0 (worst) to 1 (best) and multiplied.",
    )
    recogniser: str | None = Field(
        None,
        min_length=1,
        description="The Whisper model that counts wrong words: a size, which is downloaded once, or a path. If it is "
        "null, a model that is already on this machine is used.",
    )


class ConsentRecipe(Settings):
    """Whose voice it is, and on what consent; the voice's card shows both."""

    person: str = Field(min_length=1, description="The person who speaks in the recordings.")
    statement: str = Field(min_length=1, description="What this person agreed to, or why no consent is needed.")


class Recipe(Settings):
    """All settings of one run."""

    voice: VoiceName = Field(description="The name of the voice and of its folders.")
    engine: str = Field(
        min_length=1,
        description="The name of an installed engine (`vtune engines` lists them), or the path of a Python file with "
        "your own engine.",
    )
    engine_options: Any = Field(None, description="The options of the engine, which each engine defines itself.")
    data: list[SourceRecipe] = Field(min_length=1, description="The sources of the clips, at least one.")
    folders: FoldersRecipe = Field(FoldersRecipe(), description="Where vtune writes.")
    prepare: PrepareRecipe = Field(PrepareRecipe(), description="How recordings become clips.")
    transcribe: TranscribeRecipe = Field(TranscribeRecipe(), description="How clips get their words.")
    encode: EncodeRecipe = Field(EncodeRecipe(), description="How clips become features.")
    augment: AugmentRecipe = Field(AugmentRecipe(), description="Changed copies of the clips.")
    lora: LoraRecipe = Field(LoraRecipe(), description="The adapter.")
    train: TrainRecipe = Field(TrainRecipe(), description="The training loop.")
    evaluate: EvaluateRecipe = Field(EvaluateRecipe(), description="What is spoken and scored after training.")
    consent: ConsentRecipe | None = Field(
        None, description="Whose voice it is, and on what consent. If it is null, the card says that this is missing."
    )
    extensions: dict[str, Any] = Field(
        default_factory=dict, description="The options of installed extensions, by the name of the extension."
    )
    _folder: Path = Path()

    @property
    def folder(self) -> Path:
        """Where the recipe file lies."""
        return self._folder

    def settings(self) -> dict[str, Any]:
        """Return the resolved recipe as plain data, every default written out."""
        data = self.model_dump(mode="json")
        data["engine_options"] = self.engine_options.model_dump(mode="json")
        data["extensions"] = {name: options.model_dump(mode="json") for name, options in self.extensions.items()}
        return data
