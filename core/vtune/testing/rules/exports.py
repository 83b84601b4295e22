"""Export targets that an engine brings: they write the voice, and notice when the files are not the voice's."""

from __future__ import annotations

from pathlib import Path

from vtune.contract.exports import ExportTarget
from vtune.engines.contributions import Contribution
from vtune.errors import VtuneError
from vtune.export.added_target import compared_numbers, voice_to_export
from vtune.export.consent import CONSENT_SENTENCE
from vtune.export.export import export
from vtune.export.source import open_export_source
from vtune.runtime.paths import VoiceFolder
from vtune.testing.checkup import caused_by, without_title
from vtune.testing.rule import BrokenRule, NotApplicable, require, rule
from vtune.testing.rules.describe import export_targets_are_valid
from vtune.testing.rules.training import quiet_log, run_makes_a_voice
from vtune.testing.subject import Subject, wake

ANOTHER_ADAPTER_STD = 0.3
"""Size of the random numbers that make another voice of the run's."""


@rule(
    why="Users take the files to other software, where nobody compares them with the voice any more.",
    change="Let `write` write the voice's network (voice.merge(), or the adapter), and let `compare` compute the same "
    "numbers twice: with voice.model, and from the files.",
    after=(export_targets_are_valid, run_makes_a_voice),
    seconds=120,
)
def export_targets_write_the_voice(subject: Subject) -> str | None:
    """Each export target of the engine writes the voice of the run, and its comparison finds another voice's files."""
    targets = [added for added in subject.engine.export_targets() if added.owner.startswith("engine ")]
    if not targets:
        raise NotApplicable("the engine brings no export targets")
    voice: VoiceFolder | None = vars(subject).get("voice")
    if voice is None:
        raise NotApplicable("the run has made no voice")
    missing = []
    for added in targets:
        folder = subject.new_folder("export") / added.entry.name
        with quiet_log():
            try:
                export(voice, folder, added.entry.name, without_consent=CONSENT_SENTENCE, device="cpu")
            except VtuneError as error:
                if caused_by(error, ImportError):
                    missing.append(f"--to {added.entry.name} was not tried: {without_title(error)}")
                    continue
                raise BrokenRule(
                    f"`vtune export --to {added.entry.name}` refuses the voice of the run: {without_title(error)}."
                ) from error
        _require_other_voice_noticed(added, voice, folder)
    if len(missing) == len(targets):
        raise NotApplicable("; ".join(missing))
    return "; ".join(missing) or None


def _require_other_voice_noticed(added: Contribution[ExportTarget], voice: VoiceFolder, folder: Path) -> None:
    """Compare the files with a voice that has another adapter."""
    source = open_export_source(voice, "cpu")
    wake(source.voice.model, ANOTHER_ADAPTER_STD, 11)
    target = added.entry
    try:
        prompts = compared_numbers(added, voice_to_export(source, target.dtypes[0]), folder)
    except VtuneError:
        return  # the files do not even have the shape of that voice
    largest = max(prompt.difference for prompt in prompts)
    require(
        largest > target.tolerance,
        f"The files of --to {target.name} were compared with a voice that has another adapter, and `compare` found no "
        f"difference: {largest:.1e}, where {target.tolerance:.0e} is allowed. The adapter is not in the files, or not "
        "in the comparison.",
    )
