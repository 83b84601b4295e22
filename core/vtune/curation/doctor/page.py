"""An examination as one HTML page: every clip that has findings, with its wave, a player, and what to do.

Whatever a source gives (words, names) is escaped.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from vtune.curation.doctor.checks import CHECKS
from vtune.curation.doctor.findings import Clip, Examination, Finding, Severity
from vtune.curation.doctor.measure_all import spread
from vtune.curation.doctor.players import COLUMNS, HALF, LONGEST, Player, Preview
from vtune.curation.doctor.recordings import Files, listener
from vtune.dataset import Source
from vtune.runtime.paths import make_parent, write_text
from vtune.webpage import document, safe

PICTURED = 500
"""Clips that get a wave and a player; the worst come first."""

EMBEDDED = 1_500.0
"""Seconds of sound in the page: about 12 MB."""

Row = tuple[str | None, int | None, str | None]


def write_page(path: Path, source: Source, examination: Examination, processes: int | None = None) -> None:
    """Write the page, whole or not at all."""
    clips: dict[Row, Clip] = {(clip.file, clip.line, clip.audio): clip for clip in examination.clips}
    by_row: dict[Row, list[Finding]] = {}
    for finding in examination.findings:
        by_row.setdefault((finding.file, finding.line, finding.audio), []).append(finding)
    whole = by_row.pop((None, None, None), [])
    rows = [(clips[row], findings) for row, findings in by_row.items()]
    opener = listener(source)
    players = _players([clip for clip, _ in rows], Preview(opener), processes or os.cpu_count() or 1)
    folder = path.absolute().parent if isinstance(opener, Files) else None
    body = "\n".join(_body(examination, whole, rows, players, folder))
    script, style = (Path(__file__).with_name(f"page.{kind}").read_text(encoding="utf-8") for kind in ("js", "css"))
    make_parent(path)
    write_text(path, document("vtune doctor", body, style, script))


def _players(clips: Sequence[Clip], preview: Preview, processes: int) -> dict[str, Player]:
    wanted: dict[str, tuple[str, float, bool]] = {}
    left = EMBEDDED
    for clip in clips:
        if len(wanted) == PICTURED:
            break
        if clip.rate and clip.audio not in wanted:
            embed = clip.seconds <= min(left, LONGEST)
            left -= clip.seconds if embed else 0
            wanted[clip.audio] = (clip.audio, clip.seconds, embed)
    return dict(zip(wanted, spread(preview, list(wanted.values()), processes), strict=True))


def _body(
    examination: Examination,
    whole: Sequence[Finding],
    rows: Sequence[tuple[Clip, Sequence[Finding]]],
    players: dict[str, Player],
    folder: Path | None,
) -> Iterator[str]:
    minutes = sum(clip.seconds for clip in examination.clips) / 60
    used = sum(clip.seconds for clip in examination.usable) / 60
    yield "<header><h1>vtune doctor</h1>"
    yield "".join(f"<p class=source>{safe(line)}</p>" for line in examination.description)
    facts = [
        ("rows", f"{len(examination.clips):,}"), ("recordings", f"{examination.recordings:,}"),
        ("minutes", f"{minutes:.1f}"), ("minutes to train on", f"{used:.1f}"),
    ]  # fmt: skip
    yield "<dl>" + "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    counts = examination.counts
    yield "".join(
        f"<div class={severity}><dt>{severity}s</dt><dd>{counts[severity]:,}</dd></div>" for severity in Severity
    )
    yield "</dl>"
    said = [*examination.advice, *(f"Not checked: {reason}" for reason in examination.left_out)]
    yield "".join(f"<p>{safe(line)}</p>" for line in said)
    yield "</header>"
    if whole:
        yield "<section class=whole aria-label='The whole'><ul>" + "".join(map(_finding, whole)) + "</ul></section>"
    if not rows:
        yield "<main><p>Nothing was found that concerns a single clip.</p></main>"
        return
    yield _filters(examination.findings)
    yield "<main id=clips>"
    for clip, findings in rows:
        yield _clip(clip, findings, players.get(clip.audio, Player()), folder)
    yield "</main>"


def _filters(findings: Sequence[Finding]) -> str:
    checks = Counter(finding.check for finding in findings if finding.file is not None)
    severities = "".join(
        f"<label class={severity}><input type=checkbox name=severity value={severity} checked>{severity}s</label>"
        for severity in Severity
    )
    options = "".join(
        f"<option value={check}>{safe(title)} ({checks[check]:,})</option>"
        for check, title in CHECKS.items()
        if checks[check]
    )
    return (
        f"<form id=filter role=search>{severities}<label>Check <select name=check><option value=''>all</option>"
        f"{options}</select></label><label>Words or name <input type=search name=words></label>"
        "<output></output><span class=keys><kbd>j</kbd> <kbd>k</kbd> next, previous &middot; <kbd>space</kbd> play"
        "</span></form>"
    )


def _clip(clip: Clip, findings: Sequence[Finding], player: Player, folder: Path | None) -> str:
    name = os.path.basename(clip.audio) or clip.audio
    place = clip.file if clip.line is None else f"{clip.file}:{clip.line}"
    length = f"{clip.seconds:.2f} s, {clip.rate / 1000:g} kHz" if clip.rate else "no sound"
    picture = (
        f'<svg viewBox="0 0 {COLUMNS} {2 * HALF}" preserveAspectRatio=none role=img aria-label="wave">'
        f'<path d="M0,{HALF}H{COLUMNS}" class=zero /><path d="{player.outline}" /></svg>'
        if player.outline
        else ""
    )
    address = player.sound or (_link(clip.audio, folder) if folder and clip.rate else "")
    sound = f'<audio controls preload=none src="{escape(address)}"></audio>' if address else ""
    text = f"<blockquote dir=auto>{safe(clip.text)}</blockquote>" if clip.text else ""
    return (
        f'<article tabindex=0><h2 title="{safe(clip.audio)}">'
        f"{safe(name)}</h2><p class=place>{safe(place)} &middot; {length}"
        f"{' &middot; ' + safe(clip.speaker) if clip.speaker else ''}</p>{picture}{sound}{text}"
        f"<ul>{''.join(map(_finding, findings))}</ul></article>"
    )


def _finding(finding: Finding) -> str:
    return (
        f"<li class={finding.severity} data-check={finding.check}><b>{finding.severity}</b> "
        f"<i>{safe(CHECKS[finding.check])}</i> {safe(finding.message)} <span>{safe(finding.advice)}</span></li>"
    )


def _link(audio: str, folder: Path) -> str:
    """A relative address, so that the page can move together with its recordings."""
    return quote(os.fsencode(os.path.relpath(audio, folder)))
