from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from safetensors.torch import load_file, save_file

from vtune import pipeline
from vtune.errors import VoiceError
from vtune.evaluation import synthesize_all
from vtune.evaluation.compare import contestants
from vtune.evaluation.compare.contestants import opened, plain
from vtune.recipe import Recipe
from vtune.runtime.paths import VoiceFolder
from vtune.training.checkpoints import complete_checkpoints


def spoken(ann: VoiceFolder, name: str) -> np.ndarray:
    (contestant,) = (result for result in contestants(["ann", name], ann.path.parent, runs(ann)) if result.name == name)
    with opened(contestant, "cpu") as system:
        (utterance,) = synthesize_all([system], ["hello there you"], [3])
    return utterance.waveform


def runs(ann: VoiceFolder) -> Path:
    return ann.path.parents[1] / "runs"


def test_the_base_is_the_voice_untuned(ann: VoiceFolder) -> None:
    from vtune.voices.speech import open_voice

    voice = open_voice(ann, "cpu")
    untuned = np.concatenate([piece.waveform for piece in voice.stream("hello there you", 3, untuned=True)])
    tuned = np.concatenate([piece.waveform for piece in voice.stream("hello there you", 3)])
    (first, base) = contestants(["ann", "base"], ann.path.parent, runs(ann))
    assert (first.label, base.label) == ("lora", "base")
    for contestant, sound in ((first, tuned), (base, untuned)):
        with opened(contestant, "cpu") as system:
            (utterance,) = synthesize_all([system], ["hello there you"], [3])
        assert np.array_equal(utterance.waveform, sound)


def test_checkpoints_speak_with_their_own_weights(ann: VoiceFolder) -> None:
    (training,) = (runs(ann) / "ann" / "checkpoints").iterdir()
    first = training / "checkpoint-4" / "adapter_model.safetensors"
    save_file({name: 0 * tensor for name, tensor in load_file(first).items()}, first, {"format": "pt"})
    assert np.array_equal(spoken(ann, "ann@4"), spoken(ann, "base"))
    # The last checkpoint is the voice.
    (contestant,) = contestants(["ann"], ann.path.parent, runs(ann))
    with opened(contestant, "cpu") as system:
        (utterance,) = synthesize_all([system], ["hello there you"], [3])
    assert np.array_equal(spoken(ann, "ann@8"), utterance.waveform)
    assert np.array_equal(spoken(ann, "ann@best"), utterance.waveform)


def test_a_path_is_called_by_its_end_unless_that_is_another_s_name(ann: VoiceFolder, tmp_path: Path) -> None:
    def names(*typed: str) -> list[str]:
        return [contestant.name for contestant in contestants(typed, ann.path.parent, runs(ann))]

    path = str(ann.path)
    assert names(path, "base", "ann@4") == ["ann", "base", "ann@4"]
    copy = shutil.copytree(ann.path, tmp_path / "copy" / "ann")
    assert names("ann", str(copy)) == ["ann", str(copy)]


def test_a_prompt_is_the_base_with_what_it_keeps_of_one_recording(ann: VoiceFolder, tmp_path: Path) -> None:
    path = tmp_path / "a clip.wav"
    soundfile.write(path, 0.3 * np.sin(np.arange(16_000) / 3), 16_000)
    _, contestant = contestants(["ann", f"prompt:{path}"], ann.path.parent, runs(ann))
    assert (contestant.untuned, contestant.label) == (True, "a-clip")
    assert len(spoken(ann, f"prompt:{path}"))


def test_a_mix_speaks_as_what_it_is_made_of(ann: VoiceFolder) -> None:
    shutil.copytree(ann.path, ann.path.parent / "ben")
    result = {name: spoken(ann, name) for name in ("ben", "0.7*ann+0.3*ben", "ann@best")}
    # Two of the same voice are that voice.
    assert np.allclose(result["0.7*ann+0.3*ben"], result["ben"], atol=1e-4)
    assert np.array_equal(result["ben"], result["ann@best"])
    (contestant,) = contestants(["0.7*ann+0.3*ben"], ann.path.parent, runs(ann))
    assert contestant.label == "0.7-ann-0.3-ben"


def test_a_fully_tuned_voice_is_called_finetuned(toy: Callable[..., Recipe]) -> None:
    (voice,) = pipeline.run(toy(train={"method": "full"}, evaluate={"checkpoint_sentences": 0}))
    (contestant,) = contestants([str(voice.path)], voice.path.parent, Path("runs"))
    assert contestant.label == "finetuned"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["base"], "name a voice: base is no voice but a base"),
        (["anne"], r"no voice 'anne' in .*; did you mean 'ann'"),
        (["ann", "ann"], "ann is named twice"),
        (["ann@5"], r"ann@5: no checkpoint of that step in .* \(there: 4, 8\)"),
        (["ann", "prompt:nowhere.wav"], "there is no recording nowhere.wav"),
    ],
)
def test_what_is_not_there_says_what_is(ann: VoiceFolder, names: list[str], message: str) -> None:
    with pytest.raises(VoiceError, match=message):
        contestants(names, ann.path.parent, runs(ann))


def test_a_run_that_is_gone_leaves_no_checkpoints(ann: VoiceFolder) -> None:
    shutil.rmtree(runs(ann))
    with pytest.raises(VoiceError, match=r"\(there: none\)"):
        contestants(["ann@best"], ann.path.parent, runs(ann))


def test_a_half_written_checkpoint_is_none(ann: VoiceFolder) -> None:
    (training,) = (runs(ann) / "ann" / "checkpoints").iterdir()
    steps = complete_checkpoints(training)
    assert [step for step, _ in steps] == [4, 8]
    (steps[0][1] / "adapter_model.safetensors").unlink()
    assert [step for step, _ in complete_checkpoints(training)] == [8]


@pytest.mark.parametrize(
    ("name", "file"), [("ann@40", "ann-40"), ("0.7*a+0.3*b", "0.7-a-0.3-b"), ("../x", "x"), ("…", "voice")]
)
def test_names_are_made_fit_for_files(name: str, file: str) -> None:
    assert plain(name) == file
