"""Open a voice and let it speak: text to audio."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vtune.audio import read
from vtune.engines import Engine, load_engine
from vtune.errors import VoiceError, choices, shown
from vtune.recipe import LoraRecipe
from vtune.runtime.device import pick_device, trim_heap, weights_dtype
from vtune.runtime.paths import VoiceFolder
from vtune.toolkit.pauses import is_speakable
from vtune.types import Audio, Conditioning
from vtune.types.options import sampling_names, text_names
from vtune.voice_format.record import VoiceRecord, read_conditioning, read_record
from vtune.voice_format.weights import load_weights
from vtune.voices.extension_options import with_voice_extensions
from vtune.voices.memory import require_memory_to_speak
from vtune.voices.voice_options import options_of

if TYPE_CHECKING:
    from torch import nn

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class Speaker:
    """A network in memory that can speak.

    :param base: the engine's state, from ``load_base``.
    :param model: the base's network with or without an adapter.
    :param conditioning: what the engine keeps of the voice beside the adapter.
    """

    engine: Engine
    base: Any
    model: nn.Module
    conditioning: Conditioning

    def speak(
        self, text: str, seed: int, *, untuned: bool = False, sampling: Mapping[str, Any] | None = None
    ) -> Iterator[Audio]:
        """Speak a text and yield its sound piece by piece; lines without a letter or a digit are pauses.

        :param untuned: switch the adapter off while it speaks.
        :param sampling: engine options of this text alone, already checked.
        """
        self.model.eval()
        pieces = self.engine.synthesize(self.base, self.model, text, self.conditioning, seed, sampling)
        yield from _in_inference_mode(self.model, pieces, untuned)

    def convert(
        self, audio: Audio, seed: int, *, untuned: bool = False, sampling: Mapping[str, Any] | None = None
    ) -> Iterator[Audio]:
        """Say what a recording says and yield the sound piece by piece; if the engine can.

        :param audio: the recording at the engine's sample rate.
        :param untuned: as for ``speak``; so is ``sampling``.
        """
        self.model.eval()
        pieces = self.engine.convert(self.base, self.model, audio, self.conditioning, seed, sampling)
        yield from _in_inference_mode(self.model, pieces, untuned)

    def measure(self, text: str, seed: int, *, untuned: bool = False) -> dict[str, float]:
        """Measure the network on a text, as the engine does; no numbers from an engine that does not."""
        self.model.eval()

        def numbers() -> Iterator[dict[str, float]]:
            yield self.engine.measure_network(self.base, self.model, text, self.conditioning, seed)

        return next(_in_inference_mode(self.model, numbers(), untuned))

    def speak_batch(
        self, lines: Sequence[tuple[str, int]], *, untuned: bool = False
    ) -> Iterator[tuple[int, list[Audio]]]:
        """Speak several texts in one batch, each with its seed; for an engine that ``can_batch``.

        :returns: the index of each line as it is done, with the pieces that ``speak`` yields for it.
        """
        self.model.eval()
        batch = self.engine.synthesize_together(self.base, self.model, lines, self.conditioning)
        yield from _in_inference_mode(self.model, batch, untuned)


@dataclass(eq=False, slots=True)
class LoadedVoice(Speaker):
    """A voice that is loaded and can speak."""

    record: VoiceRecord

    @property
    def sample_rate(self) -> int:
        """Sample rate of the voice's speech in Hz."""
        return self.engine.info.sample_rate

    def stream(
        self, text: str, seed: int = 0, *, untuned: bool = False, sampling: Mapping[str, Any] | None = None
    ) -> Iterator[Audio]:
        """Check a text and its sampling options, then speak it piece by piece.

        :param untuned: switch the adapter off. A fully fine-tuned voice has none; open it with ``untuned`` instead.
        :param sampling: engine options of this text instead of the voice's, see ``checked_sampling``.
        :raises VoiceError: the text has no letter and no digit, or the engine has no such sampling option.
        """
        if not is_speakable(text):
            raise VoiceError(f"there is nothing to speak in {shown(text)}: it has no letter and no digit")
        checked = checked_sampling(self.engine, self.record, sampling or {})
        return self.speak(text, seed, untuned=untuned, sampling=checked)

    def convert_file(
        self, path: Path, seed: int = 0, *, untuned: bool = False, sampling: Mapping[str, Any] | None = None
    ) -> Iterator[Audio]:
        """Read a recording and say what it says with the voice, piece by piece; the parameters are those of ``stream``.

        :raises EngineError: the engine cannot convert recordings. DataError: the recording cannot be read.
        """
        self.engine.require_convert()
        checked = checked_sampling(self.engine, self.record, sampling or {})
        recording = Audio(read(path, self.sample_rate), self.sample_rate)
        return self.convert(recording, seed, untuned=untuned, sampling=checked)


