"""A voice goes to a Hub and comes back from it, over HTTP, through huggingface_hub's own client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from fake_hub import TOKEN, FakeHub, serving
from huggingface_hub import ModelCard

from vtune.runtime.paths import VoiceFolder
from vtune.voice_format.hub_voice import MAX_TEXT_BYTES, fetch_hub_voice, is_hub_name

Run = Callable[..., Result]
CONSENT = {"person": "A tone", "statement": "Tones need not be asked."}
RECIPE = """
voice: anna
engine: toy
data: [{source: /home/jane/secret tapes/anna}, {source: ../more}, {source: "hub:owner/tapes"}]
folders: {runs: /home/jane/runs}
lora: {rank: 4, alpha: 8}
train: {batch_size: 1, gradient_accumulation: 1, learning_rate: 0.001, scheduler: cosine, epochs: 1}
evaluate: {sentences: [hello there], metrics: [delivery], train_sentences: 0}
"""
TRAINING = {
    "steps": 1, "clips": 1, "seconds": 1.0, "processes": 1, "precision": "fp32", "best_step": 1,
    "loss": 1.0, "eval_loss": None,
}  # fmt: skip
LEDGER = {"clips": {"train": 1}, "seconds": {"train": 1.0}, "reasons": {}}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    """Start a Hub and let this process's client use it, logged in, with an empty cache."""
    from huggingface_hub import constants

    fetch_hub_voice.cache_clear()
    with serving(FakeHub()) as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield hub
        assert hub.unknown == []
    fetch_hub_voice.cache_clear()


@pytest.fixture
def voices(tmp_path: Path, make_voice: Callable[..., VoiceFolder]) -> Path:
    """Write the voices ``anna``, who gave consent, and ``ben``, whose consent is not known."""
    for name, consent in (("anna", CONSENT), ("ben", None)):
        voice = make_voice(tmp_path / "voices" / name, seconds=0.5, consent=consent, training=TRAINING, ledger=LEDGER)
        voice.recipe.write_text(RECIPE)
        voice.page.write_text("recordings of a person")
    return tmp_path / "voices"


def push(vtune: Run, voices: Path, *further: str, voice: str = "anna", to: str = "maker/anna") -> Result:
    return vtune("export", voice, "--push", to, "--voices", str(voices), *further)


def test_a_voice_is_pushed_privately_and_speaks_from_there(
    vtune: Run, hub: FakeHub, voices: Path, tmp_path: Path
) -> None:
    result = push(vtune, voices)
    assert result.exit_code == 0, result.stderr
    assert "private: only you and those you invite see it" in result.stdout
    repository = hub.model("maker/anna")
    assert repository.private
    assert {
        "voice.json",
        "adapter_model.safetensors",
        "conditioning.safetensors",
        "README.md",
    } <= repository.files.keys()
    assert "listen.html" not in repository.files
    for out, voice in (("here.wav", "anna"), ("hub.wav", "hub:maker/anna")):
        said = vtune("say", voice, "hello there", "--voices", str(voices), "--out", str(tmp_path / out))
        assert said.exit_code == 0, said.stderr
    assert _samples(tmp_path / "here.wav") == _samples(tmp_path / "hub.wav")


def _samples(path: Path) -> bytes:
    import soundfile

    sound: bytes = soundfile.read(path, dtype="int16")[0].tobytes()
    assert sound
    return sound


def test_no_path_of_this_machine_is_pushed(vtune: Run, hub: FakeHub, voices: Path) -> None:
    assert push(vtune, voices).exit_code == 0
    files = hub.model("maker/anna").files
    texts = b"".join(content for path, content in files.items() if not path.endswith((".safetensors", ".wav")))
    assert b"/home/jane" not in texts
    assert str(voices).encode() not in texts
    recipe = yaml.safe_load(files["recipe.yaml"])
    assert [source["source"] for source in recipe["data"]] == ["anna", "more", "hub:owner/tapes"]
    assert "folders" not in recipe


def test_the_card_is_complete(vtune: Run, hub: FakeHub, voices: Path) -> None:
    from vtune.audio import write_wav
    from vtune.testing import made_clip
    from vtune.types import Audio

    (voices / "anna" / "samples").mkdir()
    write_wav(voices / "anna" / "samples" / "01.wav", [Audio(made_clip(8000, 0.5, 1).waveform, 8000)], 8000)
    assert push(vtune, voices).exit_code == 0
    files = hub.model("maker/anna").files
    card = ModelCard(files["README.md"].decode())
    assert card.data.to_dict()["widget"] == [{"text": "hello there", "output": {"url": "samples/01.wav"}}]
    assert files["samples/01.wav"][:4] == b"RIFF"
    assert card.data.datasets == ["owner/tapes"]
    assert card.data.license
    assert "A tone. Tones need not be asked." in card.text


def test_a_voice_without_consent_is_not_pushed(vtune: Run, hub: FakeHub, voices: Path) -> None:
    result = push(vtune, voices, voice="ben", to="maker/ben")
    assert result.exit_code == 1
    assert "does not say whose it is and on what consent" in result.stderr
    assert not hub.repositories


