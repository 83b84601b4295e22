"""The card's sections. Every number stands in a file too: ``voice.json``, ``recipe.yaml`` or ``scores.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vtune.evaluation import Scores
from vtune.export.card.form import Form
from vtune.export.card.front_matter import base_of
from vtune.export.card.imported import provenance
from vtune.export.card.mix import mixture, unstated
from vtune.runtime.paths import LICENCE_NOTE
from vtune.training.losses import describe_losses
from vtune.voice_format.record import VoiceRecord

_NOT_FOR = """It is not for

- letting it seem that the person said what they did not say;
- passing any check that knows people by their voice;
- speech whose hearers would want to know that it is synthetic, and are not told;
- anything else that the person has not agreed to, or that the licence below forbids."""


def whose(record: VoiceRecord, form: Form) -> str:
    """Write whose voice it is, and on what consent."""
    if record.consent is not None:
        return f"{record.consent['person']}. {record.consent['statement']}"
    silent = "**Not stated.** The recipe says neither who speaks nor on what consent (`consent:`)."
    if record.imported is not None:
        silent = "**Not stated.** The imported files say neither who speaks nor on what consent."
    if record.mix is not None:
        silent = unstated(record.mix)
    if form.overridden is not None:
        return f"{silent} {form.overridden}"
    return f"{silent} Do not publish this voice before that is settled."


def purpose(record: VoiceRecord) -> str:
    """Write what the voice is for, and what it is not for."""
    if record.consent is not None:
        intended = "Reading texts aloud in this voice, by those and for that which the consent above covers."
    else:
        intended = "Trying out in private; for anything more, the consent of the person has to be settled first."
    return f"{intended}\n\n{_NOT_FOR}"


def making(record: VoiceRecord, settings: Mapping[str, Any], form: Form) -> str:
    """Write what the voice was made from, and how."""
    if record.mix is not None:
        return mixture(record.mix, record.lora["rank"])
    if record.imported is not None:
        return provenance(record.imported, adapter_shape(record))
    facts, train = record.training, settings["train"]
    batch = f"{train['batch_size']} x {train['gradient_accumulation']} x {facts['processes']} process(es)"
    rows = {
        "base": f"`{base_of(record) or 'in the engine'}`",
        "method": adapter_shape(record),
        "recipe": f"learning rate {train['learning_rate']:g}, {train['scheduler']}, {train['epochs']:g} epoch(s), "
        f"batch {batch}",
        "training": f"{facts['steps']} steps over {facts['clips']} rows, {facts['precision']}",
        "loss": describe_losses(facts),
        **{f"fingerprint of {part}": f"`{digest}`" for part, digest in record.fingerprint.items()},
        **({"fingerprint of the data": f"`{facts['data']}`"} if "data" in facts else {}),
    }
    served = (
        "The adapter can be served unmerged beside others."
        if record.servable
        else "Servers such as vLLM take this adapter merged only; `vtune serve` speaks with the adapter itself."
    )
    adapter = f" {served}" if form.relation == "adapter" else ""
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"| | |\n|---|---|\n{table}\n\nThe whole recipe is `{form.files}recipe.yaml`.{adapter}"


def adapter_shape(record: VoiceRecord) -> str:
    """Describe what was trained: ``LoRA (DoRA), rank 16, alpha 32, dropout 0, targets all``, or ``every weight``."""
    if record.method == "full":
        return "every weight"
    lora = record.lora
    arguments = dict(lora.get("arguments") or {})
    kind = "LoRA (DoRA)" if arguments.pop("use_dora", False) else "LoRA"
    further = "".join(f", {name} `{value}`" for name, value in arguments.items())
    return (
        f"{kind}, rank {lora['rank']}, alpha {lora['alpha']:g}, dropout {lora['dropout']:g}"
        f"{', rslora' if lora.get('rslora') else ''}, targets {', '.join(lora['targets'])}{further}"
    )


def data(record: VoiceRecord) -> str:
    """Write how much speech was used, and why some was not; empty for a voice that vtune did not train."""
    if not record.has_recipe:
        return ""
    clips, seconds = record.ledger["clips"], record.ledger["seconds"]
    used = f"{seconds.get('train', 0) / 60:.1f} minutes of speech in {clips.get('train', 0)} clips were trained on."
    lines = [f"| {status} | {clips[status]} | {seconds[status] / 60:.1f} |" for status in clips]
    reasons = [f"- {reason}: {count}" for reason, count in record.ledger["reasons"].items()]
    left_out = "\n\nNot used:\n\n" + "\n".join(reasons) if reasons else ""
    return f"{used}\n\n| | clips | minutes |\n|---|---|---|\n" + "\n".join(lines) + left_out


def measured(scores: Scores, form: Form) -> str:
    """Write the headline metrics as a table."""
    times = f", each {len(scores.seeds)} times" if len(scores.seeds) > 1 else ""
    columns = scores.columns
    differ = [name for name in scores.systems if any(name in score.intervals for score in scores.scores)]
    heads = [*columns, *(f"{name} - {scores.baseline} (95 %)" for name in differ)]
    rows = [
        [score.spec.title, *map(score.shown, columns), *map(score.difference, differ)]
        for score in scores.scores
        if score.spec.headline
    ]
    table = [["", *heads], ["---"] * (len(heads) + 1), *rows]
    skipped = "".join(f"\n\nNot measured: {name}: {reason}." for name, reason in scores.skipped.items())
    listen = ", and `listen.html` lets you hear them" if form.page else ""
    return (
        f"{len(scores.texts)} sentences that the voice was not trained on{times}; every metric is in "
        f"`{form.files}scores.json`{listen}.\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in table) + skipped
    )


def samples(settings: Mapping[str, Any], form: Form) -> str:
    """List the sentences of the samples; empty if there are none."""
    sentences = settings["evaluate"]["sentences"] if settings else []
    listed = "\n".join(f"{number}. {text}" for number, text in enumerate(sentences, 1))
    at = f"{form.files}samples"
    return listed and f"`{at}/NN.wav` is the voice, `{at}/NN_base.wav` the untuned base.\n\n{listed}"


def licence(record: VoiceRecord, *, note: bool) -> str:
    """Write what the licence of the base demands; empty if the engine does not say it."""
    beside = f"\n\n`{LICENCE_NOTE}` says what must go with it." if note and LICENCE_NOTE not in record.licence else ""
    return record.licence and f"{record.licence}{beside}"


def origins(record: VoiceRecord, form: Form) -> str:
    """Write which files the numbers of this card come from."""
    if not record.has_recipe:
        return f"Fingerprints and parts: `{form.files}voice.json`."
    return (
        f"Fingerprints, training and data: `{form.files}voice.json`. Settings and samples: `{form.files}recipe.yaml`. "
        f"Scores: `{form.files}scores.json`."
    )
