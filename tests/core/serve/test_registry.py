"""Names of voices become folders; no name leads out of the folder of voices."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtune.errors import VoiceError
from vtune.runtime.paths import VoiceFolder
from vtune.serve.failures import UnknownVoiceError, VoiceBrokenError, VoiceReplacedError
from vtune.serve.registry import VoiceRegistry
from vtune.voice_format.record import VoiceRecord, read_record


@pytest.fixture
def folder(two_voices: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "voices"
    shutil.copytree(two_voices, copy)
    return copy


def registry(folder: Path, mix_voices: int = 8, **aliases: str) -> VoiceRegistry:
    return VoiceRegistry(folder, aliases, {}, mix_voices)


def test_voices_come_and_go_between_two_questions(folder: Path, make_voice: Callable[..., VoiceFolder]) -> None:
    voices = registry(folder)
    assert list(voices.voices()) == ["anna", "ben"]
    make_voice(folder / "cleo", seed=3)
    assert voices.find("cleo").record.name == "cleo"
    assert list(voices.voices()) == ["anna", "ben", "cleo"]
    shutil.rmtree(folder / "anna")
    with pytest.raises(UnknownVoiceError, match=r"no voice 'anna' \(voices: ben, cleo\)"):
        voices.find("anna")


def test_a_voice_that_is_made_again_is_another(folder: Path, make_voice: Callable[..., VoiceFolder]) -> None:
    voices = registry(folder)
    before = voices.find("anna").key
    assert voices.find("anna").key == before
    shutil.rmtree(folder / "anna")
    make_voice(folder / "anna", seed=9)
    assert voices.find("anna").key != before


def test_a_voice_that_is_replaced_while_it_is_found_is_not_half_of_each(
    folder: Path, make_voice: Callable[..., VoiceFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record of the former voice never comes with a key of the new voice, because the former would then count as
    current.
    """
    read = list[Path]()

    def replaced(asked: VoiceFolder) -> VoiceRecord:
        record = read_record(asked)
        if not read:
            shutil.rmtree(asked.path)
            make_voice(asked.path, seed=9, lora={"rank": 2})
        read.append(asked.path)
        return record

    monkeypatch.setattr("vtune.serve.registry.read_record", replaced)
    result = registry(folder).find("anna")
    assert result.record.lora["rank"] == 2 or not result.is_current
    now = result.renewed({})
    assert now.is_current
    assert now.record.lora["rank"] == 2
    assert now.renewed({}) is now


@pytest.mark.parametrize("kind", ["former", "kept"])
def test_a_voice_that_is_moved_aside_for_another_is_not_unknown(folder: Path, kind: str) -> None:
    voices = registry(folder)
    (folder / "anna").rename(folder / f".anna.0123abcd.vtune-{kind}")
    for asked in ("anna", "0.5*anna+0.5*ben"):
        with pytest.raises(VoiceReplacedError):
            voices.find(asked)
    (folder / ".anna.0123abcd.vtune-former").mkdir(exist_ok=True)
    with pytest.raises(UnknownVoiceError):
        voices.find("annabel")


def test_a_voice_brings_no_code_along(folder: Path) -> None:
    ran = folder.parent / "ran"
    (folder / "ben" / "mine.py").write_text(f"open({str(ran)!r}, 'w').close()")
    record = folder / "ben" / "voice.json"
    record.write_text(record.read_text().replace('"toy"', f'"{folder}/ben/mine.py"'))
    with pytest.raises(VoiceBrokenError, match="is a Python file, which vtune runs only if you name it"):
        registry(folder).find("ben")
    assert "ben" in registry(folder).voices()
    assert not ran.exists()