def test_publishing_has_to_be_asked_for(vtune: Run, hub: FakeHub, voices: Path) -> None:
    assert push(vtune, voices).exit_code == 0
    assert hub.model("maker/anna").private
    result = push(vtune, voices, "--public")
    assert result.exit_code == 0, result.stderr
    assert "public: everybody sees it" in result.stdout
    assert not hub.model("maker/anna").private
    refused = push(vtune, voices)  # the repository is public now
    assert refused.exit_code == 1
    assert "maker/anna is public" in refused.stderr
    assert vtune("export", "anna", "--public").exit_code == 2


def test_another_repository_is_left_alone(vtune: Run, hub: FakeHub, voices: Path) -> None:
    hub.add("maker/llm", {"model.safetensors": b"x"}, private=True)
    result = push(vtune, voices, to="maker/llm")
    assert result.exit_code == 1
    assert "holds other files than a voice ('model.safetensors')" in result.stderr
    assert len(hub.model("maker/llm").commits) == 1


def test_a_base_that_only_this_machine_has_is_not_pushed(vtune: Run, hub: FakeHub, voices: Path) -> None:
    record = json.loads((voices / "anna" / "voice.json").read_text())
    record["engine_options"]["base_model"] = "/models/orpheus"
    (voices / "anna" / "voice.json").write_text(json.dumps(record))
    result = push(vtune, voices)
    assert result.exit_code == 1
    assert "--set base_model=owner/name" in result.stderr
    assert not hub.repositories


def test_samples_of_an_earlier_push_are_deleted(vtune: Run, hub: FakeHub, voices: Path) -> None:
    assert push(vtune, voices).exit_code == 0
    repository = hub.model("maker/anna")
    repository.commit({**repository.files, "samples/07.wav": b"RIFF", "notes.md": b"mine"})
    assert push(vtune, voices).exit_code == 0
    assert "samples/07.wav" not in repository.files
    assert repository.files["notes.md"] == b"mine"


