"""An evaluation as one HTML page: what each system reached, and every sentence to listen to beside the recording."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from vtune.contract.metrics import RECORDING, TestSet, Utterance
from vtune.errors import printable
from vtune.evaluation.report.players import LEVEL, Track, track
from vtune.evaluation.report.sentences import sentence
from vtune.evaluation.report.table import means_table
from vtune.evaluation.scores import Scores
from vtune.evaluation.synthesis import recorded
from vtune.runtime.paths import write_text
from vtune.webpage import document, safe

STYLES = ("page.css", "table.css", "blind.css")
SCRIPTS = ("sound.js", "sentences.js", "sign_test.js", "votes.js", "result.js", "blind.js")


def write_page(path: Path, title: str, scores: Scores, takes: Sequence[Utterance], material: TestSet) -> None:
    """Write the page, whole or not at all; its sound and pictures are in it (about 10 kB a second of sound)."""
    body = "\n".join(_body(title, scores, takes, material))
    style, script = ("".join(map(_beside, names)) for names in (STYLES, SCRIPTS))
    write_text(path, document(f"{title}: listen", body, style, script))


def _body(title: str, scores: Scores, takes: Sequence[Utterance], material: TestSet) -> Iterator[str]:
    yield f"<header><h1>{safe(title)}</h1>"
    yield f"<p class=source>{_what(scores, material)}</p>"
    yield "<p class=buttons><button type=button id=blind-open class=main hidden>Compare blind</button></p>"
    if scores.scores:
        yield from _figures(scores)
    for name, reason in scores.skipped.items():
        yield f"<p class=source>Not measured: {safe(name)}: {safe(reason)}</p>"
    yield "</header>"
    yield from _controls(scores)
    yield from _how()
    heard = [*recorded(list(material.recordings.values())), *takes]
    yield f'<main data-page={_digest(heard)} data-pair="{safe(json.dumps(_pair(scores)))}">'
    for number, text in enumerate(material.texts, 1):
        tracks = list(_tracks([take for take in heard if take.text == text], scores))
        yield from sentence(number, text, tracks, scores, material.language)
    yield "</main>"
    yield _beside("blind.html")


def _what(scores: Scores, material: TestSet) -> str:
    held = " that the voice was not trained on" if material.recordings else ""
    times = f", each {len(scores.seeds)} times" if len(scores.seeds) > 1 else ""
    count = len(scores.texts)
    sentences = f"{count} sentence{'' if count == 1 else 's'}"
    return f"{sentences}{held}, spoken by {safe(', '.join(scores.systems))}{times}."


def _figures(scores: Scores) -> Iterator[str]:
    yield from means_table([one for one in scores.scores if one.figure.headline], scores)
    if any(one.intervals for one in scores.scores):
        yield (
            f"<p class=source>Under a mean: the 95 % interval of its difference to {safe(scores.baseline)}. Where it "
            "excludes zero, it is marked <span class=better>✓ better</span>, <span class=worse>✗ worse</span> or "
            "<span class=differs>≠ differs</span>; of many figures about one in twenty is so by chance.</p>"
        )
    yield "<details><summary>every figure</summary>"
    yield from means_table(scores.scores, scores, grouped=True)
    yield "</details>"


def _how() -> Iterator[str]:
    yield (
        f"<p class=source>For listening, all sounds are brought to one level ({LEVEL:g} dBFS of speech, peaks under "
        "-1 dBFS; the change is given beside the length): of two, the louder one would seem the better one. Figures "
        "are of the original sound. Pictures show 0 to 12 kHz in mel, with a line each second. What was heard: "
        "<del>left out</del>, <ins class=added>added</ins>, <del>wanted</del> <ins>said instead</ins>.</p>"
    )


def _controls(scores: Scores) -> Iterator[str]:
    """Yield what works with the script only, and appears with it."""
    yield "<form id=controls hidden><label>order <select id=order><option value=''>as given</option>"
    for one in scores.scores:
        if one.figure.headline and one.figure.better != "neither":
            yield (
                f'<option value="{safe(one.figure.name)}" data-better={one.figure.better}>'
                f"worst first: {safe(one.figure.title)}</option>"
            )
    yield "</select></label><label id=of>of <select id=whose></select></label><fieldset id=shown></fieldset>"
    yield (
        "<p class=keys><kbd>j</kbd> <kbd>k</kbd> next and former sentence, <kbd>1</kbd> to <kbd>9</kbd> its takes, "
        "<kbd>space</kbd> pause</p></form>"
    )


def _tracks(takes: Sequence[Utterance], scores: Scores) -> Iterator[Track]:
    rows = {(row["system"], row["text"], row["seed"]): row for row in scores.takes}
    for take in takes:
        yield track(take, rows[take.system, take.text, None if take.system == RECORDING else take.seed])


def _pair(scores: Scores) -> list[str]:
    """Return the two that are compared blind unless somebody chooses others, as the page names them."""
    first, *others = [*scores.systems, RECORDING]
    return [printable(first), printable(scores.baseline if scores.baseline in others else others[0])]


def _digest(takes: Iterable[Utterance]) -> str:
    """Return what votes on this page are kept under in a browser: votes on other sounds are other votes."""
    digest = sha256()
    for take in takes:
        digest.update(repr((take.system, take.text, take.seed)).encode("utf-8", "backslashreplace"))
        digest.update(take.waveform.tobytes())
    return digest.hexdigest()[:16]


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
