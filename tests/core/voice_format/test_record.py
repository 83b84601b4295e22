from __future__ import annotations

import json
import os
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.errors import VoiceError
from vtune.runtime.paths import VoiceFolder
from vtune.types import Conditioning
from vtune.voice_format.record import find_voice, list_voices, read_conditioning, read_record, write_conditioning

RECORD = {
    "name": "anna",
    "engine": "toy",
    "engine_origin": "vtune-toy 0.1.0",
    "engine_options": {"width": 8},
    "extensions": {"gain": {"origin": "extension 'gain' (x 1.0)", "options": {"a": 1}, "wraps": ["synthesize"]}},
    "method": "lora",
    "sample_rate": 8000,
    "fingerprint": {"network": "width 8"},
    "servable": True,
    "lora": {"rank": 4},
    "training": {"steps": 3},
    "ledger": {"clips": {"train": 7}},
    "consent": None,
    "licence": "",
    "licence_id": "other",
    "licence_name": "",
    "vtune": "0.1.0",
    "created": "2025-01-01T00:00:00+00:00",
    "mix": None,
    "imported": None,
}


@pytest.fixture
def voices(tmp_path):
    return tmp_path / "voices"


@pytest.fixture
def make(voices):
    def folder(name: str, record: object = RECORD, adapter: bool = True) -> VoiceFolder:
        made = VoiceFolder(voices / name)
        made.path.mkdir(parents=True)
        if adapter:
            made.adapter_config.write_text('{"r": 4, "lora_alpha": 64}')
        if record is not None:
            made.record.write_bytes(record if isinstance(record, bytes) else json.dumps(record).encode())
        return made

    return folder


def refusal(call, *arguments) -> str:
    with pytest.raises(VoiceError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def test_voices_are_folders_with_an_adapter_or_a_record_by_name(make, voices):
    make("zoe")
    make("anna", record=None)
    make("full", adapter=False)
    make(".anna.123.partial")
    make("empty", record=None, adapter=False)
    (voices / "notes.txt").write_text("")
    assert [voice.name for voice in list_voices(voices)] == ["anna", "full", "zoe"]


def test_a_new_voice_is_listed_without_a_restart(make, voices):
    make("one")
    assert len(list_voices(voices)) == 1
    make("two")
    assert len(list_voices(voices)) == 2


def test_no_folder_or_a_file_instead_has_no_voices(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "gone", tmp_path / "file", tmp_path / "file" / "below", tmp_path):
        assert list_voices(path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_told(voices):
    voices.mkdir(mode=0)
    assert "cannot be read: Permission denied" in refusal(list_voices, voices)


def test_a_voice_is_found_by_name_or_by_path(make, voices, tmp_path, monkeypatch):
    made = make("anna")
    assert find_voice("anna", voices).path == made.path
    assert find_voice(str(made.path), tmp_path / "elsewhere").path == made.path
    monkeypatch.chdir(tmp_path)
    assert find_voice("./voices/anna", tmp_path / "elsewhere").path.resolve() == made.path


def test_a_voice_in_the_current_folder_goes_before_one_of_that_name(make, voices, tmp_path, monkeypatch):
    make("anna")
    here = VoiceFolder(tmp_path / "anna")
    here.path.mkdir()
    here.record.write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert find_voice("anna", voices).path.resolve() == here.path


def test_an_unknown_voice_suggests_the_nearest_and_lists_the_rest(make, voices):
    make("anna")
    make("zoe")
    assert refusal(find_voice, "ana", voices) == (
        f"no voice 'ana' in {voices}; did you mean 'anna'? (voices: anna, zoe)"
    )


@pytest.mark.parametrize("name", ["x" * 5000, "a\nb", "a\0b", "..", "/", "\udcff"])
def test_a_name_that_no_file_can_have_is_an_unknown_voice(voices, name):
    message = refusal(find_voice, name, voices)
    assert message.endswith("(voices: none)")
    assert len(message) < 200 + len(str(voices))


def test_a_record_is_read_with_all_it_says(make):
    record = read_record(make("anna", {**RECORD, "a_field_of_tomorrow": 1}))
    assert record.model_dump() == RECORD


def test_a_voice_without_a_record_says_what_is_missing(make):
    assert refusal(read_record, make("anna", record=None)).endswith(
        "has an adapter but no voice.json, so vtune does not know the engine of the voice; if other software trained "
        "it, make a voice of it with 'vtune import FOLDER --engine ENGINE'"
    )


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"3",
        b"\xff\xfe",
        b"\0" * 100,
        b"[" * 100_000,
        b"9" * 5000,
        json.dumps({**RECORD, "sample_rate": "fast"}).encode(),
        json.dumps({**RECORD, "ledger": []}).encode(),
        json.dumps({key: value for key, value in RECORD.items() if key != "engine"}).encode(),
        json.dumps(RECORD).encode()[:-20],
    ],
)
def test_a_damaged_record_names_the_file_and_what_to_do(make, damage):
    folder = make("anna", damage)
    message = refusal(read_record, folder)
    assert message.startswith(f"{folder.record} is damaged: ")
    assert message.endswith("; make the voice again")
    assert len(message) < 300 + len(str(folder.record))