@pytest.mark.parametrize(
    ("token", "to", "message"),
    [
        ("hf_wrong", "maker/anna", "does not accept the login"),
        (TOKEN, "somebody/anna", "does not let this login write there"),
        (TOKEN, "no/such/name", "a repository is owner/name"),
    ],
)
def test_a_refusal_is_one_line(
    vtune: Run, hub: FakeHub, voices: Path, monkeypatch: pytest.MonkeyPatch, token: str, to: str, message: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    result = push(vtune, voices, to=to)
    assert result.exit_code == 1
    assert message in result.stderr.splitlines()[-1]


def test_a_fault_of_the_hub_is_one_line_without_advice_for_programmers(vtune: Run, hub: FakeHub, voices: Path) -> None:
    hub.down = True
    result = push(vtune, voices)
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert "the Hub has a fault of its own (503): try again later" in last
    assert "developer.mozilla.org" not in last


def test_a_space_speaks_with_the_voice(
    vtune: Run, hub: FakeHub, voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = tmp_path / "space"
    result = vtune("export", "anna", str(space), "--to", "space", "--push", "maker/page", "--voices", str(voices))
    assert result.exit_code == 0, result.stderr
    repository = hub.repositories["space", "maker/page"]
    assert repository.sdk == "gradio"
    assert repository.private
    assert {
        "app.py",
        "requirements.txt",
        "voice/voice.json",
        "voice/adapter_model.safetensors",
    } <= repository.files.keys()
    head = yaml.safe_load(repository.files["README.md"].decode().split("---")[1])
    assert head["sdk"] == "gradio"
    assert (space / head["app_file"]).is_file()
    assert repository.files["requirements.txt"].decode().startswith("vtune-tts==")
    assert "vtune-toy" in repository.files["requirements.txt"].decode()
    spoken = speak_with_app(space, monkeypatch)
    assert _samples(spoken)


def speak_with_app(space: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run ``app.py`` with a Gradio that keeps what the page is made of, and call the function behind the page."""
    import types

    made: dict[str, Any] = {}
    gradio: Any = types.ModuleType("gradio")
    gradio.Error = RuntimeError
    gradio.Interface = lambda **parts: made.update(parts)
    gradio.Textbox = gradio.Number = gradio.Audio = lambda **parts: parts
    monkeypatch.setitem(sys.modules, "gradio", gradio)
    exec(
        compile((space / "app.py").read_text(), "app.py", "exec"),
        {"__name__": "app", "__file__": str(space / "app.py")},
    )
    assert made["title"] == "anna"
    return Path(made["fn"]("hello there", 0))


def test_only_files_that_run_no_code_are_downloaded(vtune: Run, hub: FakeHub, voices: Path, tmp_path: Path) -> None:
    assert push(vtune, voices).exit_code == 0
    repository = hub.model("maker/anna")
    repository.commit({**repository.files, "modeling.py": b"boom", "pytorch_model.bin": b"boom", "samples/a.wav": b"R"})
    folder = fetch_hub_voice("hub:maker/anna").path
    downloaded = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    assert "voice.json" in downloaded
    assert not downloaded & {"modeling.py", "pytorch_model.bin", "samples"}
    assert not [path for _, path in hub.requests if path.endswith(("modeling.py", "pytorch_model.bin"))]


def test_a_voice_that_names_a_file_as_its_engine_is_refused(
    vtune: Run, hub: FakeHub, voices: Path, tmp_path: Path
) -> None:
    assert push(vtune, voices).exit_code == 0
    files = dict(hub.model("maker/anna").files)
    files["voice.json"] = json.dumps({**json.loads(files["voice.json"]), "engine": "evil.py"}).encode()
    files["evil.py"] = b"raise SystemExit('ran')"
    hub.model("maker/anna").commit(files)
    result = vtune("say", "hub:maker/anna", "hi", "--out", str(tmp_path / "x.wav"))
    assert result.exit_code == 1
    assert "ran" not in result.stderr.split()
    assert len(result.stderr.strip().splitlines()[-1]) < 400


def test_absurd_sizes_are_refused_before_the_download(vtune: Run, hub: FakeHub, tmp_path: Path) -> None:
    hub.add("stranger/big", {"voice.json": b" " * (MAX_TEXT_BYTES + 1)})
    result = vtune("say", "hub:stranger/big", "hi", "--out", str(tmp_path / "x.wav"))
    assert result.exit_code == 1
    assert "voice.json has 4,000,001 bytes" in result.stderr
    assert not [path for _, path in hub.requests if "/resolve/" in path]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hub:stranger/none", "it does not exist"),
        ("hub:stranger/llm", "is no voice of vtune: the repository has no voice.json"),
        ("hub:stranger/merged", "its maker can push the voice itself (--to voice)"),
        ("hub:anna", "write hub:owner/name"),
        ("hub:../../etc", "write hub:owner/name"),
    ],
)
def test_what_is_no_voice_is_one_line(vtune: Run, hub: FakeHub, tmp_path: Path, name: str, message: str) -> None:
    hub.add("stranger/llm", {"model.safetensors": b"x"})
    hub.add("stranger/merged", {"model.safetensors": b"x", "voice/voice.json": b"{}"})
    result = vtune("say", name, "hi", "--out", str(tmp_path / "x.wav"))
    assert result.exit_code == 1
    assert message in result.stderr.strip().splitlines()[-1]


def test_a_voice_in_the_cache_speaks_without_a_hub(vtune: Run, hub: FakeHub, voices: Path, tmp_path: Path) -> None:
    assert push(vtune, voices).exit_code == 0
    fetch_hub_voice("hub:maker/anna")
    fetch_hub_voice.cache_clear()
    hub.down = True
    assert vtune("say", "hub:maker/anna", "hi", "--out", str(tmp_path / "x.wav")).exit_code == 0


def test_one_version_can_be_named(vtune: Run, hub: FakeHub, voices: Path) -> None:
    assert push(vtune, voices).exit_code == 0
    first = hub.model("maker/anna").commits[-1][0]
    repository = hub.model("maker/anna")
    repository.commit({**repository.files, "README.md": b"another card"})
    assert fetch_hub_voice(f"hub:maker/anna@{first}").path.name == first


def test_voices_of_the_hub_are_served_and_mixed(vtune: Run, hub: FakeHub, voices: Path, tmp_path: Path) -> None:
    from vtune.serve.hub_voices import voices_folder
    from vtune.voice_format.record import list_voices

    for name in ("anna", "annie"):
        assert push(vtune, voices, to=f"maker/{name}").exit_code == 0
    with voices_folder("hub:maker/anna, hub:maker/annie") as folder:
        assert [voice.name for voice in list_voices(folder)] == ["anna", "annie"]
    assert not folder.exists()
    mixed = vtune("say", "0.5*hub:maker/anna+0.5*hub:maker/annie", "hi", "--out", str(tmp_path / "x.wav"))
    assert mixed.exit_code == 0, mixed.stderr


def test_names_of_the_hub() -> None:
    assert is_hub_name("hub:owner/name")
    assert is_hub_name("hub:owner/name@v1")
    assert not is_hub_name("hub:a/b+hub:c/d")
    assert not is_hub_name("anna")


def test_the_environment_chooses_the_hub(vtune: Run, hub: FakeHub, voices: Path, tmp_path: Path) -> None:
    """A new process, with nothing but variables of its environment, pushes and speaks."""
    environment = {
        **os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "home"),
        "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1",
    }  # fmt: skip
    script = (
        "from vtune_cli.main import main\n"
        "main(['export', 'anna', '--push', 'maker/anna', '--voices', {v!r}], standalone_mode=False)\n"
        "main(['say', 'hub:maker/anna', 'hi', '--out', {o!r}], standalone_mode=False)"
    ).format(v=str(voices), o=str(tmp_path / "x.wav"))
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert _samples(tmp_path / "x.wav")
