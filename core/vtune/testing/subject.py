"""The engine that the kit checks, and what its hooks make: each part is made once and kept for later rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from vtune.engines import Engine, load_users_engine
from vtune.engines.discovery import find_engine, import_file, import_plugin
from vtune.engines.single_file import is_engine_file, named_engine_file, use_engine_file
from vtune.testing.made_clip import made_clip
from vtune.testing.rule import BrokenRule, NotApplicable
from vtune.testing.watch import process_state, restore_process
from vtune.types import Audio, Batch, Clip, Conditioning, EngineInfo, EngineOptions, Features
from vtune.types.options import text_values

if TYPE_CHECKING:
    from torch import nn

CLIP_SECONDS = (0.9, 1.7, 0.5)
"""Lengths of the clips that the kit makes; they are unequal, so that padding has an effect."""

TEXT = "One line to speak"
"""One sentence: one utterance in every engine."""

EQUALLY_LONG_TEXT = "Who may buy a cat"
"""As long as ``TEXT``, with other letters."""

OTHER_TEXT = "Quite another text"
LONG_TEXT = "A line. And one more, which is longer. The end."
"""Three sentences, no longer than they must be: an engine may need hundreds of steps of its network for them."""

SPEECH_SECONDS = 60.0
PIECES = 20_000
"""Sound and number of pieces of an utterance of a few words that no engine needs."""

_WAKE_STDS = (0.1, 1.0, 10.0)


class Subject:
    """An engine under examination.

    :param name: of an installed engine, or the path of an engine file.
    :param options: values of the engine's options.
    :param folder: an empty folder for whatever the rules write.
    :param clips: three or more clips of unequal length; default: rising tones with made-up words.
    :param changes: another valid value by option, for options whose values cannot be guessed.

    ``restores_process`` tells whether the state of the process is restored after each utterance.
    """

    def __init__(
        self,
        name: str,
        options: Mapping[str, Any],
        folder: Path,
        clips: Sequence[Clip] | None = None,
        seed: int = 0,
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        self.name, self.options, self.folder, self.seed = name, dict(options), folder, seed
        self.changes = dict(changes or {})
        self.restores_process = True
        self._clips = clips
        self._folders = 0

    # The engine

    @cached_property
    def module(self) -> ModuleType:
        """The module of the hooks. :raises EngineError: the engine is not installed or cannot be imported."""
        if is_engine_file(self.name):
            use_engine_file(self.name)
            return import_file(named_engine_file(self.name))
        return import_plugin(find_engine(self.name), "engine")

    @cached_property
    def engine(self) -> Engine:
        """The typed engine. :raises EngineError: its hooks or what they declare break the contract."""
        return load_users_engine(self.name)

    @property
    def info(self) -> EngineInfo:
        """What the engine declares about itself."""
        return self.engine.info

    @cached_property
    def engine_options(self) -> EngineOptions:
        """The checked options."""
        return self.info.options.model_validate(self.options)

    @property
    def supports(self) -> frozenset[str]:
        """The names of the engine's capabilities."""
        return frozenset(str(capability) for capability in self.info.supports)

    def require_support(self, capability: str) -> None:
        """:raises NotApplicable: the engine says that it cannot do this."""
        if capability not in self.supports:
            raise NotApplicable(f"engine_info does not list {capability!r} under supports")

    def call(self, hook: str, **arguments: Any) -> Any:
        """Call a hook as the facade does, but without the facade's checks, so that each rule can name its own cause."""
        caller = getattr(self.engine._hook, hook)
        extensions = {"extensions": self.engine.extensions} if "extensions" in caller.spec.argnames else {}
        return caller(**arguments, **extensions)

    def implements(self, hook: str) -> bool:
        """Tell whether the engine itself has a hook."""
        return hasattr(self.module, hook)

    def new_folder(self, name: str) -> Path:
        """Make an empty folder."""
        self._folders += 1
        path = self.folder / f"{self._folders:02}-{name}"
        path.mkdir(parents=True)
        return path

    # What its hooks make

    def new_base(self, **options: Any) -> Any:
        """Load the base once more, with some options changed."""
        import torch

        values = self.engine_options if not options else self.info.options.model_validate({**self.options, **options})
        return self.engine.load_base(values, torch.device("cpu"), torch.float32)

    @cached_property
    def base(self) -> Any:
        """The state that most rules share: it has been used before."""
        return self.new_base()

    @cached_property
    def clips(self) -> list[Clip]:
        """Clips of one voice."""
        rate = self.info.sample_rate
        return list(self._clips or (made_clip(rate, seconds, index) for index, seconds in enumerate(CLIP_SECONDS)))

    def clip(self, seconds: float, number: int, text: str | None = None) -> Clip:
        """Make one more clip."""
        made = made_clip(self.clips[0].sample_rate, seconds, number)
        return replace(made, text=text or made.text)

    def prepared(self, text: str, base: Any = None) -> str:
        """Return a text as the network reads it."""
        values = text_values(self.engine_options)
        return self.engine.prepare_text(self.base if base is None else base, text, values)

    @cached_property
    def features(self) -> list[Features]:
        """The encoded clips."""
        return [self.encode(clip) for clip in self.clips]

    def encode(self, clip: Clip, base: Any = None) -> Features:
        """Prepare the text of one clip and encode the clip."""
        base = self.base if base is None else base
        features: Features = self.call("prepare_sample", base=base, clip=self.with_prepared_text(clip, base))
        return features

    def with_prepared_text(self, clip: Clip, base: Any = None) -> Clip:
        """Return a copy of a clip, with the text that the network reads."""
        return replace(clip, text=self.prepared(clip.text, base), waveform=clip.waveform.copy())

    def other_sound(self, clip: Clip) -> Clip:
        """Return a clip that differs from another one in its sound alone: not in its id, its text or its length."""
        rising = np.linspace(0.1, 1.0, len(clip.waveform), dtype=np.float32)
        return replace(clip, waveform=clip.waveform[::-1] * rising)

    @cached_property
    def rows(self) -> list[Features]:
        """The encoded clips as training gives them to ``collate``: stored and read back, each with its lot."""
        return [
            {**as_stored(features), "lot": np.asarray((0.37 * index) % 1)}
            for index, features in enumerate(self.features)
        ]

    @property
    def paired_rows(self) -> list[Features]:
        """The rows with the paired features of another clip."""
        names = self.info.paired_features
        count = len(self.rows)
        return [
            {**row, **{f"paired.{name}": self.rows[(index + 1) % count][name] for name in names}}
            for index, row in enumerate(self.rows)
        ]

    def collate(self, rows: Sequence[Features]) -> Batch:
        """Make a batch; each row is a copy."""
        return self.engine.collate(self.base, [{name: np.array(value) for name, value in row.items()} for row in rows])

    @property
    def batch(self) -> Batch:
        """A new batch of all clips."""
        return self.collate(self.rows)

    def model(self, awake: float = 0.0, base: Any = None) -> nn.Module:
        """Build a model with a new adapter, in eval mode.

        :param awake: standard deviation of random numbers in the half of the adapter that begins at zero.
        """
        import torch

        torch.manual_seed(self.seed)
        model = self.engine.build_lora_model(self.base if base is None else base, self.info.lora)
        if awake:
            wake(model, awake, self.seed)
        return model.eval()

    @cached_property
    def conditioning(self) -> Conditioning:
        """What the voice of the clips keeps."""
        return self.condition(self.clips)

    def condition(self, clips: Sequence[Clip], base: Any = None) -> Conditioning:
        """Extract what the voice of some clips keeps."""
        base = self.base if base is None else base
        copies = [replace(clip, waveform=clip.waveform.copy()) for clip in clips]
        return self.engine.extract_conditioning(base, copies, self.engine_options)

    # Speech

    def speak(
        self,
        text: str = TEXT,
        seed: int | None = None,
        *,
        base: Any = None,
        model: nn.Module | None = None,
        conditioning: Conditioning | None = None,
        sampling: Mapping[str, Any] | None = None,
        untuned: bool = False,
    ) -> list[Audio]:
        """Speak a text to its end as vtune does, without the checks of the facade.

        :raises BrokenRule: the utterance does not end.
        """
        base = self.base if base is None else base
        model = self.model(base=base) if model is None else model
        state = process_state()
        try:
            return self.listen(model.eval(), self.start(text, seed, base, model, conditioning, sampling), text, untuned)
        finally:
            if self.restores_process:  # what an engine changes there has a rule of its own
                restore_process(state)

    def start(
        self,
        text: str,
        seed: int | None,
        base: Any,
        model: nn.Module,
        conditioning: Conditioning | None = None,
        sampling: Mapping[str, Any] | None = None,
    ) -> Iterator[Audio]:
        """Begin an utterance."""
        pieces: Iterator[Audio] = self.call(
            "synthesize", base=base, model=model, text=self.prepared(text, base),
            conditioning=self.conditioning if conditioning is None else conditioning,
            seed=self.seed if seed is None else seed, sampling=dict(sampling or {}),
        )  # fmt: skip
        return pieces

    def listen(self, model: nn.Module, pieces: Iterator[Audio], text: str, untuned: bool = False) -> list[Audio]:
        """Take the pieces of an utterance one by one, in the modes in which vtune does."""
        received: list[Audio] = []
        samples = 0
        limit = SPEECH_SECONDS * self.info.sample_rate
        while True:
            piece = next_piece(model, pieces, untuned)
            if piece is None:
                return received
            received.append(piece)
            samples += _sample_count(piece)
            if samples > limit or len(received) > PIECES:
                raise BrokenRule(
                    f"synthesize had not ended after {samples / self.info.sample_rate:.0f} s of sound in "
                    f"{len(received):,} "
                    f"pieces, for the text {text!r}."
                )


