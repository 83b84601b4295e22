"""Networks that measure voices: a recogniser, a speaker encoder, and one that judges how natural a voice sounds."""

from __future__ import annotations

from collections.abc import Iterator

from vtune.evaluation.metrics.naturalness import INSTALL_DISTILLMOS
from vtune.ingest.transcribe.whisper_weights import INSTALL_PACKAGE, PACKAGED_MODEL, VARIABLE
from vtune.machine.command_lines import unset_variable
from vtune.machine.finding import Finding, MachineCheck, note, ok, warning
from vtune.machine.this_machine import Machine

DOWNLOAD_WORDS = f"""python -c "import whisper; whisper.load_model('{PACKAGED_MODEL}')"  # or: {INSTALL_PACKAGE}"""
STEPS = ("import whisper", "weights of whisper", "recognise", "compare speakers")
DISTILLMOS = ("distillmos", "xls-r-sqa")


def run(machine: Machine) -> Iterator[Finding]:
    """Load each network, and let it judge a second of sound."""
    judge = ["judge naturalness"] if all(machine.version(name) for name in DISTILLMOS) else []
    machine.tried(*STEPS, *judge)  # at once: each process imports torch again
    yield _words(machine)
    yield _likeness(machine)
    yield _naturalness(machine)


def _words(machine: Machine) -> Finding:
    tried = machine.tried("import whisper")["import whisper"]
    if not tried.works:
        return warning(
            f"Whisper cannot be imported: {tried.problem}; words cannot be measured.",
            "pip install --upgrade openai-whisper numba",
        )
    weights = machine.tried("weights of whisper")["weights of whisper"]
    named, there = weights.fact("named", ""), weights.fact("there", [])
    if named and not weights.fact("named_exists"):
        return warning(
            f"{VARIABLE} names {named}, which is no file: words cannot be measured.",
            unset_variable(machine.system, VARIABLE),
        )
    if not there:
        return note(
            f"No weights of Whisper are on this machine: the quickstart downloads {PACKAGED_MODEL} (75 MB), and the "
            "first transcription its own (1.5 GB for medium).",
            DOWNLOAD_WORDS,
        )
    recognised = machine.tried("recognise")["recognise"]
    if recognised.works:
        return ok(f"Whisper measures words; its weights are here: {', '.join(there)}.")
    return warning(
        f"The weights of Whisper in {weights.fact('path')} do not work: {recognised.problem}.",
        f"Remove that file, then: {DOWNLOAD_WORDS}",
    )


def _likeness(machine: Machine) -> Finding:
    tried = machine.tried("compare speakers")["compare speakers"]
    if tried.works:
        return ok("The speaker encoder measures likeness; it comes with vtune.")
    return warning(
        f"The speaker encoder, which comes with vtune, does not work: {tried.problem}; likeness is not measured.",
        "pip install --force-reinstall --no-deps vtune-tts",
    )


def _naturalness(machine: Machine) -> Finding:
    missing = [name for name in DISTILLMOS if machine.version(name) is None]
    if missing:
        return note(
            f"DistillMOS is not complete ({' and '.join(missing)} missing): naturalness is not measured.",
            INSTALL_DISTILLMOS,
        )
    tried = machine.tried("judge naturalness")["judge naturalness"]
    if tried.works:
        return ok(f"DistillMOS {machine.version('distillmos')} measures how natural a voice sounds.")
    return warning(
        f"DistillMOS does not work: {tried.problem}; naturalness is not measured.",
        f"{INSTALL_DISTILLMOS} --force-reinstall  # and what it needs besides: pip install librosa",
    )


CHECK = MachineCheck("weights", 110, "Are the networks there that measure words, likeness and naturalness?", run)
