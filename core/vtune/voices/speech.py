"""Voice and text to audio."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from vtune.engines import Engine, load_engine
from vtune.errors import EngineError, VoiceError, choices, nearest, shown
from vtune.recipe import LoraRecipe
from vtune.runtime.device import pick_device, trim_heap, weights_dtype
from vtune.runtime.paths import VoiceFolder
from vtune.toolkit.pauses import is_speakable
from vtune.types import Audio, Conditioning, EngineOptions
from vtune.types.options import sampling_names
from vtune.voice_format.record import VoiceRecord, read_conditioning, read_record
from vtune.voice_format.weights import load_weights

if TYPE_CHECKING:
    from torch import nn

T = TypeVar("T")


class LoadedVoice:
    """A voice that is loaded and can speak."""

    def __init__(
        self, engine: Engine, base: Any, model: nn.Module, conditioning: Conditioning, record: VoiceRecord
    ) -> None:
        self.engine = engine
        self.base = base
        self.model = model
        self.conditioning = conditioning
        self.record = record

    @property
    def sample_rate(self) -> int:
        """Hz of what it speaks."""
        return self.engine.info.sample_rate

    def stream(
        self, text: str, seed: int = 0, *, untuned: bool = False, sampling: Mapping[str, Any] | None = None
    ) -> Iterator[Audio]:
        """Speak, piece by piece as sound is ready.

        :param sampling: engine options that this utterance has instead of the voice's; see ``checked_sampling``.
        :param untuned: hear the engine without the adapter (a fully fine-tuned voice has no such thing: it must be
            opened with ``untuned`` instead).
        :raises VoiceError: there is nothing to say, or the engine has no such sampling.
        """
        if not is_speakable(text):
            raise VoiceError(f"there is nothing to speak in {shown(text)}: it has no letter and no digit")
        asked = checked_sampling(self.engine, self.record, sampling or {})
        return speak(self.engine, self.base, self.model, text, self.conditioning, seed, untuned=untuned, sampling=asked)


def speak(
    engine: Engine,
    base: Any,
    model: nn.Module,
    text: str,
    conditioning: Conditioning,
    seed: int,
    *,
    untuned: bool = False,
    sampling: Mapping[str, Any] | None = None,
) -> Iterator[Audio]:
    """Speak with a model in memory; ``untuned`` switches its adapter off while it does.

    Lines without a letter or a digit are pauses.
    """
    model.eval()
    yield from _heard(model, engine.synthesize(base, model, text, conditioning, seed, sampling), untuned)


def speak_together(
    engine: Engine,
    base: Any,
    model: nn.Module,
    lines: Sequence[tuple[str, int]],
    conditioning: Conditioning,
    *,
    untuned: bool = False,
) -> Iterator[tuple[int, list[Audio]]]:
    """Speak several texts at once, each with its seed; for an engine that ``can_batch``.

    :returns: places in ``lines`` as they are done, with what ``speak`` gives for each.
    """
    model.eval()
    yield from _heard(model, engine.synthesize_together(base, model, lines, conditioning), untuned)


def _heard(model: nn.Module, said: Iterator[T], untuned: bool) -> Iterator[T]:
    import torch
    from peft import PeftModel

    while True:
        # Entered for each piece and left before it is given away: whoever listens may speak with the same model,
        # tuned and untuned in turn, and is not left in inference mode.
        adapter = model.disable_adapter() if untuned and isinstance(model, PeftModel) else nullcontext()
        with torch.inference_mode(), adapter:
            one = next(said, None)
        if one is None:
            trim_heap()  # the next utterance has another length
            return
        yield one


def open_voice(
    folder: VoiceFolder,
    device: str = "auto",
    precision: str = "auto",
    options: Mapping[str, Any] | None = None,
    *,
    untuned: bool = False,
) -> LoadedVoice:
    """Load a voice with its base.

    :param options: engine options that differ from those it was trained with, e.g. where the base lies now.
    :param untuned: leave the trained weights out (for a fully fine-tuned voice, the only way to hear its base).
    :raises VoiceError: the voice is damaged, or the base is not the one it was trained on (names the part).
    """
    record = read_record(folder)
    engine, base = open_base(record, device, precision, options)
    conditioning = read_conditioning(folder.conditioning)
    model = engine.build_model(base, LoraRecipe.model_validate(record.lora).settings(), record.method)
    if not untuned:
        load_weights(model, folder.path)
    return LoadedVoice(engine, base, model.eval(), conditioning, record)


def open_base(
    record: VoiceRecord, device: str = "auto", precision: str = "auto", options: Mapping[str, Any] | None = None
) -> tuple[Engine, Any]:
    """Load the base of a voice, with its engine.

    :param options: see ``open_voice``.
    :raises VoiceError: the base is not the one that the voice was trained on (names the part).
    """
    engine = load_engine(record.engine)
    where = pick_device(device)
    settings = options_of(engine, record, options or {})
    base = engine.load_base(settings, where, weights_dtype(precision, where, record.method))
    _require_same_base(engine.fingerprint(base), record)
    return engine, base


def checked_sampling(engine: Engine, record: VoiceRecord, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of the engine that one utterance may have for its own, as its options read them.

    :raises VoiceError: the engine has no such setting; EngineError: the value is none.
    """
    takes = sampling_names(engine.info.options)
    strange = next((name for name in changes if name not in takes), None)
    if strange is not None:
        there = choices(strange, sorted(takes), "it takes")
        raise VoiceError(f"engine {engine.name!r} takes no {shown(strange)} for one utterance{there}")
    options = options_of(engine, record, changes)
    return {name: getattr(options, name) for name in changes}


def options_of(engine: Engine, record: VoiceRecord, changes: Mapping[str, Any]) -> EngineOptions:
    """Return the options that a voice was trained with, changed. :raises EngineError: one cannot be; names it."""
    try:
        return engine.info.options.model_validate({**record.engine_options, **changes})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            hint = nearest(place, engine.info.options.model_fields)
            raise EngineError(f"engine {engine.name!r} has no option {shown(place)}{hint}") from error
        raise EngineError(f"engine option {shown(place)}: {first['msg']}, found {shown(first['input'])}") from error


def _require_same_base(found: Mapping[str, str], record: VoiceRecord) -> None:
    differ = [part for part in {**record.fingerprint, **found} if found.get(part) != record.fingerprint.get(part)]
    if differ:
        raise VoiceError(
            f"voice {record.name!r} was trained on another {' and '.join(differ)} than this base has; it would speak "
            "noise. Use the base it was trained on, or make the voice again"
        )