def _sample_count(piece: Any) -> int:
    try:
        return int(np.asarray(piece.waveform).size)
    except (AttributeError, TypeError, ValueError, RuntimeError):
        return 0  # what is wrong with it has a rule of its own


def next_piece(model: nn.Module, pieces: Iterator[Audio], untuned: bool = False) -> Audio | None:
    """Take one piece in inference mode; None at the end."""
    import torch
    from peft import PeftModel

    adapter = model.disable_adapter() if untuned and isinstance(model, PeftModel) else nullcontext()
    with torch.inference_mode(), adapter:
        return next(pieces, None)


def sound_of(pieces: Sequence[Audio]) -> np.ndarray:
    """Join the pieces of an utterance, float ``[samples]``."""
    return np.concatenate([np.zeros(0, dtype=np.float32), *(np.ravel(piece.waveform) for piece in pieces)])


def wake(model: nn.Module, std: float, seed: int) -> None:
    """Fill the half of an adapter that begins at zero with random numbers, so that the adapter changes something."""
    import torch

    generator = torch.Generator().manual_seed(seed + 1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name or "lora_embedding_A" in name:
            noise = torch.randn(parameter.shape, generator=generator) * std
            parameter.data = noise.to(parameter.device, parameter.dtype)


def first_change(make: Callable[[float], np.ndarray], usual: np.ndarray) -> float | None:
    """Return the smallest loudness of an adapter's random numbers with which something changes; None if none does."""
    return next((std for std in _WAKE_STDS if not same_sound(make(std), usual)), None)


def same_sound(first: np.ndarray, second: np.ndarray, tolerance: float = 0.0) -> bool:
    """Tell whether two sounds have one length and the same samples."""
    return first.shape == second.shape and bool(np.allclose(first, second, rtol=0, atol=tolerance, equal_nan=True))


def difference(first: np.ndarray, second: np.ndarray, rate: int) -> str:
    """Describe in which way two sounds differ."""
    if first.shape != second.shape:
        return f"{len(first) / rate:.3f} s long in the one case, {len(second) / rate:.3f} s in the other"
    where = int(np.argmax(~np.isclose(first, second, rtol=0, atol=0, equal_nan=True)))
    return f"differing by up to {np.abs(first - second).max():.2g}, first at {where / rate:.3f} s"


def differing(first: Mapping[str, Any], second: Mapping[str, Any], tolerance: float = 0.0) -> str | None:
    """Return the name of the first array that differs between two mappings of arrays; None if they are equal."""
    for name in {**first, **second}:
        if name not in first or name not in second:
            return name
        left, right = np.asarray(first[name]), np.asarray(second[name])
        if left.shape != right.shape or left.dtype != right.dtype or not _equal(left, right, tolerance):
            return name
    return None


def array_change(first: Mapping[str, Any], second: Mapping[str, Any], name: str | None) -> str:
    """Describe how an array of one mapping differs from the array of the same name in another mapping.

    Example: arrays of float32 and float64 give "it was float32 (<f4), and is float64 (<f8)".
    """
    if name is None or name not in first or name not in second:
        return "it is there only once"
    before, after = np.asarray(first[name]), np.asarray(second[name])
    if before.dtype != after.dtype:
        return f"it was {before.dtype.name} ({before.dtype.str}), and is {after.dtype.name} ({after.dtype.str})"
    if before.shape != after.shape:
        return f"its shape was {list(before.shape)}, and is {list(after.shape)}"
    wide = [array.astype(np.float64) for array in (before, after)]
    return f"its numbers differ by up to {np.nanmax(np.abs(wide[0] - wide[1])):.3g}"


def _equal(first: np.ndarray, second: np.ndarray, tolerance: float) -> bool:
    if tolerance and first.dtype.kind == "f":
        return bool(np.allclose(first, second, rtol=tolerance, atol=tolerance, equal_nan=True))
    return bool(np.array_equal(first, second, equal_nan=first.dtype.kind == "f"))


def as_stored(features: Features) -> Features:
    """Return features as the store gives them back: integers as int64, floats as float32."""
    wide = {"i": np.int64, "u": np.int64, "f": np.float32}
    arrays = {name: np.asarray(array) for name, array in features.items()}
    return {name: array.astype(wide.get(array.dtype.kind, array.dtype)) for name, array in arrays.items()}
