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
from vtune_indextts2.text.engines import choose_engine
from vtune_indextts2.text.frontend import Frontend
from vtune_indextts2.text.glossary import apply_glossary, read_glossary
from vtune_indextts2.text.language import language_of
from vtune_indextts2.text.pinyin import SYLLABLE, spelt
from vtune_indextts2.text.protecting import NAME, hide, hide_hyphens, show, show_hyphens
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
    text = "，".join(f"{chr(0x4E00 + place)}·{chr(0x5E00 + place)}" for place in range(60))
    hidden, names = hide(text, NAME, "n")
    assert hidden.startswith("<n_a>，<n_b>")
    assert "<n_z>，<n_aa>，<n_ab>" in hidden
    assert show(hidden, names, "n") == text


def test_spelling_of_pinyin() -> None:
    written = "ju3 qu4 xun2 xüe4 Quan1 xia3 lü4 nu3 zhu1"
    assert " ".join(map(spelt, written.split())) == "JV3 QV4 XVN2 XVE4 QVAN1 XIA3 lü4 nu3 zhu1"


# --- the built-in engine, against expectations written by hand

ENGLISH = """
0, 7, 13, 40, 99 | zero, seven, thirteen, forty, ninety nine
100, 110, 1005 | one hundred, one hundred and ten, one thousand and five
1,250 and 16,000 | one thousand two hundred and fifty and sixteen thousand
2000000, 1,000,001 | two million, one million and one
007 and 0049 | zero zero seven and zero zero four nine
12345678901 | one two three four five six seven eight nine zero one
3.14, 0.5, .25, 1,000.05 | three point one four, zero point five, point two five, one thousand point zero five
-12 or −5.5 degrees | minus twelve or minus five point five degrees
1st 2nd 3rd 12th 21st 40th 1,000th | first second third twelfth twenty first fortieth one thousandth
born in 1921, not 1905 | born in nineteen twenty one, not nineteen oh five
in 1066, in 2000, in 2009, in 2024 | in ten sixty six, in two thousand, in two thousand and nine, in twenty twenty four
from 1914-1918 | from nineteen fourteen to nineteen eighteen
1945 was hard, 1900 too | nineteen forty five was hard, nineteen hundred too
In 1921 Charles, in 2019 sales fell | In nineteen twenty one Charles, in twenty nineteen sales fell
in 1250 cases, of 1921 cars | in one thousand two hundred and fifty cases, of one thousand nine hundred and \
twenty one cars
2024 people, 1500 lines | two thousand and twenty four people, one thousand five hundred lines
the 1990s, the '60s, 2000s | the nineteen nineties, the sixties, two thousands
March 3, 1921, in town | March third, nineteen twenty one, in town
on 3 March 1921 | on the third of March nineteen twenty one
the 22nd of May, Sept. 5 | the twenty second of May, September fifth
on 2024-11-05 | on the fifth of November twenty twenty four
4/7/2019, 13/7/2019, 5.11.2024 | the seventh of April twenty nineteen, the thirteenth of July twenty nineteen, \
the fifth of November twenty twenty four
In May. 5 came | In May. five came
at 9:30 AM, 14:05, 9:00 | at nine thirty A M, fourteen oh five, nine o'clock
6 PM, 7 p.m., 8am. | six P M, seven P M, eight A M.
9am-5pm, 9:00-10:30 | nine A M to five P M, nine o'clock to ten thirty
won 7:3, 16:9 | won seven to three, sixteen to nine
$1, $5.20, $0.50, $0.01 | one dollar, five dollars and twenty cents, fifty cents, one cent
£1,300, €75, £0.99, ¥500 | one thousand three hundred pounds, seventy five euros, ninety nine pence, five hundred yen
$3.5 million, $5k, US$7, 20€ | three point five million dollars, five thousand dollars, seven U S dollars, twenty euros
$5-10, $5-$10, -$3 | five dollars to ten dollars, five dollars to ten dollars, minus three dollars
2.5%, 5-10%, 100 % | two point five percent, five to ten percent, one hundred percent
1/2, 3/4, 2/3, 1 1/2, 3½, 22/7 | one half, three quarters, two thirds, one and a half, three and a half, \
twenty two over seven
24/7 | twenty four seven
12 kg, 1 kg, 30cm, 88 km/h | twelve kilograms, one kilogram, thirty centimetres, eighty eight kilometres per hour
-5 °C, 30°, 5 m², 2 GB | minus five degrees Celsius, thirty degrees, five square metres, two gigabytes
10-20 km, 100–200 | ten to twenty kilometres, one hundred to two hundred
call 555-0134 | call five five five, zero one three four
1-800-555-0199 | one, eight zero zero, five five five, zero one nine nine
(555) 123-4567 | five five five, one two three, four five six seven
+44 20 7946 0958 | plus four four, two zero, seven nine four six, zero nine five eight
version 2.0.1 | version two point zero point one
F5, MP3, 3D, beta2 | F five, MP three, three D, beta two
COVID<H>19, B<H>52 | COVID<H>nineteen, B<H>fifty two
2+2=4, 3 × 4, 3000+ | two plus two equals four, three times four, three thousand plus
#5, No. 5, no. He | number five, Number five, no. He
Mr. and Mrs. Brown, Dr. Who, Prof. Ng | Mister and Missus Brown, Doctor Who, Professor Ng
St. John's, Main St. The end | Saint John's, Main Street. The end
12 Main St., St John's | twelve Main Street, Saint John's
e.g. this, i.e. that, etc. | for example this, that is that, et cetera.
pens, etc. and etc. He vs. me | pens, et cetera and et cetera. He versus me
J.R.R. Tolkien of the U.K. | J R R Tolkien of the U K.
Q&A, salt & pepper | Q and A, salt and pepper
pp. 5-6, vol. 3, ch. 4 | pages five to six, volume three, chapter four
Henry VIII and Louis XIV | Henry VIII and Louis XIV
a  b	c | a b c
５ and ٣ | five and three
1,23 10,5 | one,twenty three ten,five
Max. May. Sun. Am. | Max. May. Sun. Am.
"""
CHINESE = """
0 10 15 20 99 | 零 十 十五 二十 九十九
100，105，110，115 | 一百，一百零五，一百一十，一百一十五
1001，1010，2000，10010 | 一千零一，一千零一十，两千，一万零一十
22000，120000，10000000 | 两万二千，十二万，一千万
100000005，1,234,567 | 一亿零五，一百二十三万四千五百六十七
1000000000000 | 一万亿
007 | 零零七
3.14，0.5，59.9元 | 三点一四，零点五，五十九点九元
-12度，−3 | 负十二度，负三
2.5%，5%-10%，-5%，3‰ | 百分之二点五，百分之五到百分之十，负百分之五，千分之三
1998年，2024年11月5日 | 一九九八年，二零二四年十一月五日
1914-1918年，20年，第2年 | 一九一四到一九一八年，二十年，第二年
2024-11-05，2025/09/08 | 二零二四年十一月五日，二零二五年九月八日
9:30，14:05，9:00，2:30 | 九点三十分，十四点零五分，九点，两点三十分
9:00-10:30，9:30:15，3:2 | 九点到十点三十分，九点三十分十五秒，三比二
￥999，$3.5，€5，￥3.5万 | 九百九十九元，三点五美元，五欧元，三点五万元
2个人，2年级，12个，第2个 | 两个人，二年级，十二个，第二个
第200名，200元 | 第二百名，两百元
88km/h，5 kg，30cm，25℃ | 每小时八十八公里，五公斤，三十厘米，二十五摄氏度
3-5天，3~5天 | 三到五天，三到五天
1/2，2.0.1版 | 二分之一，二点零点一版
135-4567-8900，13812345678 | 幺三五四五六七八九零零，幺三八幺二三四五六七八
010-12345678 | 零幺零幺二三四五六七八
3+4=7，3×4 | 三加四等于七，三乘四
１２３，A4纸，MP3 | 一百二十三，A四纸，MP三
<n_a>2<H>3<pinyin_a> | <n_a>二<H>三<pinyin_a>
10000000000000000 | 一零零零零零零零零零零零零零零零零
"""