@pytest.mark.parametrize(
    "name",
    ["../voices/anna", "./anna", "anna/", "anna/.", "/etc", "..", ".", "", "anna\0", "anna\n", "ANNA", "~", "C:\\anna"],
)
def test_only_what_is_listed_is_found(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for asked in (name, f"{folder}/anna", f'0.5*"{name or "."}"+0.5*ben', f'0.5*"{folder}/anna"+0.5*ben'):
        with pytest.raises(VoiceError):
            registry(folder).find(asked)


@given(name=st.text(max_size=40))
def test_no_name_does_anything_else_than_be_refused(two_voices: Path, name: str) -> None:
    try:
        result = registry(two_voices).find(name)
    except VoiceError:
        return
    assert all(part.folder.path.parent == two_voices for part in result.parts)


def test_the_folder_that_is_served_goes_before_the_one_that_the_server_stands_in(
    folder: Path, tmp_path: Path, make_voice: Callable[..., VoiceFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_voice(tmp_path / "elsewhere" / "anna", seed=5)
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name in ("anna", "0.5*anna+0.5*ben"):
        assert {part.folder.path.parent for part in registry(folder).find(name).parts} == {folder}


def test_a_mix_is_its_weights_and_not_how_they_are_written(folder: Path) -> None:
    voices = registry(folder)
    mix = voices.find("0.7*anna+0.3*ben")
    assert mix.is_mix
    assert [part.name for part in mix.parts] == ["anna", "ben"]
    assert voices.find(" .70 * 'anna' + 0.30*ben").key == mix.key
    assert voices.find("0.6*anna+0.4*ben").key != mix.key


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("0.5*anna+benn", "mix '0.5*anna+benn', character 10: no voice 'benn'; did you mean 'ben'"),
        ("anna+", "a name is missing"),
        ("anna+ben+anna", "named twice"),
    ],
)
def test_mistakes_in_a_mix_are_told_with_their_place(folder: Path, asked: str, message: str) -> None:
    with pytest.raises(VoiceError, match=message.replace("+", r"\+").replace("*", r"\*")):
        registry(folder).find(asked)


def test_mixes_have_a_limit_and_can_be_forbidden(folder: Path) -> None:
    with pytest.raises(VoiceError, match="the mix has 3 voices; this server mixes 2 at most"):
        registry(folder, mix_voices=2).find("anna+ben+anna")
    with pytest.raises(UnknownVoiceError, match="no voice 'anna"):
        registry(folder, mix_voices=1).find("anna+ben")


def test_an_alias_stands_for_a_voice_or_a_mix_until_a_voice_has_its_name(folder: Path) -> None:
    voices = registry(folder, alloy="anna", echo="0.5*anna+0.5*ben", nova="gone")
    assert voices.find("alloy").name == "anna"
    assert voices.find("echo").is_mix
    with pytest.raises(UnknownVoiceError, match=r"no voice 'gone' .*\(voices: anna, ben, alloy, echo, nova\)"):
        voices.find("nova")
    (folder / "ben").rename(folder / "alloy")
    assert voices.find("alloy").name == "alloy"


def test_a_damaged_voice_is_told_to_the_log_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    voices = registry(folder)
    (folder / "ben" / "voice.json").write_text("{}")
    for _ in range(3):
        assert list(voices.voices()) == ["anna"]
    assert len([line for line in caplog.messages if "damaged" in line]) == 1
    (folder / "ben" / "voice.json").write_text("{  }")
    assert list(voices.voices()) == ["anna"]
    assert len([line for line in caplog.messages if "damaged" in line]) == 2


def test_a_damaged_voice_is_not_listed_and_not_another_instead(folder: Path) -> None:
    (folder / "ben" / "voice.json").write_text("{")
    voices = registry(folder)
    assert list(voices.voices()) == ["anna"]
    for asked in ("ben", "0.5*anna+0.5*ben"):
        with pytest.raises(VoiceBrokenError, match="damaged"):
            voices.find(asked)


def test_names_that_are_no_text_are_passed_over(folder: Path) -> None:
    os.rename(os.fsencode(folder / "ben"), os.fsencode(folder) + b"/b\xffn")
    assert list(registry(folder).voices()) == ["anna"]


def test_a_long_list_is_cut(folder: Path) -> None:
    many = {f"alias{n}": "anna" for n in range(80)}
    with pytest.raises(UnknownVoiceError, match=r"alias5 and 74 more\)$"):
        registry(folder, **many).find("nobody")
