"""The card's sections about a mix, which has no training."""

from __future__ import annotations

from vtune.voice_format.record import MixRecord


def mixture(mix: MixRecord, rank: int) -> str:
    """Write which voices were mixed, how much of each, and what a smaller rank left out.

    :param rank: rank of the mix's adapter; without meaning for fully fine-tuned voices.
    """
    rows = "".join(f"\n| `{part.voice}` | {part.weight:g} | `{part.adapter}` |" for part in mix.parts)
    if mix.rank is None:
        return (
            "Mixed, not trained: the base's weights, changed by the weighted sum of the changes that the trainings of "
            "these voices made, whose cards tell how they were made.\n\n| voice | weight | hash of its weights "
            f"|\n|---|---|---|{rows}"
        )
    squeezed = f", squeezed to {rank}: {mix.error:.1%} of it are left out" if rank < mix.rank else ""
    return (
        "Mixed, not trained: its adapter is the weighted sum of other voices' adapters, whose cards tell how they were "
        f"made. LoRA rank {mix.rank}{squeezed}.\n\n| voice | weight | hash of its adapter |\n|---|---|---|{rows}"
    )


def unstated(mix: MixRecord) -> str:
    """Write whose consent is missing."""
    silent = ", ".join(f"`{part.voice}`" for part in mix.parts if part.consent is None)
    made = "Several voices in one" if len(mix.parts) > 1 else "Made of another voice"
    return f"{made}. **Not stated** for {silent}: who speaks, and on what consent."
