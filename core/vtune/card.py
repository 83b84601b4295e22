"""A voice's card: what a person should know before using it, as a model card that the Hub understands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from vtune.evaluate import Scores
from vtune.folders import write_text
from vtune.voices import MixRecord, VoiceRecord

CURVE = {
    "eval_quality": "quality",
    "eval_words": "wrong words",
    "eval_likeness": "likeness",
    "eval_loss": "validation loss",
}
"""What a checkpoint is measured by, and how a table names it."""


def write_card(path: Path, record: VoiceRecord, sentences: Sequence[str], scores: Scores) -> None:
    """Write ``README.md`` of a voice folder."""
    write_text(path, card_text(record, sentences, scores))


def card_text(record: VoiceRecord, sentences: Sequence[str], scores: Scores) -> str:
    """Return the card in Markdown with the Hub's YAML head."""
    base = str(record.engine_options.get("base_model", ""))
    head: dict[str, object] = {
        "library_name": "peft" if record.method == "lora" else "transformers",
        "pipeline_tag": "text-to-speech",
        "tags": ["text-to-speech", "vtune", record.engine],
    }
    if base.count("/") == 1 and not base.startswith((".", "/")):
        head["base_model"] = base
    parts = [
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---",
        f"# {record.name}",
        f"A voice for the engine `{record.engine}` (base `{base or 'in voice.json'}`), made by vtune {record.vtune}.",
        f"## Whose voice\n\n{_consent(record)}",
        f"## How it was made\n\n{_training(record)}",
        *([] if record.mix else [f"## Data\n\n{_data(record)}"]),
        f"## Use\n\n{_use(record)}",
    ]
    if scores.texts:
        parts.append(f"## Scores\n\n{_scores(scores)}")
    if sentences:
        listed = "\n".join(f"{number}. {sentence}" for number, sentence in enumerate(sentences, 1))
        parts.append(
            f"## Samples\n\n`samples/NN.wav` is the voice, `samples/NN_base.wav` the untuned base.\n\n{listed}"
        )
    if record.licence:
        parts.append(f"## Licence\n\n{record.licence}")
    return "\n\n".join(parts) + "\n"


def _consent(record: VoiceRecord) -> str:
    if record.consent is None and record.mix:
        silent = ", ".join(f"`{part.voice}`" for part in record.mix.parts if part.consent is None)
        return (
            f"Several voices in one. **Not stated** for {silent}: who speaks, and on what consent. "
            "Do not publish this voice before that is settled."
        )
    if record.consent is None:
        return (
            "**Not stated.** The recipe says neither who speaks nor on what consent (`consent:`). "
            "Do not publish this voice before that is settled."
        )
    return f"{record.consent['person']}. {record.consent['statement']}"


def _training(record: VoiceRecord) -> str:
    if record.mix:
        return _mixing(record.mix, record.lora["rank"])
    facts, lora = record.training, record.lora
    shape = f"LoRA rank {lora['rank']}, alpha {lora['alpha']:g}" if record.method == "lora" else "every weight"
    validation = f", {facts['eval_loss']:.4f} in validation" if facts.get("eval_loss") is not None else ""
    servable = "can be served unmerged beside others" if record.servable else "can only be served merged"
    return (
        f"{shape}; {facts['steps']} steps over {facts['clips']} rows in {facts['seconds']:.0f} s "
        f"({facts['precision']}, {facts['processes']} process(es)); mean loss {facts['loss']:.4f}{validation}. "
        f"The adapter {servable}.{_curve(facts)}"
    )


def _curve(facts: dict[str, Any]) -> str:
    """The checkpoints and which of them this is; nothing where there was one only."""
    curve = facts.get("curve") or []
    if len(curve) < 2:
        return ""
    columns = [name for name in CURVE if any(name in row for row in curve)]
    chosen = (
        "by ear" if facts.get("chosen_by") == "eval_quality" else "by loss" if facts.get("chosen_by") else "the last"
    )
    rows = [
        [f"**{row['step']}**" if row["step"] == facts["best_step"] else str(row["step"])]
        + [f"{row[name]:.3f}" if name in row else "-" for name in columns]
        for row in curve
    ]
    table = [["step", *(CURVE[name] for name in columns)], ["---"] * (len(columns) + 1), *rows]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in table)
    return f"\n\nCheckpoints; the one in bold was chosen, {chosen}:\n\n{lines}"


def _mixing(mix: MixRecord, rank: int) -> str:
    rows = "".join(f"\n| `{part.voice}` | {part.weight:g} | `{part.adapter}` |" for part in mix.parts)
    squeezed = f", squeezed to {rank}: {mix.error:.1%} of it are left out" if rank < mix.rank else ""
    return (
        "Mixed, not trained: its adapter is the weighted sum of other voices' adapters, whose cards tell how they were "
        f"made. LoRA rank {mix.rank}{squeezed}.\n\n| voice | weight | hash of its adapter |\n|---|---|---|{rows}"
    )


def _data(record: VoiceRecord) -> str:
    clips, seconds = record.ledger["clips"], record.ledger["seconds"]
    lines = [f"| {status} | {clips[status]} | {seconds[status] / 60:.1f} |" for status in clips]
    reasons = [f"- {reason}: {count}" for reason, count in record.ledger["reasons"].items()]
    left_out = "\n\nNot used:\n\n" + "\n".join(reasons) if reasons else ""
    return "| | clips | minutes |\n|---|---|---|\n" + "\n".join(lines) + left_out


def _scores(scores: Scores) -> str:
    times = f", each {len(scores.seeds)} times" if len(scores.seeds) > 1 else ""
    columns = scores.columns
    differ = [name for name in scores.systems if name != scores.baseline and scores.baseline in scores.systems]
    heads = [*columns, *(f"{name} - {scores.baseline} (95 %)" for name in differ)]
    rows = [
        [one.figure.title, *map(one.shown, columns), *map(one.difference, differ)]
        for one in scores.scores
        if one.figure.headline
    ]
    table = [["", *heads], ["---"] * (len(heads) + 1), *rows]
    skipped = "".join(f"\n\nNot measured: {name}: {reason}." for name, reason in scores.skipped.items())
    return (
        f"{len(scores.texts)} sentences that the voice was not trained on{times}; every figure is in `scores.json`, "
        "and `listen.html` lets you hear them.\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in table) + skipped
    )


def _use(record: VoiceRecord) -> str:
    return f"```sh\nvtune say {record.name} 'Hello, this is my own voice.' --out hello.wav\n```"
