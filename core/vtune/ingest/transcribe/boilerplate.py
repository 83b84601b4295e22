"""Find phrases that recognisers write where nobody speaks: they learned them from the ends of films and videos.

The phrases come from reports of hallucinated text. A phrase listed here can only flag a clip, never drop it.
"""

from __future__ import annotations

import re
import unicodedata

_NEVER_SPOKEN_PATTERN = re.compile(
    r"amara\.org|opensubtitles|subscene|zeoranger|untertitel(ung)? (von|der|im auftrag|des)|untertitelung des zdf"
    r"|sous-titr(es|age) (par|de|st|soci)|sottotitoli (creati|e revisione|a cura)|subtítulos (por|realizados|de la)"
    r"|legendas? (por|pela)|subtitl(es|ed|ing) by|caption(s|ed|ing) by|transcri(bed|ption|pt) by|translated by"
    r"|ondertiteling|ondertitels|napisy (stworzone|by)|редактор субтитров|субтитры (сделал|создавал|подготов)"
    r"|字幕(由|志愿者|製作|制作|by)|字幕組|자막 ?(제공|by)|altyazı|ترجمة نانسي|www\.|https?:|\.com\b|©|♪",
    re.IGNORECASE,
)
"""Phrases that count anywhere in a text: nobody says them in a recording for a voice."""

_WHOLE_TEXTS = (
    "you",
    "thanks for watching",
    "thank you for watching",
    "thank you so much for watching",
    "thanks for listening",
    "please subscribe",
    "please subscribe to my channel",
    "like and subscribe",
    "dont forget to subscribe",
    "see you next time",
    "see you in the next video",
    "ill see you in the next video",
    "vielen dank fürs zuschauen",
    "danke fürs zuschauen",
    "bis zum nächsten mal",
    "merci davoir regardé cette vidéo",
    "merci davoir regardé",
    "gracias por ver",
    "gracias por ver el video",
    "suscríbete",
    "obrigado por assistir",
    "grazie per la visione",
    "grazie per aver guardato il video",
    "bedankt voor het kijken",
    "dziękuję za uwagę",
    "dziękuję za oglądanie",
    "спасибо за просмотр",
    "продолжение следует",
    "ご視聴ありがとうございました",
    "ご覧いただきありがとうございます",
    "谢谢观看",
    "謝謝觀看",
    "感谢观看",
    "시청해주셔서 감사합니다",
    "구독과 좋아요 부탁드립니다",
    "izlediğiniz için teşekkür ederim",
    "اشتركوا في القناة",
)
"""Phrases that count if they are the whole text, or if an unsure recogniser ends with them."""

_WHOLE_UNSURE_TEXTS = (
    "thank you",
    "thanks",
    "bye",
    "bye bye",
    "okay",
    "oh",
    "so",
    "yeah",
    "hmm",
    "um",
    "uh",
    "the end",
)
"""Whole texts that people do say; they count only if the recogniser is unsure."""


def find_boilerplate(text: str, *, unsure: bool) -> str | None:
    """Return the phrase in a text that a recogniser probably made up, or None.

    :param unsure: the recogniser gave the text a low probability, or silence a high one.
    """
    if match := _NEVER_SPOKEN_PATTERN.search(text):
        return match[0]
    letters = _plain(text)
    if letters in _WHOLE_TEXTS or (unsure and letters in _WHOLE_UNSURE_TEXTS):
        return text.strip()
    long_phrases = [phrase for phrase in _WHOLE_TEXTS if len(phrase) > 8]
    return next((phrase for phrase in long_phrases if unsure and letters.endswith(phrase)), None)


def _plain(text: str) -> str:
    """Return a text in lower case, with letters and digits only and single spaces."""
    letters = "".join(c for c in unicodedata.normalize("NFC", text.casefold()) if c.isalnum() or c.isspace())
    return " ".join(letters.split())
