"""What recognisers write where nobody speaks: the ends of films and videos that they learned from.

Phrases were gathered from reports of hallucinated text; what is listed here can only flag a clip, never drop it.
"""

from __future__ import annotations

import re
import unicodedata

_NEVER_SPOKEN = re.compile(
    r"amara\.org|opensubtitles|subscene|zeoranger|untertitel(ung)? (von|der|im auftrag|des)|untertitelung des zdf"
    r"|sous-titr(es|age) (par|de|st|soci)|sottotitoli (creati|e revisione|a cura)|subtítulos (por|realizados|de la)"
    r"|legendas? (por|pela)|subtitl(es|ed|ing) by|caption(s|ed|ing) by|transcri(bed|ption|pt) by|translated by"
    r"|ondertiteling|ondertitels|napisy (stworzone|by)|редактор субтитров|субтитры (сделал|создавал|подготов)"
    r"|字幕(由|志愿者|製作|制作|by)|字幕組|자막 ?(제공|by)|altyazı|ترجمة نانسي|www\.|https?:|\.com\b|©|♪",
    re.IGNORECASE,
)
"""Anywhere in a text: nobody says this in a recording for a voice."""

_WHOLE = (
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
"""Where it is the whole text, and where an unsure recogniser ends with it."""

_WHOLE_AND_UNSURE = ("thank you", "thanks", "bye", "bye bye", "okay", "oh", "so", "yeah", "hmm", "um", "uh", "the end")
"""People do say this alone; it counts where the recogniser is unsure."""


def boilerplate_in(text: str, *, unsure: bool) -> str | None:
    """Return the phrase that gives a text away, if there is one.

    :param unsure: the recogniser gave the text a low probability, or that of silence a high one.
    """
    if found := _NEVER_SPOKEN.search(text):
        return found[0]
    plain = _plain(text)
    if plain in _WHOLE or (unsure and plain in _WHOLE_AND_UNSURE):
        return text.strip()
    long = [phrase for phrase in _WHOLE if len(phrase) > 8]
    return next((phrase for phrase in long if unsure and plain.endswith(phrase)), None)


def _plain(text: str) -> str:
    """Letters only, in lower case, blanks made single."""
    letters = "".join(c for c in unicodedata.normalize("NFC", text.casefold()) if c.isalnum() or c.isspace())
    return " ".join(letters.split())
