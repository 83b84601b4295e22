"""Change the options of an engine one by one, and check that each affects what it declares and nothing else.

1. Keys: another value changes exactly the keys that the option's declaration names.
2. Features, loss, conditioning, speech: options that do not declare an effect on one of them are changed together, and
   it must stay the same. If it does not, they are changed one by one to find the option that does not tell the truth.
3. Reads: ``synthesize`` reads no option from the base but those that affect sampling or the runtime, because voices
   that differ in the others share a base on a server.
4. Sampling: values that come as ``sampling`` sound as the same values of the base do.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args, get_origin

import numpy as np
import torch
from pydantic import ValidationError
from torch import nn

from vtune.dataset.features.encode import base_key
from vtune.engines import Engine
from vtune.errors import SkipClip, VtuneError
from vtune.recipe import Recipe
from vtune.testing.rule import BrokenRule
from vtune.types import Clip, Conditioning, EngineOptions, Features, effects_of
from vtune.types.options import runtime_values, sampling_names, speech_values, text_values, training_values
from vtune.voices.speech import Speaker

TEXT = "A line to speak. And one more."
MAX_PIECES = 20_000
TOLERANCE = 1e-3
"""Tolerance for arrays and losses: another attention kernel may round differently."""


def check_options(
    engine: Engine,
    options: Mapping[str, Any],
    clips: Sequence[Clip],
    seed: int = 0,
    changes: Mapping[str, Any] | None = None,
) -> None:
    """Change each option of an engine, and compare what changes with what the option declares that it affects.

    :param options: as for ``check_engine``.
    :param changes: another valid value by option, for options whose values cannot be guessed: folders, texts. Options
        with neither a given nor a guessed value are checked for their keys only.
    :raises BrokenRule: an option affects what it does not declare; names the option and what to write.
    """
    effects = OptionEffects(engine, engine.info.options.model_validate(dict(options)), clips, seed, changes or {})
    effects.check_keys()
    effects.check_reads()
    for stage in STAGES:
        effects.check_stage(stage)
    effects.check_sampling()


class OptionEffects:
    """The options of one engine, each with another value where one is known.

    :param changes: as for ``check_options``.
    """

    def __init__(
        self, engine: Engine, options: EngineOptions, clips: Sequence[Clip], seed: int, changes: Mapping[str, Any]
    ) -> None:
        self._engine, self._model, self._changes = engine, engine.info.options, changes
        recorded, self._read = recorded_options(options)
        self._usual = _Made(engine, recorded, sorted(clips, key=lambda clip: clip.seconds)[:2], seed)

    @cached_property
    def new_values(self) -> dict[str, Any]:
        """Another value of each option that the engine takes here."""
        names = self._model.model_fields
        return {name: value for name in names for value in _other_values(self._usual, name, self._changes)}

    def check_keys(self) -> None:
        """Check that another value of an option changes exactly the keys of the effects that it declares."""
        check_keys(self._engine, self._usual.options, self._usual.base)

    def check_reads(self) -> None:
        """Check which options ``synthesize`` reads of the base."""
        check_reads(self._usual, self._read)

    def check_stage(self, title: str) -> None:
        """Check that only options with certain effects change what a stage makes."""
        stage = _STAGES[title]
        names = [name for name in self.new_values if not stage.effects & set(effects_of(self._model, name))]
        _check_unaffected(self._usual, stage, {name: self.new_values[name] for name in names})

    def check_sampling(self) -> None:
        """Check that values that come as ``sampling`` sound as the same values of the base do, and are used."""
        names = sampling_names(self._model)
        _check_sampling(self._usual, {name: self.new_values[name] for name in names if name in self.new_values})
        check_sampling_reads(self._usual, names)


def check_keys(engine: Engine, options: EngineOptions, base: Any) -> None:
    """Give each option another value: exactly the keys of the effects that it declares change."""
    model = engine.info.options
    before = _keys(engine, options, base)
    for name in model.model_fields:
        after = _keys(engine, options.model_copy(update={name: f"not {getattr(options, name)!r}"}), base)
        changed = {key for key in before if before[key] != after[key]}
        declared = set(effects_of(model, name)) - {"sampling"}
        declared = {"features" if effect == "text" else effect for effect in declared}
        declared |= {"training"} if "features" in declared else set()
        if changed != declared:
            raise BrokenRule(
                f"The option {name!r} affects {' and '.join(sorted(declared))}, but another value changes the key of "
                f"{' and '.join(sorted(changed)) or 'nothing'}.",
                f"Let the value of {name!r} be written as it is, without a serializer or `exclude=True`; if it is, "
                "report this to vtune, whose keys these are.",
            )


def _keys(engine: Engine, options: EngineOptions, base: Any) -> dict[str, Any]:
    recipe = Recipe.model_construct(voice="someone", engine=engine.name, data=[], engine_options=options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydantic warns of a value that is not of the option's type
        return {
            "features": base_key(recipe, engine, base),
            "training": training_values(options),
            "speech": speech_values(options),
            "runtime": runtime_values(options),
        }


class _Made:
    """What an engine makes with one set of options; each part is made when it is asked for."""

    def __init__(self, engine: Engine, options: EngineOptions, clips: Sequence[Clip], seed: int) -> None:
        self.engine, self.options, self.clips, self.seed = engine, options, clips, seed
        self.base = engine.load_base(options, torch.device("cpu"), torch.float32)

    def changed(self, values: Mapping[str, Any]) -> _Made:
        """Load the engine with other values of some options.

        :raises EngineError: the engine cannot be loaded with them.
        """
        options = type(self.options).model_validate({**dict(self.options), **values})
        return _Made(self.engine, options, self.clips, self.seed)

    @cached_property
    def parts(self) -> dict[str, str]:
        """The hashes that count in every key."""
        return self.engine.features_fingerprint(self.base)

    @cached_property
    def texts(self) -> list[str]:
        values = text_values(self.options)
        return [self.engine.prepare_text(self.base, clip.text, values) for clip in self.clips]

    @cached_property
    def features(self) -> list[Features]:
        return [self.engine.prepare_sample(self.base, clip, self.options) for clip in self.clips]

    def model(self) -> nn.Module:
        torch.manual_seed(self.seed)
        return self.engine.build_lora_model(self.base, self.engine.info.lora)

    def loss(self, features: list[Features]) -> list[dict[str, np.ndarray]]:
        model = self.model().train()
        torch.manual_seed(self.seed)
        loss = model(**self.engine.collate(self.base, features))["loss"]
        return [{"loss": loss.detach().numpy()}]

    @cached_property
    def conditioning(self) -> Conditioning:
        return self.engine.extract_conditioning(self.base, self.clips, self.options)

    def sound(self, conditioning: Conditioning, sampling: Mapping[str, Any] | None = None) -> list[Features]:
        speaker = Speaker(self.engine, self.base, self.model(), conditioning)
        pieces = speaker.speak(TEXT, self.seed, sampling=sampling)
        return [{"sound": np.concatenate([np.zeros(0), *(piece.waveform for piece in pieces)])}]


@dataclass(frozen=True)
class _Stage:
    """Something that only options with certain effects may change.

    :param make: makes it with changed options, from what the unchanged options made.
    """

    title: str
    effects: frozenset[str]
    make: Callable[[_Made, _Made], list[Any]]


def _kept(made: _Made) -> list[Any]:
    conditioning = made.conditioning
    return [dict(conditioning.tensors), *sorted(conditioning.strings.items())]


_STAGES = {
    stage.title: stage
    for stage in (
        _Stage("text", frozenset({"text"}), lambda made, _: made.texts),
        _Stage("features", frozenset({"text", "features"}), lambda made, _: made.features),
        _Stage("training", frozenset({"text", "features", "training"}), lambda made, usual: made.loss(usual.features)),
        _Stage("speech", frozenset({"text", "features", "training", "speech"}), lambda made, _: _kept(made)),
        # A server speaks a voice with the base of another one that has other values of these options.
        _Stage("runtime", frozenset({"runtime", "sampling"}), lambda made, usual: made.sound(usual.conditioning)),
    )
}
STAGES = tuple(_STAGES)

_LIES = {
    "text": "prepare_text returns another text",
    "features": "prepare_sample returns other features",
    "training": "the loss of a batch changes",
    "speech": "extract_conditioning keeps something else",
    "runtime": "synthesize speaks otherwise with the same adapter and conditioning",
}


def _check_unaffected(usual: _Made, stage: _Stage, values: Mapping[str, Any]) -> None:
    expected = stage.make(usual, usual)

    def changes(values: Mapping[str, Any]) -> bool:
        try:
            return not _same(stage.make(usual.changed(values), usual), expected)
        except SkipClip:
            return True

    for name in _culprits(usual, values, changes):
        declared = effects_of(type(usual.options), name)
        raise BrokenRule(
            f"The option {name!r} declares that it affects {' and '.join(declared)}, but {_LIES[stage.title]} when it "
            f"is {values[name]!r} instead of {getattr(usual.options, name)!r}.",
            f"Write affects={(*declared, stage.title)!r} in the declaration of {name!r}.",
        )


def _check_sampling(usual: _Made, values: Mapping[str, Any]) -> None:
    def differs(values: Mapping[str, Any]) -> bool:
        changed = usual.changed(values)
        sampling = {name: getattr(changed.options, name) for name in values}
        return not _same(usual.sound(usual.conditioning, sampling), changed.sound(usual.conditioning))

    for name in _culprits(usual, values, differs):
        raise BrokenRule(
            f"The option {name!r} declares that it affects sampling, but synthesize speaks otherwise with "
            f"sampling={{{name!r}: {values[name]!r}}} than with a base that has this value.",
            f"Take the value from `sampling`: sampling.get({name!r}, base.options.{name}).",
        )


def check_sampling_reads(made: _Made, names: Sequence[str]) -> None:
    """Check that ``synthesize`` looks at each option that affects sampling, in ``sampling`` or in the base."""
    if not names:
        return
    options, read = recorded_options(type(made.options).model_validate(dict(made.options)))
    other = _Made(made.engine, options, made.clips, made.seed)
    sampling = _RecordedValues({name: getattr(made.options, name) for name in names})
    model, conditioning = other.model(), other.conditioning
    read.clear()
    text = made.engine.prepare_text(other.base, TEXT, text_values(made.options))
    hook: Any = made.engine._hook.synthesize  # the facade copies `sampling`, so nobody would see what is read of it
    extensions = {"extensions": made.engine.extensions} if "extensions" in hook.spec.argnames else {}
    arguments = {"conditioning": conditioning, "seed": made.seed, "sampling": sampling, **extensions}
    pieces = hook(base=other.base, model=model.eval(), text=text, **arguments)
    with torch.inference_mode():
        for _ in zip(pieces, range(MAX_PIECES), strict=False):
            pass
    for name in names:
        if name not in read | sampling.read:
            raise BrokenRule(
                f"The option {name!r} declares that it affects sampling, but synthesize reads it neither from "
                "`sampling` nor from the base.",
                f"Use sampling.get({name!r}, base.options.{name}) where the value belongs, or remove the option.",
            )


class _RecordedValues(dict[str, Any]):
    """A dictionary that notes which of its keys are looked at; whoever looks at all of them has looked at each."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)

    def __contains__(self, name: object) -> bool:
        self.read.add(str(name))
        return super().__contains__(name)

    def pop(self, name: str, *default: Any) -> Any:
        self.read.add(name)
        return super().pop(name, *default)

    def __iter__(self) -> Iterator[str]:
        self.read |= set(super().keys())
        return super().__iter__()

    def keys(self) -> Any:
        self.read |= set(super().keys())
        return super().keys()

    def items(self) -> Any:
        self.read |= set(super().keys())
        return super().items()

    def values(self) -> Any:
        self.read |= set(super().keys())
        return super().values()


