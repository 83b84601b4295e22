"""Open a mix as a voice that speaks: one base, which the sum of the voices' changes changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtune.engines import Engine
from vtune.errors import VoiceError
from vtune.runtime.version import VTUNE_VERSION
from vtune.types import Conditioning, LoraSettings
from vtune.voice_format.record import MixRecord, VoiceRecord, find_voice, read_conditioning, voice_or_none
from vtune.voice_format.weights import fill_adapter
from vtune.voices.memory import require_memory_to_speak
from vtune.voices.mixing.adapters import Adapter, add_up, compress, mixed_shape
from vtune.voices.mixing.expression import looks_like_mix, mix_text
from vtune.voices.mixing.networks import fill_with_sum
from vtune.voices.mixing.parts import MixPart, combined_consent, find_parts, log_differences
from vtune.voices.speech import LoadedVoice, open_base, open_voice

if TYPE_CHECKING:
    from torch import nn


def open_named(
    name: str,
    voices: Path,
    device: str = "auto",
    precision: str = "auto",
    options: Mapping[str, Any] | None = None,
    *,
    untuned: bool = False,
) -> LoadedVoice:
    """Load a voice by name or path, or a mix of voices; the name of a voice is never read as a mix.

    :param voices: the folder in which names are looked up.
    :param options: see ``vtune.voices.speech.open_voice``; so is ``untuned``.
    :raises VoiceError: there is no such voice, or the voices cannot be mixed; one line.
    """
    if voice_or_none(name, voices) is None and looks_like_mix(name):
        return open_mix(find_parts(name, voices, options or {}), device, precision, options, untuned=untuned)
    return open_voice(find_voice(name, voices), device, precision, options, untuned=untuned)


@dataclass(frozen=True, slots=True)
class PreparedMix:
    """A mix before its base is loaded.

    :param adapter: the sum of the voices' adapters; empty for fully fine-tuned voices, whose
        weights stay in their files.
    :param kept: the conditioning of each voice.
    :param weights: of the voices, with a sum of 1.
    """

    record: VoiceRecord
    parts: Sequence[MixPart]
    shape: LoraSettings
    adapter: Adapter
    kept: Sequence[Conditioning]
    weights: Sequence[float]

    def conditioning(self, engine: Engine, base: Any) -> Conditioning:
        """Return the conditioning of the mix, from the conditionings of its voices."""
        return engine.mix_conditioning(base, self.kept, self.weights)

    def fill(self, model: nn.Module) -> None:
        """Give a model of the base the sum of the voices. :raises VoiceError: a voice does not fit the base."""
        from peft import PeftModel

        if isinstance(model, PeftModel):
            fill_adapter(model, self.adapter, f"the mix {self.record.name}")
        else:
            fill_with_sum(model, self.parts)


def open_mix(
    parts: Sequence[MixPart],
    device: str = "auto",
    precision: str = "auto",
    options: Mapping[str, Any] | None = None,
    *,
    untuned: bool = False,
    rank: int | None = None,
) -> LoadedVoice:
    """Load voices as one: the change of each weight is the weighted sum of theirs, the conditioning their mean.

    The prompt's name, options and whatever has no mean are the heaviest voice's, the first of several that are.

    :param parts: from ``find_parts``, asked with the same options.
    :param options: engine options that the mix has, whatever the voices were trained with.
    :param untuned: leave the voices' changes out: the base, with the mix's conditioning.
    :param rank: compress the sum to an adapter of this rank; ``record.mix.error`` is the share that is lost.
    :raises VoiceError: a voice is damaged, or the base is not theirs.
    """
    options = options or {}
    log_differences(parts, options)
    mixed = prepare_mix(parts, options, rank)
    require_memory_to_speak(mixed.record, device, precision)
    engine, base = open_base(mixed.record, device, precision)
    conditioning = mixed.conditioning(engine, base)
    model = engine.build_model(base, mixed.shape, mixed.record.method)
    if not untuned:
        mixed.fill(model)
    return LoadedVoice(engine, base, model.eval(), conditioning, mixed.record)


def prepare_mix(parts: Sequence[MixPart], options: Mapping[str, Any], rank: int | None = None) -> PreparedMix:
    """Add up the adapters of voices; see ``open_mix``.

    :raises VoiceError: a voice is damaged, or fully fine-tuned voices are to get a rank.
    """
    shape, adapter, of = (_sum_of_networks if parts[0].is_full else _sum_of_adapters)(parts, rank)
    total = sum(part.weight for part in parts)
    return PreparedMix(
        _record(parts, shape, of, options),
        parts,
        shape,
        adapter,
        [read_conditioning(part.folder.conditioning) for part in parts],
        [part.weight / total for part in parts],
    )


def _sum_of_networks(parts: Sequence[MixPart], rank: int | None) -> tuple[LoraSettings, Adapter, MixRecord]:
    if rank is not None:
        raise VoiceError(
            f"voice {parts[0].name!r} was fully fine-tuned, so its mix has no rank; leave out --rank {rank}"
        )
    return parts[0].lora, {}, MixRecord(parts=[part.settings() for part in parts], rank=None)


def _sum_of_adapters(parts: Sequence[MixPart], rank: int | None) -> tuple[LoraSettings, Adapter, MixRecord]:
    adapter, error = add_up(parts), 0.0
    shape = mixed_shape([part.lora for part in parts], adapter)
    full = shape.rank
    if rank is not None and rank < full:
        adapter, error = compress(adapter, rank)
        shape = replace(shape, rank=rank, alpha=rank)
    return shape, adapter, MixRecord(parts=[part.settings() for part in parts], rank=full, error=error)


def _record(parts: Sequence[MixPart], shape: LoraSettings, mix: MixRecord, options: Mapping[str, Any]) -> VoiceRecord:
    heaviest = parts[0].record
    return heaviest.model_copy(
        update={
            "name": mix_text(part.term for part in parts),
            "engine_options": {**heaviest.engine_options, **options},
            "lora": {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(shape).items()},
            "training": {},
            "ledger": {},
            "consent": combined_consent([part.record.consent for part in parts]),
            "vtune": VTUNE_VERSION,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "mix": mix,
        }
    )