def rows(table: str) -> list[list[str]]:
    return [row.split(" | ") for row in table.replace("\\\n", "").strip().splitlines()]


@pytest.mark.parametrize(("text", "spoken"), rows(ENGLISH))
def test_basic_english(text: str, spoken: str) -> None:
    assert BasicEngine().normalise(text, "en") == spoken


@pytest.mark.parametrize(("text", "spoken"), rows(CHINESE))
def test_basic_chinese(text: str, spoken: str) -> None:
    assert BasicEngine().normalise(text, "zh") == spoken


def value_of_english(words: str) -> int:
    small = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    values = {word: place for place, word in enumerate(f"{small} seventeen eighteen nineteen".split(" "))}
    tens = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
    values |= {word: 10 * place for place, word in enumerate(tens, start=2)}
    scales = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
    total = group = 0
    for word in words.replace(" and ", " ").split():
        if word in scales:
            total, group = total + group * scales[word], 0
        else:
            group = group * 100 if word == "hundred" else group + values[word]
    return total + group


def value_of_chinese(words: str) -> int:
    total = group = digit = 0
    for sign in words.replace("两", "二").replace("万亿", "兆"):
        if sign in "兆亿万":
            total, group, digit = total + (group + digit) * {"兆": 10**12, "亿": 10**8, "万": 10**4}[sign], 0, 0
        elif sign in "千百十":
            group, digit = group + (digit or 1) * {"千": 1000, "百": 100, "十": 10}[sign], 0
        else:
            digit = "零一二三四五六七八九".index(sign)
    return total + group + digit


@given(st.integers(0, 14).flatmap(lambda size: st.integers(0, 10**size)))
def test_cardinals_mean_their_number(number: int) -> None:
    engine = BasicEngine()
    assert value_of_english(engine.normalise(f"{number:,}", "en")) == number
    assert value_of_chinese(engine.normalise(f"{number:,}", "zh")) == number


# --- segments


@given(SPOKEN, st.integers(1, 40), st.integers(0, 60))
def test_segments_hold_every_token_once(frontend: Frontend, text: str, longest: int, quick: int) -> None:
    segments = frontend.segments(text, longest, quick)
    assert list(chain(*segments)) == frontend.tokenize(text)
    assert all(0 < len(segment) <= longest for segment in segments)
    with_repetition = frontend.segments(text, longest, quick, repeat_apostrophe=True)
    assert sum(map(len, with_repetition)) >= sum(map(len, segments))


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
    cut = [" ".join(tokens[place] for place in segment) for segment in split(tokens, longest, quick)]
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
def test_time_grows_with_the_text_only(frontend: Frontend, unit: str) -> None:
    text = (unit * 100_000)[:100_000]
    start = perf_counter()
    for language in ("en", "zh"):
        frontend.engine.normalise(text, language)
    frontend.segments(text, 120)
    assert perf_counter() - start < 20  # two or three seconds; a search that starts over everywhere takes minutes


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
        ("a: [", "is not YAML"),
        ("12: twelve\n", "the term 12 is no text; put it in quotes"),
        ("yes: no\n", "the term True is no text"),
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