def _culprits(usual: _Made, values: Mapping[str, Any], changes: Callable[[Mapping[str, Any]], bool]) -> Iterator[str]:
    """Name the options whose new value changes something: all at once first, then each alone to find them."""
    together: dict[str, Any] = {}
    for name, value in values.items():
        with suppress(VtuneError, ValidationError):  # values that do not go together
            usual.changed({**together, name: value})
            together[name] = value
    with suppress(VtuneError):
        if not together or not changes(together):
            return
    for name, value in values.items():
        with suppress(VtuneError, ImportError):
            if changes({name: value}):
                yield name


def check_reads(made: _Made, read: set[str]) -> None:
    """``synthesize`` reads no option of the base that voices on one base may differ in.

    :param read: the names that have been read of the options; see ``recorded_options``.
    """
    model, conditioning = made.model(), made.conditioning
    read.clear()
    list(Speaker(made.engine, made.base, model, conditioning).speak(TEXT, made.seed))
    for name in sorted(read):
        declared = effects_of(type(made.options), name)
        if not {"sampling", "runtime"} & set(declared):
            raise BrokenRule(
                f"synthesize reads the option {name!r} of the base, which affects {' and '.join(declared)}: a server "
                "speaks voices that differ in it with one base.",
                "Keep the value in the conditioning, or declare that the option also affects 'sampling' (and take it "
                "from there) or 'runtime'.",
            )


