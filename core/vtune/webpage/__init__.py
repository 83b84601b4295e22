"""Build HTML pages that need no other file and no other host: the script, the style and the sound are embedded."""

from __future__ import annotations

import base64
from hashlib import sha256
from html import escape
from pathlib import Path

import soxr

from vtune import audio
from vtune.errors import printable
from vtune.types import Waveform

PAGE_SAMPLE_RATE = 24_000
"""Hz of embedded sound: MP3 supports this rate, and it is the rate of the engines."""


def html_document(title: str, body: str, style: str, script: str) -> str:
    """Return a complete HTML document whose security policy lets the browser run the given script and no other.

    :param body: HTML whose foreign parts were escaped by ``safe``.
    :param style: CSS that is added to ``base.css``.
    """
    base = Path(__file__).with_name("base.css").read_text(encoding="utf-8")
    allowed = base64.b64encode(sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{allowed}'; style-src 'unsafe-inline'; media-src data: file: 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="color-scheme" '
        f'content="light dark">\n<title>{safe(title)}</title>\n<style>\n{base}{style}</style>\n</head>\n<body>\n'
        f"{body}\n"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def sound_data_url(waveform: Waveform, sample_rate: int) -> str:
    """Encode sound as a small MP3 in a ``data:`` URL; empty if libsndfile cannot write MP3."""
    try:
        file = audio.encoded(soxr.resample(waveform, sample_rate, PAGE_SAMPLE_RATE), PAGE_SAMPLE_RATE, "MP3")
    except ValueError:
        return ""
    return f"data:audio/mpeg;base64,{base64.b64encode(file).decode()}"


def safe(text: str) -> str:
    """Escape a text of a source or a user for HTML."""
    return escape(printable(text))
