"""API keys and settings: what is refused before a server starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from vtune.errors import VtuneError
from vtune.serve.api_keys import API_KEYS_VARIABLE, ApiKeys, read_keys
from vtune.serve.serve import serve
from vtune.serve.settings import ServeSettings, read_settings

ONE, TWO = "0123456789abcdef", "fedcba9876543210"


def test_a_key_opens_and_anything_else_does_not() -> None:
    keys = ApiKeys([ONE, TWO])
    assert keys.holder(f"Bearer {ONE}") == keys.holder(f"bearer  {ONE} ")
    assert keys.holder(f"Bearer {TWO}") not in (None, keys.holder(f"Bearer {ONE}"))
    for stranger in (
        "",
        "Bearer",
        "Bearer ",
        ONE,
        f"Basic {ONE}",
        f"Bearer {ONE[:-1]}",
        f"Bearer {ONE}x",
        "Bearer \ud800",
    ):
        assert keys.holder(stranger) is None, stranger
    assert not ApiKeys()
    assert ApiKeys().holder("Bearer ") is None


def test_the_hash_that_is_logged_is_not_the_key() -> None:
    holder = ApiKeys([ONE]).holder(f"Bearer {ONE}")
    assert holder is not None
    assert len(holder) == 8
    assert holder not in ONE


def test_keys_come_from_a_file_and_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# anna's\n{ONE}\n\n")
    monkeypatch.setenv(API_KEYS_VARIABLE, f" {TWO}, ")
    keys = read_keys(file)
    assert keys.holder(f"Bearer {ONE}")
    assert keys.holder(f"Bearer {TWO}")
    monkeypatch.delenv(API_KEYS_VARIABLE)
    assert not read_keys(None)


@pytest.mark.parametrize(
    ("content", "message"), [("short\n" + ONE, "1 of 2 API keys have fewer than 16"), ("# none\n", "holds no API key")]
)
def test_keys_that_protect_nothing_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "keys").write_text(content)
    with pytest.raises(VtuneError, match=message):
        read_keys(tmp_path / "keys")
    with pytest.raises(VtuneError, match="cannot be read"):
        read_keys(tmp_path / "nothing")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_no_other_machine_is_let_in_without_keys(tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(API_KEYS_VARIABLE, raising=False)
    with pytest.raises(VtuneError, match="so the server needs API keys"):
        serve(tmp_path, host=host)


def test_what_else_stops_a_start(tmp_path: Path) -> None:
    with pytest.raises(VtuneError, match="there is no folder of voices"):
        serve(tmp_path / "nowhere")
    (tmp_path / "keys").write_text(ONE)
    with pytest.raises(VtuneError, match=r"cannot serve at 192\.0\.2\.1 port 1"):
        serve(tmp_path, host="192.0.2.1", port=1, keys=tmp_path / "keys")


def test_settings_are_read_and_mistakes_are_told(tmp_path: Path) -> None:
    path = tmp_path / "serve.yaml"

    def read(text: str) -> ServeSettings:
        path.write_text(text)
        return read_settings(path)

    assert read("") == ServeSettings()
    server_settings = read("aliases: {alloy: anna}\nmax_characters: 100\nmodels: [mine]")
    assert (server_settings.aliases, server_settings.max_characters, server_settings.models) == (
        {"alloy": "anna"},
        100,
        ("mine",),
    )
    for text, expected in (
        ("alias: {a: b}", "there is no key 'alias'; did you mean 'aliases'"),
        ("waiting: 0", "waiting: Input should be greater than 0"),
        ("waiting: true", "waiting: must be a number"),
        ("adapters: 2", "adapters 2 is less than turns 8"),
        ("- x", "expected a mapping of keys to values"),
        ("a: [", "serve.yaml"),
    ):
        with pytest.raises(VtuneError, match=expected):
            read(text)
    with pytest.raises(VtuneError, match="no such file"):
        read_settings(tmp_path / "none.yaml")