def recorded_options(options: EngineOptions) -> tuple[EngineOptions, set[str]]:
    """Return a copy of options, and the set of names that grows whenever one of them is read."""
    names: Collection[str] = type(options).model_fields
    read: set[str] = set()

    class RecordedOptions(type(options)):  # type: ignore[misc] # the engine's own class
        def __getattribute__(self, name: str) -> Any:
            if name in names:
                read.add(name)
            return super().__getattribute__(name)

    return RecordedOptions.model_construct(**dict(options)), read


def other_value(options: EngineOptions, name: str, changes: Mapping[str, Any]) -> Any:
    """Return another valid value of an option, None if none is known."""
    current = getattr(options, name)
    guesses = [changes[name]] if name in changes else _guesses(type(options).model_fields[name].annotation, current)
    for guess in guesses:
        with suppress(ValidationError):
            value = getattr(type(options).model_validate({**dict(options), name: guess}), name)
            if value != current:
                return value
    return None


def _other_values(made: _Made, name: str, changes: Mapping[str, Any]) -> Iterator[Any]:
    """Give another value of an option that the engine takes here, if there is a known one.

    None if the base then consists of other parts: their hashes are in every key.
    """
    options = made.options
    current = getattr(options, name)
    guesses = [changes[name]] if name in changes else _guesses(type(options).model_fields[name].annotation, current)
    for guess in guesses:
        with suppress(VtuneError, ValidationError):
            changed = made.changed({name: guess})
            hashed = effects_of(type(options), name) != ["sampling"]
            if getattr(changed.options, name) != current and not (hashed and changed.parts != made.parts):
                yield guess
                return


def _guesses(annotation: Any, current: Any) -> list[Any]:
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    if annotation is bool:
        return [not current]
    if annotation is int:
        return [1, (current or 0) // 2, (current or 0) + 1]
    if annotation is float:
        return [(current or 0) / 4, 0.5, 1.0]
    return [guess for inner in get_args(annotation) for guess in _guesses(inner, current)]


def _same(first: list[Any], second: list[Any]) -> bool:
    if len(first) != len(second):
        return False
    return all(_same_arrays(a, b) if isinstance(a, dict) else a == b for a, b in zip(first, second, strict=True))


def _same_arrays(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    return first.keys() == second.keys() and all(
        first[name].shape == second[name].shape
        and np.allclose(first[name], second[name], rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
        for name in first
    )
