from __future__ import annotations

import wave

import numpy as np
import pytest
import soundfile

from vtune.toolkit.pauses import PAUSE_SECONDS


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_voice):
    voices = tmp_path_factory.mktemp("say") / "voices"
    make_voice(voices / "anna")
    return voices


@pytest.mark.parametrize("text", ["* * *", "...", "\N{GRINNING FACE}", "\u200b", " "])
def test_a_text_that_cannot_be_read_out_is_refused_in_one_line(vtune, folder, tmp_path, text):
    (tmp_path / "lines.txt").write_text(f"{text}\n\n{text}\n", encoding="utf-8")
    out = tmp_path / "out"
    for given in ([text], ["--file", str(tmp_path / "lines.txt")]):
        result = vtune("say", "anna", *given, "--voices", str(folder), "--out", str(out))
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: there is nothing to speak in ")
        assert len(result.stderr.splitlines()) == 1
        assert not out.exists()


def test_a_line_that_cannot_be_read_out_is_a_pause(vtune, folder, tmp_path):
    (tmp_path / "lines.txt").write_text("One.\n* * *\nTwo.\n")
    say = ("say", "anna", "--file", str(tmp_path / "lines.txt"), "--voices", str(folder))
    assert vtune(*say, "--out", str(tmp_path / "out")).exit_code == 0
    first, pause, last = (soundfile.read(tmp_path / "out" / f"{number:03d}.wav")[0] for number in (1, 2, 3))
    assert len(pause) == PAUSE_SECONDS * 8000
    assert not pause.any()
    raw = vtune(*say, "--stream", "--raw").stdout_bytes
    assert np.array_equal(np.frombuffer(raw, "<i2") / 32768, np.concatenate([first, pause, last]))


def test_a_wav_says_that_it_is_synthetic(vtune, folder, tmp_path):
    out = tmp_path / "hello.wav"
    assert vtune("say", "anna", "Hello.", "--voices", str(folder), "--out", str(out)).exit_code == 0
    assert soundfile.SoundFile(out).comment == "synthetic speech, made with vtune; voice anna"
    with wave.open(str(out)) as file:
        assert file.getnframes() == len(soundfile.read(out)[0])


def test_the_ending_chooses_the_format(vtune, folder, tmp_path):
    say = ("say", "anna", "Hello.", "--voices", str(folder), "--out")
    for name, subtype in (("hello.ogg", "VORBIS"), ("hello.OPUS", "OPUS"), ("hello", "PCM_16")):
        assert vtune(*say, str(tmp_path / name)).exit_code == 0
        with soundfile.SoundFile(tmp_path / name) as file:
            assert file.subtype == subtype
            # Of Opus, libsndfile reads comments only under its own capital letters.
            assert subtype == "OPUS" or file.comment == "synthetic speech, made with vtune; voice anna"
    seconds = [soundfile.info(tmp_path / name).duration for name in ("hello.ogg", "hello.OPUS", "hello")]
    assert seconds == pytest.approx([seconds[2]] * 3, abs=0.001)
    result = vtune(*say, str(tmp_path / "hello.ogx"))
    assert result.exit_code == 1
    assert "has the ending .ogx; did you mean 'ogg'? (formats: aac, " in result.stderr
