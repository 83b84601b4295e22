"""Small copies of layouts that public corpora have: every word reaches its recording, and every speaker is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vtune.audio import RecordingPart
from vtune.dataset import Source, find_raw, open_source
from vtune.dataset.editing.edit import EditableTable
from vtune.dataset.sources.fragments import split_fragment
from vtune.dataset.sources.plain_text import encoding_of
from vtune.errors import DataError
from vtune.recipe import SourceRecipe

Folder = Callable[..., Path]
Rows = dict[str, tuple[str, str]]

LAYOUTS: dict[str, tuple[tuple[str, ...], dict[str, str | bytes], Rows]] = {
    "Kaldi": (
        ("wavs/a.wav", "wavs/b.wav"),
        {"wav.scp": "u1 wavs/a.wav\nu2\twavs/b.wav\n", "text": "u1 The kettle sang.\nu2 Two boats, 2 \"oars\".\n",
         "utt2spk": "u1 nora\nu2 ben\n"},
        {"a.wav": ("The kettle sang.", "nora"), "b.wav": ('Two boats, 2 "oars".', "ben")},
    ),
    "Kaldi with parts and paths from the folder above": (
        ("corpus/wavs/a.wav",),
        {"corpus/data/all/wav.scp": "u1 corpus/wavs/a.wav\n", "corpus/data/all/text": "u1 我 爱 你 OK\n"},
        {"a.wav": ("我爱你 OK", "")},
    ),
    "LibriTTS": (
        ("dev/84/121/84_121_000000_000000.wav", "dev/174/9/174_9_000000_000000.wav"),
        {"dev/84/121/84_121_000000_000000.normalized.txt": "Forty two boats.",
         "dev/84/121/84_121_000000_000000.original.txt": "42 boats.",
         "dev/174/9/174_9_000000_000000.normalized.txt": "She sang."},
        {"84_121_000000_000000.wav": ("Forty two boats.", "84"), "174_9_000000_000000.wav": ("She sang.", "174")},
    ),
    "VCTK": (
        ("wav48_silence_trimmed/p225/p225_001_mic1.flac", "wav48_silence_trimmed/p226/p226_001_mic1.flac"),
        {"txt/p225/p225_001.txt": "Please call Stella.\n", "txt/p226/p226_001.txt": "Ask her.\n",
         "speaker-info.txt": "ID AGE GENDER\np225 23 F\n"},
        {"p225_001_mic1.flac": ("Please call Stella.", "p225"), "p226_001_mic1.flac": ("Ask her.", "p226")},
    ),
    "VCTK of 2012": (
        ("wav48/p225/p225_001.wav",),
        {"txt/p225/p225_001.txt": "Please call Stella.\n"},
        {"p225_001.wav": ("Please call Stella.", "p225")},
    ),
    "ESD": (
        ("0001/Happy/train/0001_000001.wav", "0011/Sad/0011_000001.wav"),
        {"0001/0001.txt": "0001_000001\t打远一看，它们的确很是美丽\t快乐\n".encode("gb18030"),
         "0011/0011.txt": "\n0011_000001\tI did go.\tSad\n".encode("utf-16")},
        {"0001_000001.wav": ("打远一看，它们的确很是美丽", "0001"), "0011_000001.wav": ("I did go.", "0011")},
    ),
    "M-AILABS": (
        ("en_US/by_book/female/mary_ann/book/wavs/book_01_f000001.wav",
         "en_US/by_book/male/elliot/other/wavs/other_01_f000001.wav"),
        {"en_US/by_book/female/mary_ann/book/metadata.csv": "book_01_f000001|In 2 days|In two days\n",
         "en_US/by_book/female/mary_ann/book/metadata_mls.json": '{"book_01_f000001.wav": {"clean": "In two days"}}',
         "en_US/by_book/male/elliot/other/metadata.csv": "other_01_f000001|He fell.|He fell.\n",
         "en_US/by_book/female/info.txt": "hours of speech"},
        {"book_01_f000001.wav": ("In two days", "mary_ann"), "other_01_f000001.wav": ("He fell.", "elliot")},
    ),
    "GPT-SoVITS": (
        ("a.wav", "b.wav"),
        {"slicer.list": "D:\\GPT\\output\\a.wav|Nora|EN|The kettle sang.\n/mnt/old/b.wav|ben|zh|而对楼市\n"},
        {"a.wav": ("The kettle sang.", "Nora"), "b.wav": ("而对楼市", "ben")},
    ),
    "Festival": (
        ("cmu_us_slt_arctic/wav/arctic_a0001.wav", "cmu_us_bdl_arctic/wav/arctic_a0001.wav"),
        {"cmu_us_slt_arctic/etc/txt.done.data": '( arctic_a0001 "He said \\"no\\"." )\n',
         "cmu_us_bdl_arctic/etc/txt.done.data": '(arctic_a0001 "And she, yes." )\n'},
        {"cmu_us_slt_arctic": ('He said "no".', "cmu_us_slt_arctic"),
         "cmu_us_bdl_arctic": ("And she, yes.", "cmu_us_bdl_arctic")},
    ),
    "AISHELL": (
        ("wav/train/S0002/BAC009S0002W0122.wav", "wav/train/S0003/BAC009S0003W0121.wav"),
        {"transcript/aishell_transcript_v0.8.txt": "BAC009S0002W0122 而 对 楼市\nBAC009S0003W0121 作用 最 大\n"},
        {"BAC009S0002W0122.wav": ("而对楼市", "S0002"), "BAC009S0003W0121.wav": ("作用最大", "S0003")},
    ),
    "AISHELL-3": (
        ("train/wav/SSB0005/SSB00050001.wav",),
        {"train/content.txt": "SSB00050001.wav\t广 guang3 州 zhou1 女 nv3\n"},
        {"SSB00050001.wav": ("广州女", "SSB0005")},
    ),
    "a list of prompts": (
        ("wav/a1.wav", "wav/a2.wav"),
        {"etc/PROMPTS": "a1 The kettle sang.\na2 Two boats came in.\n", "README": "a1 and a2 were read aloud\n"},
        {"a1.wav": ("The kettle sang.", ""), "a2.wav": ("Two boats came in.", "")},
    ),
    "JSUT": (
        ("basic/wav/B_0001.wav", "basic/wav/B_0002.wav"),
        {"basic/transcript_utf8.txt": "B_0001:水をマレーシアから。\nB_0002:木曜日、停戦会談は。\n"},
        {"B_0001.wav": ("水をマレーシアから。", ""), "B_0002.wav": ("木曜日、停戦会談は。", "")},
    ),
    "JVS": (
        ("jvs001/parallel/wav/V_1.wav", "jvs001/parallel/wav/V_2.wav",
         "jvs002/parallel/wav/V_1.wav", "jvs002/parallel/wav/V_2.wav"),
        {f"jvs00{number}/parallel/transcripts.txt": f"V_1:また、東寺{number}。\nV_2:水を{number}。\n"
         for number in (1, 2)},
        {"jvs001/V_1.wav": ("また、東寺1。", "jvs001"), "jvs001/V_2.wav": ("水を1。", "jvs001"),
         "jvs002/V_1.wav": ("また、東寺2。", "jvs002"), "jvs002/V_2.wav": ("水を2。", "jvs002")},
    ),
    "texts with capital endings and whole names": (
        ("a.wav", "b.wav"),
        {"a.TXT": "The kettle sang.", "b.wav.txt": "Two boats."},
        {"a.wav": ("The kettle sang.", ""), "b.wav": ("Two boats.", "")},
    ),
    "a file list of Tacotron's": (
        ("wavs/LJ1.wav", "wavs/LJ2.wav"),
        {"filelists/ljs_audio_text_train_filelist.txt": "DUMMY/LJ1.wav|The kettle sang.\nDUMMY/LJ2.wav|Two boats.\n"},
        {"LJ1.wav": ("The kettle sang.", ""), "LJ2.wav": ("Two boats.", "")},
    ),
    "NeMo": (
        ("wavs/a.wav", "wavs/b.wav"),
        {"train_manifest.json": '{"audio_filepath": "wavs/a.wav", "duration": 1.0, "text": "The kettle sang."}\n'
                                '{"audio_filepath": "wavs/b.wav", "duration": 1.0, "text": "Two boats."}\n'},
        {"a.wav": ("The kettle sang.", ""), "b.wav": ("Two boats.", "")},
    ),
}  # fmt: skip


def _key(audio: str, expected: Rows) -> str:
    """Return the name by which a layout expects a recording: its file, its corpus, or speaker and file."""
    parts = (*Path(audio).parts, "")
    keys = (parts[-2], parts[-4], f"{parts[-5]}/{parts[-2]}")
    return next((key for key in keys if key in expected), audio)


def source_of(root: Path, **asked: object) -> Source:
    recipe = SourceRecipe.model_validate({"source": str(root), **asked})
    assert find_raw(recipe, root) is None
    return open_source(recipe, root)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_known(folder: Folder, name: str) -> None:
    recordings, files, expected = LAYOUTS[name]
    root = folder(*recordings, **files)
    source = source_of(root)
    rows = list(source.rows())
    assert [row.problem for row in rows] == [None] * len(recordings)
    result = {_key(row.audio, expected): (row.text, row.speaker) for row in rows}
    assert result == expected
    assert source.has_speakers == any(speaker for _, speaker in expected.values())


def test_a_second_microphone_and_a_second_text_are_named_and_not_used(folder: Folder) -> None:
    root = folder(
        "wav48/p225/p225_001_mic1.flac", "wav48/p225/p225_001_mic2.flac", **{"txt/p225/p225_001.txt": "Call."}
    )
    first, second = source_of(root).rows()
    assert (first.text, first.problem) == ("Call.", None)
    assert second.problem == "the same words as p225_001_mic1.flac, from another microphone; one microphone is used"
    root = folder("a.wav", name="two", **{"a.txt": "Hello there.", "a.lab": "hello there"})
    assert source_of(root).description == [
        "a text file beside each recording",
        "a.txt is read, a.lab is not; so for others",
    ]


def test_a_kaldi_folder_runs_no_command_and_names_what_is_missing(folder: Folder) -> None:
    scp = "u1 wavs/a.wav\nu2 sox wavs/a.wav -t wav - > /tmp/pwned |\nu3 /old/feats.ark:1234\n"
    root = folder("wavs/a.wav", **{"wav.scp": scp, "text": "u1 Yes.\nu2 No.\nu3 Well.\nu4 Who?\nu1\n"})
    problems = {row.line: row.problem for row in source_of(root).rows()}
    assert problems[1] is None
    assert "a shell command for 'u2', which vtune does not run" in (problems[2] or "")
    assert "a place in a Kaldi archive" in (problems[3] or "")
    assert problems[4] == "wav.scp has no line for 'u4'"
    assert problems[5] == "no words"


def test_segments_of_a_kaldi_folder_are_parts_of_recordings(folder: Folder) -> None:
    root = folder("wavs/a.wav", **{"wav.scp": "rec wavs/a.wav\n", "text": "u1 Yes.\nu2 No.\nu3 Well.\n",
                                   "segments": "u1 rec 0.0 0.25\nu2 rec 0.3 -1\nu3 rec soon late\n"})  # fmt: skip
    first, second, third = list(source_of(root).rows())[:3]
    assert (first.text, split_fragment(first.audio)[1]) == ("Yes.", RecordingPart(0.0, 0.25, None, 0.3))
    assert (second.text, split_fragment(second.audio)[1]) == ("No.", RecordingPart(0.3, None, 0.25))
    assert "'soon' is no time" in (third.problem or "")


@pytest.mark.parametrize("name", ["Kaldi", "Festival", "AISHELL", "GPT-SoVITS"])
def test_words_are_edited_and_put_back_to_the_byte(folder: Folder, name: str) -> None:
    recordings, files, _ = LAYOUTS[name]
    root = folder(*recordings, **files)
    path = next(root / file for file in files if file.endswith(("text", ".data", "v0.8.txt", ".list")))
    before = path.read_bytes()
    table = EditableTable(path)
    change = table.set_words(0, 'Come "here", now.')
    assert EditableTable(path).records[0].text == 'Come "here", now.'
    assert [record.text for record in EditableTable(path).records[1:]] == [r.text for r in table.records[1:]]
    table.undo(change)
    assert path.read_bytes() == before


def test_columns_cannot_be_named_where_the_layout_fixes_them(folder: Folder) -> None:
    for name in ("Kaldi", "ESD", "Festival", "AISHELL", "a list of prompts"):
        recordings, files, _ = LAYOUTS[name]
        with pytest.raises(DataError, match="none can be named 'words'"):
            source_of(folder(*recordings, name=name, **files), text_column="words")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("打远一看，它们的确很是美丽。", "gb18030"),
        ("Grüße aus Köln, señor, à bientôt", "cp1252"),
        ("ÄÖÜ äöü ßßß éèê", "cp1252"),
        ("价格 100 元 OK", "gb18030"),
    ],
)
def test_chinese_bytes_and_western_accents_are_told_apart(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes(text.encode(encoding))
    assert encoding_of(path) == encoding
