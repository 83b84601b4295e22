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
)
from pydantic_core import PydanticCustomError

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
    raise PydanticCustomError("count_or_auto", "input should be a whole number above 0, or 'auto'")


def _yes_no_or_auto(value: Any) -> Any:
    if value == "auto":
        return value
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise PydanticCustomError("yes_no_or_auto", "input should be true, false or 'auto'")


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
Fraction = Annotated[float, Field(ge=0, lt=1)]


class SourceRecipe(Settings):
    """One source of clips: a folder of recordings beside a table, or a data set."""

    source: str = Field(
        min_length=1,
        description="folder, table file (.csv .tsv .txt .jsonl .json .parquet), saved data set, or hub:owner/name; "
        "looked up from the current folder, then from the recipe's",
    )
    voice: VoiceName | None = Field(
        None,
        description="whose voice this is; default: the table's speakers where it names several, else `voice`",
    )
    weight: PositiveFloat = Field(1.0, description="how often an epoch sees each clip: 2 is twice, 0.5 every other")
    table: str | None = Field(None, description="the table inside the folder, where several could be meant")
    audio_column: str | None = Field(None, description="column that names the recording; default: detected")
    text_column: str | None = Field(None, description="column that holds the words; default: detected")
    speaker_column: str | None = Field(None, description="column that names the speaker; default: detected")
    split: str = Field("train", description="which split of a data set to take")
    flagged: Literal["skip", "use"] = Field(
        "skip", description="what to do with rows whose `red_flags` say that their words are doubtful"
    )


class FoldersRecipe(Settings):
    """Where things lie, from the current folder."""

    runs: Path = Field(Path("runs"), description="how voices were made: features, checkpoints, logs, ledger")
    voices: Path = Field(Path("voices"), description="what is shipped: one folder a voice")


class PrepareRecipe(Settings):
    """How raw recordings become clips, and what happens to a clip between its file and the engine."""

    min_seconds: NonNegativeFloat | None = Field(
        None,
        description="shorter clips are listed in the ledger, not trained on; default: 0.5, and 3 where recordings "
        "are cut",
    )
    max_seconds: PositiveFloat | None = Field(
        None,
        description="longer clips are listed, never cut; default: what the engine's own budget allows, and 13 where "
        "recordings are cut",
    )
    target_loudness: float | None = Field(
        None,
        ge=-60,
        le=-3,
        description="level of the speech that each clip is brought to, peaks held under -1 dBFS by a limiter; "
        "default: left as it is, and -20 where recordings are cut",
    )
    loudness: Literal["rms", "lufs"] = Field(
        "rms", description="what target_loudness means: RMS of the speech in dBFS, or LUFS (extra `loudness`)"
    )
    sample_rate: int | None = Field(
        None, ge=8_000, le=192_000, description="Hz of the clips that recordings are cut into; default: the engine's"
    )
    silence_threshold: float | None = Field(
        None, ge=-100, le=-5, description="dBFS under which it is quiet; default: follows the recording's own noise"
    )
    silence_seconds: PositiveFloat = Field(0.5, le=5, description="a pause to cut in; shorter ones where it must be")
    vad: bool = Field(False, description="find speech by Silero's network, which knows music and noise (extra `vad`)")
    processes: PositiveInt | None = Field(None, description="recordings cut at a time; default: one a core")
    examine: bool = Field(
        True, description="look the clips over as `vtune doctor` does, and say what is wrong; leaves nothing out"
    )


class TranscribeRecipe(Settings):
    """How clips that were cut from raw recordings get their words."""

    backend: Literal["whisper", "faster-whisper", "transformers"] = Field(
        "whisper", description="openai-whisper; faster-whisper (extra `faster-whisper`); any ASR model of transformers"
    )
    model: str = Field(
        "medium", min_length=1, description="a size (tiny base small medium large turbo), a local path, or a Hub id"
    )
    language: str = Field("en", min_length=2, description="code of the language spoken, or `auto`")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: the GPU where there is one")


class EncodeRecipe(Settings):
    """Turning clips into features, once."""

    processes: PositiveInt = Field(1, description="worker processes per rank; each loads the codec")
    cache: bool = Field(True, description="use features encoded before; `--no-cache` is the same as false")


class AugmentRecipe(Settings):
    """Extra variants of each training clip, changed by audiomentations before encoding."""

    variants: NonNegativeInt = Field(0, description="changed copies per clip, beside the clip itself")
    seed: NonNegativeInt = Field(0, description="the same seed changes the same clip in the same way")
    transforms: list[dict[str, dict[str, Any] | None]] = Field(
        default_factory=list,
        description="audiomentations transforms with their arguments, e.g. `- AddGaussianSNR: {min_snr_db: 20}`",
    )


class LoraRecipe(Settings):
    """The adapter; names follow `peft.LoraConfig`. Defaults are the engine's."""

    rank: PositiveInt = Field(32, le=512, description="capacity; 8 minimal, 32 usual, 64 large")
    alpha: PositiveFloat = Field(64, description="scale of the update, usually 2 x rank")
    dropout: Fraction = Field(0.0, description="share of the adapter's inputs that is dropped while training")
    rslora: bool = Field(False, description="scale by alpha / sqrt(rank) instead of alpha / rank")
    targets: Names = Field(
        ["all"],
        min_length=1,
        description="presets of the engine, ends of module names, or regular expressions",
    )
    modules_to_save: Names = Field(
        default_factory=list, description="modules trained whole; such a voice can only be served merged"
    )

    def settings(self) -> LoraSettings:
        """Return the adapter's shape as engines take it."""
        return LoraSettings(
            self.rank, self.alpha, self.dropout, self.rslora, tuple(self.targets), tuple(self.modules_to_save)
        )


