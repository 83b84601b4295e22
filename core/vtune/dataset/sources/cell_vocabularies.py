"""Words that the cells of tables hold beside the spoken words: emotions, splits, genders, languages, phones."""

from __future__ import annotations


def _vocabulary(words: str) -> frozenset[str]:
    return frozenset(words.split())


EMOTIONS = _vocabulary("""
    amazed amused amusement angry anger anxious anxiety bored boredom calm cheerful confused contempt contemptuous
    default desire disgust disgusted disappointed emphatic enthusiastic excited excitement fear fearful frustrated
    happy happiness joy joyful laughing loud love melancholic narration neutral pain pleased proud quiet relief
    relieved romance sad sadness sarcasm sarcastic scared serious shouting sleepy sleepiness surprise surprised tender
    tired unknown whisper whispering worried 中立 生气 愤怒 快乐 高兴 伤心 悲伤 惊喜 惊讶
""")

SPLITS = _vocabulary("train training dev devel development val valid validation eval evaluation test")

GENDERS = _vocabulary("male female m f man woman men women boy girl masculine feminine other diverse")

LANGUAGES = _vocabulary("""
    aa ab af ak am ar as ast auto az ba be bg bn bo br bs ca ce ckb cs cv cy da de dv ee el en eo es et eu fa fi fo fr
    fy ga gd gl gn gu gv ha haw he hi hr hsb ht hu hy ia id ig is it ja jp jw jv ka kab kk kl km kmr kn ko ku kw ky la
    lb lg ln lo lt lv mg mi mk ml mn mr ms mt my nb ne nl nn no oc or os pa pl ps pt qu rm ro ru rw sa sah sc sd si sk
    sl sm sn so sq sr st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ug uk ur uz ve vi vot wo xh yi yo yue za zh zu
    all_zh all_ja all_ko all_yue arabic chinese czech danish dutch english finnish french german greek hebrew hindi
    hungarian indonesian italian japanese korean mandarin norwegian persian polish portuguese romanian russian spanish
    swedish thai turkish ukrainian vietnamese
""")
"""Codes of ISO 639 as data sets use them, and names; ``all_zh`` and similar codes are those of GPT-SoVITS."""

ARPABET = _vocabulary("""
    aa ae ah ao aw ax axr ay b ch d dh dx eh el em en er ey f g hh hv ih ix iy jh k l m n ng nx ow oy p q r s sh t th
    uh uw ux v w wh y z zh sil sp spn pau
""")
"""Phones of English without stress digits, and the marks of pauses that aligners write."""
