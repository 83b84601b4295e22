"""Number the speakers of an exported voice: the voice's own is number 0.

Programs that know of no default speaker speak number 0, so the voice's speaker and the base's first one change places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vtune.contract.exports import VoiceToExport

if TYPE_CHECKING:
    from vtune_vits.network.voice import VitsNetwork


def own_speaker(voice: VoiceToExport) -> int:
    """Return the number that the voice's speaker has in the base."""
    return int(voice.conditioning.number("speaker", voice.base.settings.speakers - 1))


def with_own_speaker_first(voice: VoiceToExport) -> VitsNetwork:
    """Return a copy of the voice's network, the adapter folded in, with the voice's speaker as number 0."""
    import torch

    network: Any = voice.merge()
    own = own_speaker(voice)
    if own:
        table = network.embed_speaker.weight
        with torch.no_grad():
            table[[0, own]] = table[[own, 0]]
    exchanged: VitsNetwork = network
    return exchanged


def speakers_of_file(voice: VoiceToExport) -> dict[str, int]:
    """Return the numbers of the speakers in the exported file by name; empty for one speaker."""
    count, own = voice.base.settings.speakers, own_speaker(voice)
    if count == 1:
        return {}
    names = {number: name for name, number in voice.base.text.speakers.items()}
    order = list(range(count))
    order[0], order[own] = own, 0
    return {
        voice.name if number == own else names.get(number, str(number)): place for place, number in enumerate(order)
    }
