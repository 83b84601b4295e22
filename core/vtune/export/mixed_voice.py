"""Write a mix as a voice folder of its own, which speaks without the voices that it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vtune.errors import VoiceError
from vtune.evaluation import Scores
from vtune.export.card import write_card
from vtune.export.new_voice import new_voice_folder, require_free
from vtune.export.voice_files import write_licence_note
from vtune.recipe import LoraRecipe
from vtune.runtime.paths import VoiceFolder, new_folder, write_json
from vtune.voice_format.record import VoiceRecord
from vtune.voice_format.vllm_rules import is_servable
from vtune.voices.mixing import find_parts, mixed_rank, open_mix


def write_mixed_voice(
    text: str,
    name: str,
    voices: Path,
    device: str = "auto",
    options: Mapping[str, Any] | None = None,
    rank: int | None = None,
) -> VoiceRecord:
    """Write a mix as the voice ``voices/name``: adapter or weights, conditioning, record and card, whole or not at all.

    :param text: ``0.7*anna+0.3*ben``; see ``vtune.voices.mixing.expression``.
    :param options: engine options that the mix has, whatever the voices were trained with.
    :param rank: of the adapter; default: the sum of the ranks, which leaves nothing out. None for fully fine-tuned
        voices.
    :returns: what ``voice.json`` says.
    :raises VoiceError: the name is taken or none, or the voices cannot be mixed.
    """
    folder = new_voice_folder(name, voices)
    parts = find_parts(text, voices, options or {})
    if not parts[0].is_full:
        _require_rank(rank or mixed_rank([part.lora for part in parts]))
    mix = open_mix(parts, device, options=options, rank=rank)
    record = mix.record.model_copy(update={"name": name})
    with new_folder(folder.path, keep=lambda: require_free(folder)) as aside:
        new = VoiceFolder(aside)
        mix.engine.export_voice(mix.base, mix.model, mix.conditioning, aside)
        record = record.model_copy(update={"servable": is_servable(new)})
        write_licence_note(mix.engine.licence(mix.base), aside)
        write_json(new.record, record.model_dump())
        write_card(new.card, record, {}, Scores())
    return record


def _require_rank(rank: int) -> None:
    try:
        LoraRecipe(rank=rank)
    except ValidationError as error:
        raise VoiceError(
            f"the mix's adapter would have rank {rank}, which is too high for a voice "
            f"({error.errors()[0]['msg'].lower()}); "
            "choose a lower rank with --rank"
        ) from error