def test_a_record_that_is_a_folder_is_damaged(make):
    folder = make("anna", record=None)
    folder.record.mkdir()
    assert "is damaged: " in refusal(read_record, folder)


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=5).filter(lambda name: name != "__metadata__"),
        st.tuples(
            st.sampled_from([np.float32, np.int64, np.float16, np.uint8]), st.lists(st.integers(0, 3), max_size=3)
        ),
        max_size=3,
    ),
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=5), st.text(st.characters(codec="utf-8")), max_size=3
    ),
)
@settings(deadline=None, max_examples=40)
def test_conditioning_comes_back_as_it_was(scratch, shapes, strings):
    path = scratch / "conditioning.safetensors"
    tensors = {
        name: np.random.default_rng(0).integers(0, 9, size=shape).astype(kind) for name, (kind, shape) in shapes.items()
    }
    write_conditioning(Conditioning(tensors, strings), path)
    back = read_conditioning(path)
    assert back.strings == strings
    assert back.tensors.keys() == tensors.keys()
    for name, array in tensors.items():
        assert back.tensors[name].dtype == array.dtype
        assert back.tensors[name].shape == array.shape
        assert np.array_equal(back.tensors[name], array)


def test_arrays_that_are_not_contiguous_are_written_as_they_look(tmp_path):
    array = np.arange(12, dtype=np.float32).reshape(3, 4).T[::2]
    write_conditioning(Conditioning({"a": array}), tmp_path / "c")
    assert np.array_equal(read_conditioning(tmp_path / "c").tensors["a"], array)


def _safetensors(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04\x95",  # a pickle
        b"x" * 100,
        _safetensors(b"{}}"),
        _safetensors(b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', b"short"),
        _safetensors(b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,8]}}', b"12345678"),
        _safetensors(b'{"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}', b"12"),
        _safetensors(b'{"a":{"dtype":"NONE","shape":[1],"data_offsets":[0,2]}}', b"12"),
        struct.pack("<Q", 2**60),
    ],
)
def test_damaged_conditioning_names_the_file(tmp_path, content):
    path = tmp_path / "conditioning.safetensors"
    path.write_bytes(content)
    message = refusal(read_conditioning, path)
    assert message.startswith(f"{path} cannot be read: ")
    assert message.endswith("; make the voice again")


def test_conditioning_that_is_gone_or_a_folder_is_told(tmp_path):
    assert "cannot be read" in refusal(read_conditioning, tmp_path / "gone.safetensors")
    assert "cannot be read" in refusal(read_conditioning, tmp_path)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
CONFIG = {"r": 4, "lora_alpha": 64, "target_modules": ["inner"], "bias": "none", "peft_type": "LORA"}


@given(st.data())
@settings(deadline=None, max_examples=150)
def test_any_change_of_a_record_or_its_adapter_is_read_or_refused_in_a_line(scratch, data):
    folder = VoiceFolder(scratch / "mutated")
    folder.path.mkdir(exist_ok=True)
    for path, healthy in ((folder.record, RECORD), (folder.adapter_config, CONFIG)):
        key = data.draw(st.sampled_from([*healthy, "a_key_of_tomorrow"]))
        content = json.dumps({**healthy, key: data.draw(ANYTHING)}).encode()
        for _ in range(data.draw(st.integers(0, 2))):
            position = data.draw(st.integers(0, len(content) - 1))
            content = content[:position] + data.draw(st.binary(max_size=2)) + content[position + 1 :]
        path.write_bytes(content)
    message = ""
    try:
        read_record(folder)
    except VoiceError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1
