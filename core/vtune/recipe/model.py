"""What a recipe may say, section by section; the descriptions become the documentation and the JSON schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_serializer,
)

from vtune.recipe.data_sections import (
    AugmentRecipe,
    EncodeRecipe,
    FoldersRecipe,
    PrepareRecipe,
    SourceRecipe,
    TranscribeRecipe,
)
from vtune.recipe.field_types import CountOrAuto, Device, Fraction, Names, VoiceName, YesNoOrAuto
from vtune.recipe.lora_arguments import MAX_RANK, LoraArguments
from vtune.types import LoraSettings, Settings


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
    learning_rates: dict[str, NonNegativeFloat] = Field(
        default_factory=dict,
        description="Learning rates for some of what is trained, in place of `learning_rate`: for a part that the "
        "engine trains beside the adapter, such as `discriminator`, or for the tensors whose names have these words "
        "(`lora_B`, `layers.0`) or match a regular expression. 0 freezes tensors: they stay as they are, and cost no "
        "time.",
    )
    frozen: Names = Field(
        default_factory=list,
        description="Tensors that keep the values of the base, for the method `full`: words of their names (`wte`, "
        "`layers.0`), or regular expressions for whole names. Embeddings are a usual choice. With `lora`, the whole "
        "base is frozen.",
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
        description="Use an exponential moving average of the adapter's weights for the voice, in place of the last "
        "weights. "
        "The number is the share of the average that each step keeps, such as `0.999`; the first steps keep less. If "
        "it "
        "is null, nothing is averaged.",
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
    device: Device = Field(
        "auto",
        description="The device of the training: `cpu`, `cuda` (NVIDIA, AMD), `cuda:1` (the second GPU), `mps` (a Mac) "
        "or `xpu` (Intel). `auto` uses a GPU if there is one.",
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

    def held_out_share(self, index: int) -> float:
        """Return the share of the clips of one source that is kept for validation.

        :param index: of the source in ``data``.
        """
        use = self.data[index].use
        if use != "auto":
            return float(use == "validation")
        return 0.0 if any(source.use == "validation" for source in self.data) else self.train.validation

    @property
    def holds_clips_out(self) -> bool:
        """Whether clips of any source are kept for validation."""
        return any(self.held_out_share(index) for index in range(len(self.data)))

    def settings(self) -> dict[str, Any]:
        """Return the resolved recipe as plain data, every default written out."""
        data = self.model_dump(mode="json")
        data["engine_options"] = self.engine_options.model_dump(mode="json")
        data["extensions"] = {name: options.model_dump(mode="json") for name, options in self.extensions.items()}
        return data