class TrainRecipe(Settings):
    """The training loop; names follow `transformers.TrainingArguments` where it has them."""

    method: Literal["lora", "full"] = Field(
        "lora", description="an adapter, or every weight; for QLoRA set the engine's `quantization` too"
    )
    epochs: PositiveFloat = Field(
        3, description="passes over the clips; 1 for 100+ clips, 2-3 for 30-100, 5+ for fewer"
    )
    max_steps: PositiveInt | None = Field(
        None, description="stop after so many optimizer steps, whatever `epochs` says"
    )
    batch_size: CountOrAuto = Field(
        1,
        description="clips per process and forward pass; auto: as many of the `gradient_accumulation` clips of an "
        "optimizer step as fit into memory, with the same result",
    )
    gradient_accumulation: PositiveInt = Field(1, description="forward passes per optimizer step")
    learning_rate: PositiveFloat = Field(5e-5, description="peak, after warm-up; 1e-5 careful, 1e-4 fast")
    scheduler: str = Field("cosine", description="linear, cosine, constant, constant_with_warmup, ...")
    warmup: NonNegativeFloat = Field(0.03, description="below 1 a share of all steps, else a number of steps")
    weight_decay: NonNegativeFloat = 0.0
    max_grad_norm: NonNegativeFloat = Field(1.0, description="gradients are clipped to this norm; 0 does not clip")
    optimizer: str = Field(
        "adamw_torch", description="an optimizer of transformers, e.g. adamw_torch_fused, adamw_8bit"
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        description="auto: bf16 where the machine multiplies in it, a CPU too; else fp16 on a GPU and fp32 on a CPU",
    )
    gradient_checkpointing: YesNoOrAuto = Field(
        "auto",
        description="less memory for about 40 % more time, the same result; auto: where the estimate of `vtune plan` "
        "does not fit without",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: the GPU where there is one")
    world_size: PositiveInt | None = Field(
        None, description="processes that this run must have; it fails with any other"
    )
    validation: Fraction = Field(0.05, description="share of the clips, by hash of their content, kept for validation")
    evaluate_every: PositiveInt | None = Field(None, description="steps between validation losses; default: each epoch")
    save_every: PositiveInt | None = Field(None, description="steps between checkpoints; default: each epoch")
    save_limit: PositiveInt = Field(2, description="checkpoints kept, beside the best")
    early_stopping: PositiveInt | None = Field(
        None,
        description="stop after so many validations that were no better than the best, by ear where `evaluate.during` "
        "can be had, else by loss",
    )
    log_every: PositiveInt = Field(10, description="steps between lines of metrics")
    report_to: Names = Field(["tensorboard"], description="trackers of transformers: tensorboard, wandb, mlflow, ...")
    seed: NonNegativeInt = Field(0, le=2**31 - 1, description="order of clips, dropout, initial adapter")
    arguments: dict[str, Any] = Field(
        default_factory=dict, description="any further transformers.TrainingArguments, by their own names"
    )


class EvaluateRecipe(Settings):
    """What is spoken when training is done, by the voice and by its untuned base, and how it is scored."""

    sentences: list[str] = Field(
        default=[
            "The quick brown fox jumps over the lazy dog.",
            "I will read you one more line before we stop.",
        ],
        description="each is written to the voice's samples/",
    )
    seed: NonNegativeInt = Field(0, description="of what is spoken; scores go on from it, one seed after another")
    source: str | None = Field(
        None,
        min_length=1,
        description="recordings of the voice with their words, as under `data`, that nothing is trained on: the words "
        "are spoken again and scored against them; default: the clips held for validation",
    )
    others: str | None = Field(
        None,
        min_length=1,
        description="recordings of other people, as under `data`: how near does a stranger come? default: the other "
        "voices of the data",
    )
    clips: NonNegativeInt = Field(8, description="how many of them, at most; 0 scores nothing")
    seeds: PositiveInt = Field(1, description="how often each is spoken, with another seed each time")
    trained: NonNegativeInt = Field(
        4, description="how many sentences of the training are spoken too: better there is learned by heart"
    )
    during: NonNegativeInt = Field(
        4,
        description="how many sentences (those above, then held-out words) are spoken at each save and judged, to "
        "keep the best checkpoint; 0 keeps it by loss",
    )
    judges: list[str] | None = Field(
        None, description="groups of figures, such as text, voice, delivery; default: all that there are"
    )
    recogniser: str | None = Field(
        None,
        min_length=1,
        description="Whisper that counts wrong words: a size (fetched once) or a path; default: what is here already",
    )


class ConsentRecipe(Settings):
    """Whose voice it is, and on what consent; goes onto the voice's card."""

    person: str = Field(min_length=1, description="who speaks in the recordings")
    statement: str = Field(min_length=1, description="what they agreed to, or why no consent is needed")


class Recipe(Settings):
    """Everything that one run is made of."""

    voice: VoiceName = Field(description="name of the voice and of its folders")
    engine: str = Field(
        min_length=1, description="an installed engine (`vtune engines` lists them), or a Python file of your own"
    )
    engine_options: Any = Field(None, description="the engine's own options")
    data: list[SourceRecipe] = Field(min_length=1, description="where the clips are")
    folders: FoldersRecipe = FoldersRecipe()
    prepare: PrepareRecipe = PrepareRecipe()
    transcribe: TranscribeRecipe = TranscribeRecipe()
    encode: EncodeRecipe = EncodeRecipe()
    augment: AugmentRecipe = AugmentRecipe()
    lora: LoraRecipe = LoraRecipe()
    train: TrainRecipe = TrainRecipe()
    evaluate: EvaluateRecipe = EvaluateRecipe()
    consent: ConsentRecipe | None = None
    extensions: dict[str, Any] = Field(default_factory=dict, description="options of installed extensions, by name")
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