def _in_inference_mode(model: nn.Module, items: Iterator[T], untuned: bool) -> Iterator[T]:
    import torch
    from peft import PeftModel

    while True:
        # The modes are entered for each item and left before it is yielded: the caller may speak with the same model in
        # between, tuned and untuned in turn, and is not left in inference mode.
        adapter = model.disable_adapter() if untuned and isinstance(model, PeftModel) else nullcontext()
        with torch.inference_mode(), adapter:
            item = next(items, None)
        if item is None:
            trim_heap()  # the next utterance has another length
            return
        yield item


def open_voice(
    folder: VoiceFolder,
    device: str = "auto",
    precision: str = "auto",
    options: Mapping[str, Any] | None = None,
    *,
    untuned: bool = False,
    check_memory: bool = True,
) -> LoadedVoice:
    """Load a voice with its base.

    :param options: engine options that differ from those of the training, such as the base's path on this machine.
    :param untuned: leave the trained weights out; of a fully fine-tuned voice, only this way speaks with its base.
    :param check_memory: refuse a voice that does not fit into memory when it speaks.
    :raises VoiceError: the voice is damaged, or its base is another base; names the part that differs.
    """
    record = read_record(folder)
    if check_memory:
        require_memory_to_speak(record, device, precision, options)
    engine, base = open_base(record, device, precision, options)
    changed = {name: value for name, value in (options or {}).items() if name in text_names(engine.info.options)}
    conditioning = engine.with_text_options(read_conditioning(folder.conditioning), changed)
    model = engine.build_model(base, LoraRecipe.model_validate(record.lora).settings(), record.method)
    if not untuned:
        load_weights(model, folder.path)
    return LoadedVoice(engine, base, model.eval(), conditioning, record)


def open_base(
    record: VoiceRecord, device: str = "auto", precision: str = "auto", options: Mapping[str, Any] | None = None
) -> tuple[Engine, Any]:
    """Load the engine and the base of a voice.

    :param options: see ``open_voice``.
    :raises VoiceError: the voice was trained on another base; names the part that differs.
    """
    engine = with_voice_extensions(load_engine(record.engine), record)
    torch_device = pick_device(device)
    settings = options_of(engine, record, options or {})
    base = engine.load_base(settings, torch_device, weights_dtype(precision, torch_device, record.method))
    _require_same_base(engine.fingerprint(base), record)
    return engine, base


def checked_sampling(engine: Engine, record: VoiceRecord, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Check the sampling options of one utterance, and return their values as the engine's options parse them.

    :raises VoiceError: the engine has no such sampling option.
    :raises EngineError: a value is not valid.
    """
    names = sampling_names(engine.info.options)
    unknown = next((name for name in changes if name not in names), None)
    if unknown is not None:
        hint = choices(unknown, sorted(names), "it takes")
        raise VoiceError(f"engine {engine.name!r} takes no {shown(unknown)} for one utterance{hint}")
    options = options_of(engine, record, changes)
    return {name: getattr(options, name) for name in changes}


def _require_same_base(fingerprint: Mapping[str, str], record: VoiceRecord) -> None:
    differ = [
        part for part in {**record.fingerprint, **fingerprint} if fingerprint.get(part) != record.fingerprint.get(part)
    ]
    if differ:
        raise VoiceError(
            f"voice {record.name!r} was trained on another {' and '.join(differ)} than this base has; it would speak "
            "noise. Use the base it was trained on, or make the voice again"
        )
