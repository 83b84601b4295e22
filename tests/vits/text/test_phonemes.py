"""Phonemes are those of Piper, symbol by symbol and id by id; words of a lexicon stand among them."""

from __future__ import annotations

import pytest

from vtune import EngineError, SkipClip
from vtune.toolkit.sentences import joined_symbols, read_sentences
from vtune_vits.bases import BaseText
from vtune_vits.text.frontend import prepare
from vtune_vits.text.symbols import encode_symbols

piper = pytest.importorskip("piper")

from piper.phoneme_ids import DEFAULT_PHONEME_ID_MAP, phonemes_to_ids  # noqa: E402
from piper.phonemize_espeak import EspeakPhonemizer  # noqa: E402

TEXTS = {
    "en-us": (
        "Hello, world. How are you of the 123 cats?",
        'U.S.A. is 3.5% good; e.g. "quoted" (paren)!',
        "Mr. Smith went.\n\nNew paragraph: it's 1984, at 10:30.",
        "Hello…world, don't use state-of-the-art — in the house",
        "A smiley 🙂, and naïve Łódź.",
    ),
    "de": ("Das Buch, die Größe: Straße Nr. 23.", "Wie bitte? Der Computer hat Wi-Fi!"),
    "nl": ("Het huis van de buren, meneer.", "Goedemorgen! 's Avonds om 12 uur is het donker."),
}


def piper_text(language: str = "en-us", **changes: object) -> BaseText:
    """Return what a Piper voice reads: the symbols and marks of Piper's own table."""
    symbols = {symbol: tuple(ids) for symbol, ids in DEFAULT_PHONEME_ID_MAP.items()}
    fields = {"blank": symbols["_"], "begin": symbols["^"], "end": symbols["$"], **changes}
    return BaseText("espeak", symbols, language, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(("language", "text"), [(key, text) for key, texts in TEXTS.items() for text in texts])
def test_ids_are_those_of_piper(language: str, text: str) -> None:
    expected = [sentence for sentence in EspeakPhonemizer().phonemize(language, text) if sentence]

    sentences = read_sentences(prepare(text, piper_text(), language, {}))

    assert [list(sentence.symbols) for sentence in sentences] == expected
    ids = [encode_symbols(sentence.symbols, piper_text()).ids for sentence in sentences]
    assert ids == [phonemes_to_ids(sentence) for sentence in expected]


def test_clusters_of_vowels_are_one_symbol_as_in_piper() -> None:
    clusters = {("a", "ɪ"), ("o", "ʊ"), ("a", "ʊ")}
    (expected,) = EspeakPhonemizer().phonemize("en-us", "I know my house.", vowel_clusters=clusters)

    (sentence,) = read_sentences(prepare("I know my house.", piper_text(), None, {}))

    text = piper_text(clusters=tuple(clusters))
    assert encode_symbols(sentence.symbols, text).ids == phonemes_to_ids(expected)
    assert any(len(symbol) == 2 for symbol in expected)


@pytest.mark.parametrize(
    ("language", "text", "phonemes"),
    [  # written down from the language's dictionaries: Duden for German, Van Dale for Dutch, without stress
        ("de", "Buch", "buːx"),
        ("de", "Straße", "ʃtrɑːsə"),
        ("nl", "huis", "hœys"),
        ("nl", "vuur", "vyr"),
    ],
)
def test_german_and_dutch_words_have_their_phonemes(language: str, text: str, phonemes: str) -> None:
    (sentence,) = read_sentences(prepare(text, piper_text(), language, {}))

    assert sentence.symbols.replace("ˈ", "").replace("aː", "ɑː") == phonemes


def test_each_group_of_phonemes_has_its_written_word() -> None:
    sentences = read_sentences(prepare("Stop. I see 123 of the cats, and 7.", piper_text(), None, {}))

    assert sentences[0].words == ("Stop.",)
    groups = sentences[1].symbols.split()
    named = dict(zip(sentences[1].words, groups, strict=True))
    assert [word for word in sentences[1].words if word] == ["I", "see", "123", "of the", "cats,", "and", "7."]
    assert named["of the"] == "ʌvðə"
    assert named["cats,"] == "kˈæts,"
    assert named["7."] == "sˈɛvən."


def test_words_of_the_lexicon_keep_their_phonemes_and_the_marks_around_them() -> None:
    lexicon = {"piper": "/pˈaɪpɚ/", "Kathleen": "kath leen"}

    def symbols(text: str) -> list[str]:
        return [sentence.symbols for sentence in read_sentences(prepare(text, piper_text(), None, lexicon))]

    assert symbols("Ask Piper, and then stop.") == ["ˈæsk pˈaɪpɚ, ænd ðˈɛn stˈɑːp."]
    assert symbols("Piper. It is Piper!") == ["pˈaɪpɚ.", "ɪɾ ˈɪz pˈaɪpɚ!"]
    assert symbols("Kathleen") == symbols("kath leen")
    assert symbols("the pipers") == ["ðə pˈaɪpɚz"]  # a longer word is another word


def test_the_same_text_gives_the_same_phonemes_whatever_was_read_before() -> None:
    first = prepare("Hello, 23 cats.", piper_text(), None, {})
    prepare("Guten Tag.", piper_text(), "de", {})

    assert prepare("Hello, 23 cats.", piper_text(), None, {}) == first


def test_an_unknown_language_names_the_nearest() -> None:
    with pytest.raises(EngineError, match=r"no voice 'dde'; did you mean 'de'"):
        prepare("Hallo", piper_text(), "dde", {})


def test_unknown_symbols_are_named_with_their_word() -> None:
    text = piper_text()
    few = BaseText("espeak", {key: ids for key, ids in text.symbols.items() if key not in "ɜæ"}, "en-us")
    symbols = joined_symbols(read_sentences(prepare("Hello world of cats", few, None, {})))

    with pytest.raises(SkipClip, match=r"'æ' \(U\+00E6\) in 'kˈæts', 'ɜ' \(U\+025C\) in 'wˈɜːld'.*lexicon"):
        encode_symbols(symbols, few)


def test_a_text_without_speech_is_refused() -> None:
    with pytest.raises(SkipClip, match="nothing of the text"):
        prepare("— …", piper_text(), None, {})
