"""Files in folders and on the Hub, folders that are built once, and hashes of large files."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune import EngineError
from vtune.toolkit import build_once, fetch_file, folder_or_hub_id, hash_file


def refusal(call: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(EngineError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) < 600
    return message


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache of model files."""
    folder = tmp_path / "cache"
    asked = huggingface_hub.cached_assets_path

    def here(*names: str) -> Path:
        return asked(*names, assets_dir=folder)

    monkeypatch.setattr(huggingface_hub, "cached_assets_path", here)
    return folder


def test_a_folder_goes_before_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert folder_or_hub_id("somebody/model", "base_model") == "somebody/model"
    (tmp_path / "somebody/model").mkdir(parents=True)
    assert Path(folder_or_hub_id("somebody/model", "base_model")).is_dir()
    assert folder_or_hub_id(str(tmp_path), "base_model") == str(tmp_path)


def test_the_home_folder_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").mkdir()
    assert folder_or_hub_id("~/model", "base_model") == str(tmp_path / "model")


@pytest.mark.parametrize("name", ["model", "./model", "/nowhere/model", "~/model", "a/b/c", "..", ""])
def test_what_is_neither_names_its_option(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    if Path(name).is_dir():
        assert folder_or_hub_id(name, "codec") == str(Path(name))
    else:
        assert f"engine_options.codec: there is no folder {name!r}" in refusal(folder_or_hub_id, name, "codec")


def test_a_file_of_a_folder_is_itself(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/weights.bin").write_bytes(b"x")
    assert fetch_file(str(tmp_path), "sub/weights.bin") == tmp_path / "sub/weights.bin"
    assert fetch_file(str(tmp_path), "weights.bin") is None
    assert fetch_file(str(tmp_path), "sub") is None


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("nobody/cached_nowhere", None),  # offline, as every test is: what is not in the cache cannot be had
        ("some body/with a blank", None),
        ("a/b", ConnectionError("no route\nto host")),
        ("a/b", LocalEntryNotFoundError("nothing cached")),
        ("a/b", OSError("401 Client Error\n\nAccess to this model is restricted")),
    ],
)
def test_a_repository_that_cannot_be_reached_is_one_line(
    name: str, error: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        assert error is not None
        raise error

    if error is not None:
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    message = refusal(fetch_file, name, "config.yaml")
    assert repr(name) in message
    assert "name a folder" in message


def test_a_repository_without_the_file_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise EntryNotFoundError("404 Client Error")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    assert fetch_file("a/b", "config.yaml") is None


def test_a_folder_is_built_once(cache: Path) -> None:
    built = []

    def build(folder: Path) -> None:
        assert folder.is_dir()
        assert not list(folder.iterdir())
        built.append(folder)
        (folder / "weights").write_text("x")
        (folder / "proof").write_text("x")

    first = build_once("engine", "small-1", build, "proof")
    assert first.is_relative_to(cache)
    assert sorted(path.name for path in first.iterdir()) == ["proof", "weights"]
    assert build_once("engine", "small-1", build, "proof") == first
    assert len(built) == 1
    assert build_once("engine", "small-2", build, "proof") != first
    assert len(built) == 2


@pytest.mark.parametrize("error", [ValueError("bad"), OSError("disk full"), KeyboardInterrupt()])
def test_a_build_that_fails_leaves_nothing_and_is_tried_again(cache: Path, error: BaseException) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        (folder / "proof").write_text("x")
        raise error

    with pytest.raises(type(error)):
        build_once("engine", "small", fail, "proof")
    assert {path.name for path in cache.rglob("*") if path.is_file()} <= {".small.lock"}
    folder = build_once("engine", "small", lambda folder: (folder / "proof").write_text("whole"), "proof")
    assert [path.name for path in folder.iterdir()] == ["proof"]


def test_what_was_left_half_built_is_replaced(cache: Path) -> None:
    folder = build_once("engine", "small", lambda folder: (folder / "proof").write_text("x"), "proof")
    (folder / "proof").unlink()
    (folder / "stale").write_text("x")
    again = build_once("engine", "small", lambda folder: (folder / "proof").write_text("y"), "proof")
    assert again == folder
    assert [path.name for path in folder.iterdir()] == ["proof"]


def test_of_those_who_ask_at_once_one_builds_and_all_get_the_whole_folder(cache: Path) -> None:
    built = []
    together = threading.Barrier(4)

    def build(folder: Path) -> None:
        built.append(folder)
        (folder / "weights").write_text("x")
        time.sleep(0.2)  # for the others to come
        (folder / "proof").write_text("x")

    def ask() -> set[str]:
        together.wait(timeout=30)
        folder = build_once("engine", "small", build, "proof")
        return {path.name for path in folder.iterdir()}

    with ThreadPoolExecutor(4) as pool:
        result = [asked.result(timeout=60) for asked in [pool.submit(ask) for _ in range(4)]]
    assert result == [{"weights", "proof"}] * 4
    assert len(built) == 1


@settings(max_examples=50, deadline=None)
@given(content=st.binary(max_size=300), place=st.integers(0, 299), value=st.integers(1, 255))
def test_any_change_of_a_file_changes_its_hash(
    content: bytes, place: int, value: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("hash")
    (folder / "a").write_bytes(content)
    (folder / "b").write_bytes(content)
    assert hash_file(folder / "a") == hash_file(folder / "b")
    changed = bytearray(content or b"\0")
    changed[place % len(changed)] ^= value
    (folder / "b").write_bytes(changed)
    assert hash_file(folder / "a") != hash_file(folder / "b")
    (folder / "b").write_bytes(content + b"\0")
    assert hash_file(folder / "a") != hash_file(folder / "b")


def test_every_byte_of_a_file_below_the_limit_counts(tmp_path: Path) -> None:
    size = 3 * (1 << 16) + 17
    path = tmp_path / "weights"
    path.write_bytes(bytes(size))
    before = hash_file(path)
    for position in (0, (1 << 16) - 1, 1 << 16, size // 2, size - 18, size - 1):
        with path.open("r+b") as file:
            file.seek(position)
            file.write(b"\1")
            file.flush()
            assert hash_file(path) != before, position
            file.seek(position)
            file.write(b"\0")
    assert hash_file(path) == before


def test_a_large_file_is_hashed_by_samples_and_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "weights"

    def sparse(size: int) -> str:
        with path.open("wb") as file:
            file.truncate(size)
        return hash_file(path)

    size = 4_000_000_000
    started = time.monotonic()
    before = sparse(size)
    assert time.monotonic() - started < 5, "it reads far more than 64 MiB"
    assert before == sparse(size)
    assert before != sparse(size + 1)
    assert before != sparse(size - 1)
    sparse(size)
    with path.open("r+b") as file:  # a network that was trained on differs everywhere
        for index in range(0, size, 1_000_000):
            file.seek(index)
            file.write(b"\1")
    assert hash_file(path) != before
