from __future__ import annotations

import sys
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune import EngineError
from vtune_indextts2.text.basic import BasicEngine
from vtune_indextts2.text.frontend import Frontend
from vtune_indextts2.text.glossary import apply_glossary, read_glossary
from vtune_indextts2.text.language import language_of
from vtune_indextts2.text.normalisers import choose_engine
from vtune_indextts2.text.pinyin import SYLLABLE, spelt
from vtune_indextts2.text.protected_names import NAME, hide, hide_hyphens, show, show_hyphens
from vtune_indextts2.text.segments import split
from vtune_indextts2.text.spacing import spaced
from vtune_indextts2.text.tokens import load_tokenizer

TEXTS = st.text(st.characters(exclude_categories=()))  # lone surrogates too
SPOKEN = st.text(st.sampled_from("aB1 .,!?'-…我是王·q3\n"), max_size=80)
SENTENCES = """The quick brown fox jumps over the lazy dog, and nobody knows why.
'Well,' she said, 'what is it?' It is a well-known, half-forgotten story!
Twenty four ships sailed at five o'clock. How many came back? Two.
今天天气很好,我们去公园散步吧. 你好! 他说,'为什么?'
一二三四五六七八九十百千万,上山打老虎."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    lines = [spaced(line) for line in SENTENCES.splitlines()]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_prefix=str(folder / "bpe"),
        model_type="bpe",
        vocab_size=160,
        bos_id=0,
        eos_id=1,
        unk_id=2,
        minloglevel=2,
    )
    return folder / "bpe.model"


@pytest.fixture(scope="module")
def frontend(model: Path) -> Frontend:
    return Frontend(load_tokenizer(model, 160), BasicEngine())


# --- the way around the engine


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Good morning.", "en"),
        ("Good 早 morning", "zh"),
        ("12:30", "zh"),
        ("reader@example.com", "zh"),
        ("write to reader@example.com", "en"),
        ("zhong4 yao", "zh"),
        ("beta2 and C3PO", "en"),
        ("the Xue2 syllable", "zh"),
        ("Σ is a letter: x", "en"),
        ("Ünï", "en"),
    ],
)
def test_language(text: str, language: str) -> None:
    assert language_of(text) == language


class Echo:
    name, version, identity = "echo", "1", "echo 1"

    def normalise(self, text: str, language: str) -> str:
        return text


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("It's here; she's THERE.", "It is here, she is THERE."),
        ("Who’s “there” (now)?", "Who's 'there' 'now'?"),
        ("A long-term F5-TTS plan", "A long-term F5-TTS plan"),
        ("Wait... and,,, so: on~", "Wait… and… so, on-"),
        ("他ju3起了手。  ", "他JV3起了手."),
        ("绿lü4色，xüan2，qian2", "绿lü4色,XVAN2,QIAN2"),
        ("王·小明和李—四、五$", "王-小明和李-四,五."),
        ("你好……再见…", "你好…再见…"),
        ("one\ntwo $5", "one two $5"),
    ],
)
def test_normalise_around_the_engine(model: Path, text: str, spoken: str) -> None:
    assert Frontend(load_tokenizer(model), Echo()).normalise(text) == spoken


def test_the_engine_sees_placeholders(model: Path) -> None:
    seen = []

    class Spy(Echo):
        def normalise(self, text: str, language: str) -> str:
            seen.append((text, language))
            return text.replace("<H>", " <H> ")

    front = Frontend(load_tokenizer(model), Spy(), {"TTS": "T T S", "TTS-2": {"zh": "二代"}, "C++": "a\\1b"})
    assert (
        front.normalise("The well-known tts, 3D-Print 1-2-a and C++.")
        == "The well-known T T S, 3D-Print 1-2-a and a\\1b."
    )
    assert front.normalise("tts-2和王·小明zhong4，zhong4") == "二代和王-小明zhong4,zhong4"
    assert seen == [
        ("The well<H>known T T S, 3D<H>Print 1-2-a and a\\1b.", "en"),
        ("<n_a><pinyin_a>，<pinyin_a>", "zh"),
    ]


def test_a_single_character_is_taken_as_it_is(frontend: Frontend) -> None:
    assert frontend.pieces(" 我 ") == frontend.tokenizer.encode("我", out_type=str)
    assert frontend.tokenize("a") != frontend.tokenize("a a")
    assert 2 in frontend.tokenize("¤")  # unknown


@given(TEXTS)
def test_spacing_twice_is_spacing_once(text: str) -> None:
    once = spaced(text)
    assert spaced(once) == once
    assert "".join(once.split()) == "".join(text.upper().split())


@given(st.text(st.sampled_from("ab1- 我王·—q3ü"), max_size=40))
def test_what_is_hidden_comes_back(text: str) -> None:
    assert show_hyphens(hide_hyphens(text)) == text
    for pattern, tag in ((NAME, "n"), (SYLLABLE, "pinyin")):
        assert show(*hide(text, pattern, tag), tag) == text


def test_more_placeholders_than_letters() -> None:
    text = "，".join(f"{chr(0x4E00 + index)}·{chr(0x5E00 + index)}" for index in range(60))
    hidden, names = hide(text, NAME, "n")
    assert hidden.startswith("<n_a>，<n_b>")
    assert "<n_z>，<n_aa>，<n_ab>" in hidden
    assert show(hidden, names, "n") == text


def test_spelling_of_pinyin() -> None:
    written = "ju3 qu4 xun2 xüe4 Quan1 xia3 lü4 nu3 zhu1"
    assert " ".join(map(spelt, written.split())) == "JV3 QV4 XVN2 XVE4 QVAN1 XIA3 lü4 nu3 zhu1"


# --- segments


@given(SPOKEN, st.integers(1, 40), st.integers(0, 60))
def test_segments_hold_every_token_once(frontend: Frontend, text: str, longest: int, quick: int) -> None:
    segments = frontend.segments(text, longest, quick)
    assert list(chain(*segments)) == frontend.tokenize(text)
    assert all(0 < len(segment) <= longest for segment in segments)
    with_repetition = frontend.segments(text, longest, quick, repeat_apostrophe=True)
    assert sum(map(len, with_repetition)) >= sum(map(len, segments))


def test_a_segment_without_a_letter_is_told(frontend: Frontend) -> None:
    text = "The bells rang. ... ! ... ! ... ! ... ! The bells rang."
    usual, spoken = frontend.segments(text, 8), frontend.spoken_segments(text, 8)
    assert len(spoken) == len(usual)
    assert [ids for ids in spoken if ids] == [ids for ids, kept in zip(usual, spoken, strict=True) if kept]
    assert all((spoken[0], spoken[-1]))
    assert [] in spoken


@pytest.mark.parametrize(
    ("pieces", "longest", "quick", "expected"),
    [
        ("a b . c d .", 3, 0, "a b .|c d ."),
        ("a b . c d .", 6, 0, "a b . c d ."),
        ("a b . c d .", 6, 6, "a b .|c d ."),
        ("a b , c d , e f", 4, 0, "a b ,|c d ,|e f"),
        ("a b - c d", 3, 0, "a b -|c d"),
        ("a b c d e f", 4, 0, "a b c d|e f"),
        ("a . b c .", 4, 0, "a . b c|."),
        ("a b . ' c d .", 4, 0, "a b . '|c d ."),
        ("a b . ▁' c d", 3, 0, "a b .|▁' c d"),
        ("a b . '", 3, 0, "a b .|'"),
    ],
)
def test_segments_by_hand(pieces: str, longest: int, quick: int, expected: str) -> None:
    tokens = pieces.split()
    cut = [" ".join(tokens[index] for index in segment) for segment in split(tokens, longest, quick)]
    assert "|".join(cut) == expected


def test_an_apostrophe_is_repeated_if_asked_for() -> None:
    assert split(["a", "b", ".", "'", "c"], 4, 9, repeat_apostrophe=True) == [[0, 1, 2, 3], [3, 4]]


def test_segments_need_room() -> None:
    with pytest.raises(ValueError, match="at least 1, not 0"):
        split(["a"], 0)


# --- any text, any length


@given(TEXTS)
@settings(max_examples=300)
def test_any_text_gets_through_and_loses_its_digits(frontend: Frontend, text: str) -> None:
    frontend.segments(text, 20)
    for language in ("en", "zh"):
        assert not any(sign.isdecimal() for sign in frontend.engine.normalise(text, language))


@given(st.text(st.sampled_from("0123456789,.:/-–%$€ apmkgst'°年月日第²½+="), max_size=24))
@settings(max_examples=500)
def test_no_digit_is_left(text: str) -> None:
    for language in ("en", "zh"):
        assert not any(sign.isdecimal() for sign in BasicEngine().normalise(text, language))


@pytest.mark.parametrize("unit", ["1", "1,111,", "1-1/1:", "a-", "我", "St. ", "1.", "' \""])
def test_a_hostile_text_comes_to_an_end(frontend: Frontend, unit: str) -> None:
    text = (unit * 100_000)[:100_000]
    start = perf_counter()
    for language in ("en", "zh"):
        frontend.engine.normalise(text, language)
    frontend.segments(text, 120)
    assert perf_counter() - start < 90  # two or three seconds; a search that starts over everywhere takes many minutes


# --- glossary, tokenizer, choice of the engine


def test_glossary(tmp_path: Path) -> None:
    path = tmp_path / "glossary.yaml"
    path.write_text("M.2: M dot two\nM.2 slot: {en: bay}\n'12': twelve\n", encoding="utf-8")
    glossary = read_glossary(path)
    assert apply_glossary("m.2 SLOT, M.2, MX2, 12", glossary, "en") == "bay, M dot two, MX2, twelve"
    assert apply_glossary("M.2 slot", glossary, "zh") == "M dot two slot"
    path.write_text("", encoding="utf-8")
    assert read_glossary(path) == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- a\n- b\n", "expected terms and readings, found a list"),
        ("a: [", "not YAML"),
        (
            "a: &a [x]\n"
            + "".join(f"b{n}: &b{n} [{', '.join(['*' + ('a' if n == 0 else f'b{n - 1}')] * 9)}]\n" for n in range(12)),
            "too many levels (at most 40)",
        ),
        ("a: " + "[" * 5000, "too many levels (at most 40)"),
        ("a: !!python/name:os.system x\n", "YAML tags are not allowed"),
        ("'': x\n", "the term '' is no text"),
        ("M.2: 5\n", "the reading of 'M.2' is 5; expected a text, or one per language"),
        ("M.2: {de: zwei}\n", "the reading of 'M.2' is {'de': 'zwei'}"),
        ("M.2: {en: 2}\n", "the reading of 'M.2' is {'en': 2}"),
        ("M.2: {}\n", "the reading of 'M.2' is {}"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_a_bad_glossary_is_named(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "words.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(EngineError) as raised:
        read_glossary(path)
    assert message in str(raised.value)
    assert str(path) in str(raised.value)


def test_a_bad_tokenizer_is_named(model: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="there is no tokenizer"):
        load_tokenizer(tmp_path / "bpe.model")
    damaged = tmp_path / "damaged.model"
    damaged.write_bytes(model.read_bytes()[:500])
    with pytest.raises(EngineError, match=r"damaged\.model cannot be read as a SentencePiece model"):
        load_tokenizer(damaged)
    with pytest.raises(EngineError, match=r"has 160 pieces, config\.yaml says 12000: it belongs to another checkpoint"):
        load_tokenizer(model, 12_000)


def test_without_wetext(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wetext", None)
    assert choose_engine("auto").identity == choose_engine("basic").identity == "basic 1"
    with pytest.raises(EngineError, match="install vtune-tts with the extra 'indextts2'"):
        choose_engine("wetext")


def test_wetext_is_kept_from_its_traps() -> None:
    pytest.importorskip("wetext")
    engine = choose_engine("auto")
    assert engine.identity == f"wetext {engine.version}"
    for text, spoken in {
        "two  double  spaces": "two double spaces",
        "[from 1887] it's": "'from eighteen eighty seven' it's",
        '"Yes. No." No. 5': "'Yes. No.' Number five",
        "in the 1990s": "in the nineteen nineties",
        "5# and 7~": "five# and seven~",
        r"a\5": "a five",
    }.items():
        assert engine.normalise(text, "en") == spoken
    assert engine.normalise('他说"5"', "zh") == "他说'五'"
    long = "He paid 12 pounds. " * 200
    assert engine.normalise(long, "en") == ("He paid twelve pounds. " * 200).strip()
    assert engine.normalise("他买了12本书。" * 300, "zh") == "他买了十二本书。" * 300
