"""Write an examination as one HTML page: every clip with findings, its waveform, a player, and advice.

All text from the source (words, names) is escaped.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from vtune.audio import RecordingPart
from vtune.curation.doctor.check_titles import CHECK_TITLES
from vtune.curation.doctor.findings import Examination, ExaminedClip, Finding, Severity
from vtune.curation.doctor.measure_all import map_in_processes
from vtune.curation.doctor.page_players import (
    MAX_EMBEDDED_CLIP_SECONDS,
    OUTLINE_COLUMNS,
    OUTLINE_HALF_HEIGHT,
    Player,
    PlayerMaker,
)
from vtune.curation.doctor.recording_openers import FileOpener, opener_of
from vtune.dataset import Source
from vtune.dataset.sources.fragments import fragment_name, split_fragment, without_neighbours
from vtune.runtime.paths import make_parent, write_text
from vtune.webpage import html_document, safe

MAX_PLAYERS = 500
"""Clips that get a waveform and a player; the worst clips come first."""

MAX_EMBEDDED_SECONDS = 1_500.0
"""Seconds of sound that are embedded in the page: about 12 MB."""

MAX_SHOWN_OTHERS = 8
"""Other clips of a group that a finding shows with a player."""

RowKey = tuple[str | None, int | None, str | None]


@dataclass(frozen=True, slots=True)
class _Clips:
    """The examined clips and what the page plays of them.

    :param folder: folder of the page, from which recordings are linked; None if they are no files.
    """

    by_row: Mapping[RowKey, ExaminedClip]
    players: Mapping[str, Player]
    folder: Path | None

    def sound(self, clip: ExaminedClip) -> str:
        """Return the player of a clip as HTML, or an empty text."""
        url = self.players.get(clip.audio, Player()).sound
        url = url or (_link(clip.audio, self.folder) if self.folder and clip.rate else "")
        return f'<audio controls preload=none src="{escape(url)}"></audio>' if url else ""


def write_page(path: Path, source: Source, examination: Examination, processes: int | None = None) -> None:
    """Write the page; the file is complete or not written."""
    clips: dict[RowKey, ExaminedClip] = {(clip.file, clip.line, clip.audio): clip for clip in examination.clips}
    by_row: dict[RowKey, list[Finding]] = {}
    for finding in examination.findings:
        by_row.setdefault((finding.file, finding.line, finding.audio), []).append(finding)
    general_findings = by_row.pop((None, None, None), [])
    rows = [(clips[row], findings) for row, findings in by_row.items()]
    opener = opener_of(source)
    others = {
        clips[clip.file, clip.line, clip.audio]: None
        for finding in examination.findings
        for clip in finding.others[:MAX_SHOWN_OTHERS]
    }
    played = [*(clip for clip, _ in rows), *others]
    players = _players(played, PlayerMaker(opener), processes or os.cpu_count() or 1)
    folder = path.absolute().parent if isinstance(opener, FileOpener) else None
    body = "\n".join(_body(examination, general_findings, rows, _Clips(clips, players, folder)))
    script, style = (Path(__file__).with_name(f"page.{kind}").read_text(encoding="utf-8") for kind in ("js", "css"))
    make_parent(path)
    write_text(path, html_document("vtune doctor", body, style, script))


def _players(clips: Sequence[ExaminedClip], preview: PlayerMaker, processes: int) -> dict[str, Player]:
    requests: dict[str, tuple[str, float, bool]] = {}
    seconds_left = MAX_EMBEDDED_SECONDS
    for clip in clips:
        if len(requests) == MAX_PLAYERS:
            break
        if clip.rate and clip.audio not in requests:
            embed = clip.seconds <= min(seconds_left, MAX_EMBEDDED_CLIP_SECONDS)
            seconds_left -= clip.seconds if embed else 0
            requests[clip.audio] = (clip.audio, clip.seconds, embed)
    return dict(zip(requests, map_in_processes(preview, list(requests.values()), processes), strict=True))


def _body(
    examination: Examination,
    general_findings: Sequence[Finding],
    rows: Sequence[tuple[ExaminedClip, Sequence[Finding]]],
    clips: _Clips,
) -> Iterator[str]:
    minutes = sum(clip.seconds for clip in examination.clips) / 60
    used = sum(clip.seconds for clip in examination.usable) / 60
    yield "<header><h1>vtune doctor</h1>"
    yield "".join(f"<p class=source>{safe(line)}</p>" for line in examination.description)
    facts = [
        ("rows", f"{len(examination.clips):,}"), ("recordings", f"{examination.recordings:,}"),
        ("minutes", f"{minutes:.1f}"), ("usable minutes", f"{used:.1f}"),
    ]  # fmt: skip
    yield "<dl>" + "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    counts = examination.counts
    yield "".join(
        f"<div class={severity}><dt>{severity}s</dt><dd>{counts[severity]:,}</dd></div>" for severity in Severity
    )
    yield "</dl>"
    lines = [*examination.advice, *(f"Not checked: {reason}" for reason in examination.left_out)]
    yield "".join(f"<p>{safe(line)}</p>" for line in lines)
    yield "</header>"
    if general_findings:
        yield (
            "<section class=whole aria-label='Whole data set'><ul>"
            + "".join(_finding(finding, clips) for finding in general_findings)
            + "</ul></section>"
        )
    if not rows:
        yield "<main><p>There are no findings about single clips.</p></main>"
        return
    yield _filters(examination.findings)
    yield "<main id=clips>"
    for clip, findings in rows:
        yield _clip(clip, findings, clips)
    yield "</main>"


def _filters(findings: Sequence[Finding]) -> str:
    checks = Counter(finding.check for finding in findings if finding.file is not None)
    severities = "".join(
        f"<label class={severity}><input type=checkbox name=severity value={severity} checked>{severity}s</label>"
        for severity in Severity
    )
    options = "".join(
        f"<option value={check}>{safe(title)} ({checks[check]:,})</option>"
        for check, title in CHECK_TITLES.items()
        if checks[check]
    )
    return (
        f"<form id=filter role=search>{severities}<label>Check <select name=check><option value=''>all</option>"
        f"{options}</select></label><label>Search words or name <input type=search name=words></label>"
        "<output></output><span class=keys><kbd>j</kbd> <kbd>k</kbd> next, previous clip &middot; <kbd>space</kbd> play"
        "</span></form>"
    )


def _clip(clip: ExaminedClip, findings: Sequence[Finding], clips: _Clips) -> str:
    player = clips.players.get(clip.audio, Player())
    length = f"{clip.seconds:.2f} s, {clip.rate / 1000:g} kHz" if clip.rate else "no sound"
    waveform = (
        f'<svg viewBox="0 0 {OUTLINE_COLUMNS} {2 * OUTLINE_HALF_HEIGHT}" preserveAspectRatio=none role=img '
        'aria-label="waveform">'
        f'<path d="M0,{OUTLINE_HALF_HEIGHT}H{OUTLINE_COLUMNS}" class=zero /><path d="{player.outline}" /></svg>'
        if player.outline
        else ""
    )
    text = f"<blockquote dir=auto>{safe(clip.text)}</blockquote>" if clip.text else ""
    return (
        f'<article tabindex=0><h2 title="{safe(clip.audio)}">'
        f"{safe(_name(clip))}</h2><p class=place>{safe(_place(clip))} &middot; {length}"
        f"{' &middot; ' + safe(clip.speaker) if clip.speaker else ''}</p>{waveform}{clips.sound(clip)}{text}"
        f"<ul>{''.join(_finding(finding, clips) for finding in findings)}</ul></article>"
    )


def _finding(finding: Finding, clips: _Clips) -> str:
    shown = (clips.by_row[clip.file, clip.line, clip.audio] for clip in finding.others[:MAX_SHOWN_OTHERS])
    others = "".join(
        f"<p class=other>{safe(_name(clip))} <small>{safe(_place(clip))}</small> <q dir=auto>{safe(clip.text)}</q>"
        f"{clips.sound(clip)}</p>"
        for clip in shown
    )
    hidden = len(finding.others) - MAX_SHOWN_OTHERS
    others += f"<p class=other>and {hidden:,} more</p>" if hidden > 0 else ""
    return (
        f"<li class={finding.severity} data-check={finding.check}><b>{finding.severity}</b> "
        f"<i>{safe(CHECK_TITLES[finding.check])}</i> {safe(finding.message)} <span>{safe(finding.advice)}</span>"
        f"{others}</li>"
    )


def _name(clip: ExaminedClip) -> str:
    return os.path.basename(without_neighbours(clip.audio)) or clip.audio


def _place(clip: ExaminedClip) -> str:
    return clip.file if clip.line is None else f"{clip.file}:{clip.line}"


def _link(audio: str, folder: Path) -> str:
    """Return a relative URL, so that the page can be moved together with its recordings."""
    recording, part = split_fragment(audio)
    # Browsers know such fragments: the player begins and ends with the part.
    times = "" if part is None else fragment_name("", RecordingPart(part.start, part.end))
    return quote(os.fsencode(os.path.relpath(recording, folder))) + times
