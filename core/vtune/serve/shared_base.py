"""Serve many voices on one base: its network is loaded once, and each voice adds an adapter with a name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from vtune.engines import Engine
from vtune.errors import VtuneError
from vtune.recipe import LoraRecipe
from vtune.serve.backend import SynthesisRequest
from vtune.serve.failures import VoiceBrokenError, VoiceReplacedError
from vtune.serve.options import base_key, sampling_of, streaming_defaults
from vtune.serve.registry import RequestedVoice, read_current
from vtune.toolkit.lora import add_lora
from vtune.types import Audio, Conditioning, LoraSettings
from vtune.voice_format.record import VoiceRecord, read_conditioning
from vtune.voice_format.weights import DEFAULT_ADAPTER, fill_adapter, load_weights, read_adapter
from vtune.voices.memory import require_memory_to_speak
from vtune.voices.mixing import prepare_mix
from vtune.voices.speech import LoadedVoice, open_base

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(slots=True)
class _AdapterSlot:
    voice: LoadedVoice
    adapter: str
    sampling: Mapping[str, Any]
    speaking: int = 0


@dataclass(frozen=True, slots=True)
class _VoiceParts:
    record: VoiceRecord
    shape: LoraSettings
    adapter: dict[str, torch.Tensor]
    conditioning: Callable[[Engine, Any], Conditioning]
    fill_network: Callable[[nn.Module], None]


class SharedBase:
    """Holds one base and the voices that spoke recently; for one thread.

    :param first: any voice of the base.
    :param options: engine options of every voice on this server; they replace those of the training.
    :param max_voices: voices in memory; a new voice replaces the least recently used one.
    :raises VtuneError: the base cannot be loaded, or is not the base that the voice was trained on.
    """

    def __init__(self, first: RequestedVoice, device: str, options: Mapping[str, Any], max_voices: int) -> None:
        self._options, self._max_voices = streaming_defaults(first, options), max_voices
        self._key = base_key(first, self._options)
        require_memory_to_speak(first.record, device, options=self._options)
        self.engine, self._base = open_base(first.record, device, options=self._options)
        self._model: nn.Module | None = None
        self._slots: OrderedDict[Hashable, _AdapterSlot] = OrderedDict()
        self._numbers = count(1)

    def __len__(self) -> int:
        return len(self._slots)

    def say(self, request: SynthesisRequest) -> Iterator[Audio]:
        """Yield the sound of a request piece by piece; other voices may speak between two pieces.

        :raises VoiceReplacedError: the voice is being replaced, or was replaced by a voice of another base.
        :raises VoiceBrokenError: the voice cannot be loaded.
        :raises VtuneError: the engine cannot speak the text.
        """
        try:
            loaded = self._load(request.voice)
        except VoiceBrokenError:
            raise
        except VtuneError as error:
            raise VoiceBrokenError(str(error)) from error
        if not request.text:
            return
        loaded.speaking += 1
        try:
            sampling = {**loaded.sampling, **request.sampling}
            pieces = loaded.voice.stream(request.text, request.seed, sampling=sampling)
            while True:
                self._turn_to(loaded.adapter)
                piece = next(pieces, None)
                if piece is None:
                    return
                yield piece
        finally:
            loaded.speaking -= 1

    def _load(self, chosen: RequestedVoice) -> _AdapterSlot:
        if chosen.key not in self._slots:
            chosen, read = read_current(chosen, self._options, self._read)
            if read is not None:
                self._slots[chosen.key] = self._open(chosen, *read)
                self._make_room(chosen.key)
        self._slots.move_to_end(chosen.key)
        return self._slots[chosen.key]

    def _read(self, chosen: RequestedVoice) -> tuple[_VoiceParts, Conditioning] | None:
        """Read the files of a voice; None if the voice is in memory already."""
        if chosen.key in self._slots:
            return None
        if base_key(chosen, self._options) != self._key:
            raise VoiceReplacedError(chosen.name)
        made = _voice_parts(chosen, self._options)
        return made, made.conditioning(self.engine, self._base)

    def _open(self, chosen: RequestedVoice, made: _VoiceParts, conditioning: Conditioning) -> _AdapterSlot:
        sampling = sampling_of(self.engine, made.record, self._options)
        if self._model is None:
            self._model, adapter = self.engine.build_model(self._base, made.shape, made.record.method), DEFAULT_ADAPTER
        else:
            adapter = f"voice-{next(self._numbers)}"
            add_lora(self._model, adapter, made.shape, self.engine.info.lora_targets)
        self._fill(adapter, made, chosen)
        return _AdapterSlot(
            LoadedVoice(self.engine, self._base, self._model, conditioning, made.record), adapter, sampling
        )

    def _fill(self, adapter: str, made: _VoiceParts, chosen: RequestedVoice) -> None:
        from peft import PeftModel

        if not isinstance(self._model, PeftModel):
            made.fill_network(self._model)  # type: ignore[arg-type]
            if not chosen.is_current:
                raise VoiceReplacedError(chosen.name)
            return
        try:
            fill_adapter(self._model, made.adapter, f"voice {chosen.name!r}", adapter)
        except BaseException:
            if adapter != DEFAULT_ADAPTER:  # the first adapter stays: a PeftModel needs one
                self._model.delete_adapter(adapter)
            raise

    def _make_room(self, newest: Hashable) -> None:
        idle = [key for key, loaded in self._slots.items() if not loaded.speaking and key != newest]
        for key in idle[: max(0, len(self._slots) - self._max_voices)]:
            # Switch it off first: otherwise PEFT would switch to another adapter, and warn.
            self._turn_to(self._slots[newest].adapter)
            self._model.delete_adapter(self._slots.pop(key).adapter)  # type: ignore[union-attr, operator]

    def _turn_to(self, adapter: str) -> None:
        from peft import PeftModel

        if isinstance(self._model, PeftModel) and self._model.active_adapter != adapter:
            self._model.set_adapter(adapter, inference_mode=True)


def _voice_parts(chosen: RequestedVoice, options: Mapping[str, Any]) -> _VoiceParts:
    if chosen.is_mix:
        mixed = prepare_mix(chosen.parts, options)
        return _VoiceParts(mixed.record, mixed.shape, mixed.adapter, mixed.conditioning, mixed.fill)
    folder, record = chosen.parts[0].folder, chosen.record
    return _VoiceParts(
        record,
        LoraRecipe.model_validate(record.lora).settings(),
        read_adapter(folder.path) if record.method == "lora" else {},
        lambda engine, base: read_conditioning(folder.conditioning),
        lambda network: load_weights(network, folder.path),
    )
