"""Write an evaluation as one HTML page: the scores of each system, and every sentence to hear beside the recording."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from vtune.contract.metrics import RECORDING, TestSet, Utterance
from vtune.errors import printable
from vtune.evaluation.report.players import PLAYBACK_LEVEL_DBFS, Track, track
from vtune.evaluation.report.sentences import sentence
from vtune.evaluation.report.table import means_table
from vtune.evaluation.scores import Scores
from vtune.evaluation.synthesis import recordings_as_utterances
from vtune.runtime.paths import write_text
from vtune.webpage import html_document, safe

STYLES = ("page.css", "table.css", "blind.css")
SCRIPTS = ("sound.js", "sentences.js", "sign_test.js", "votes.js", "result.js", "blind.js")


def write_page(path: Path, title: str, scores: Scores, utterances: Sequence[Utterance], test_set: TestSet) -> None:
    """Write the page, whole or not at all; its sound and pictures are in it (about 10 kB a second of sound)."""
    body = "\n".join(_body(title, scores, utterances, test_set))
    style, script = ("".join(map(_beside, names)) for names in (STYLES, SCRIPTS))
    write_text(path, html_document(f"{title}: listen", body, style, script))


def _body(title: str, scores: Scores, utterances: Sequence[Utterance], test_set: TestSet) -> Iterator[str]:
    yield f"<header><h1>{safe(title)}</h1>"
    yield f"<p class=source>{_summary(scores, test_set)}</p>"
    yield "<p class=buttons><button type=button id=blind-open class=main hidden>Compare blind</button></p>"
    if scores.scores:
        yield from _metrics(scores)
    for name, reason in scores.skipped.items():
        yield f"<p class=source>Not measured: {safe(name)}: {safe(reason)}</p>"
    yield "</header>"
    yield from _controls(scores)
    yield from _how()
    sounds = [*recordings_as_utterances(list(test_set.recordings.values())), *utterances]
    yield f'<main data-page={_digest(sounds)} data-pair="{safe(json.dumps(_pair(scores)))}">'
    for number, text in enumerate(test_set.texts, 1):
        tracks = list(_tracks([utterance for utterance in sounds if utterance.text == text], scores))
        yield from sentence(number, text, tracks, scores, test_set.language)
    yield "</main>"
    yield _beside("blind.html")


def _summary(scores: Scores, test_set: TestSet) -> str:
    held = " that the voice was not trained on" if test_set.recordings else ""
    times = f", each {len(scores.seeds)} times" if len(scores.seeds) > 1 else ""
    count = len(scores.texts)
    sentences = f"{count} sentence{'' if count == 1 else 's'}"
    return f"{sentences}{held}, spoken by {safe(', '.join(scores.systems))}{times}."


def _metrics(scores: Scores) -> Iterator[str]:
    yield from means_table([metric_score for metric_score in scores.scores if metric_score.spec.headline], scores)
    if any(metric_score.intervals for metric_score in scores.scores):
        yield (
            f"<p class=source>Under a mean: the 95 % interval of its difference to {safe(scores.baseline)}. Where it "
            "excludes zero, it is marked <span class=better>✓ better</span>, <span class=worse>✗ worse</span> or "
            "<span class=differs>≠ differs</span>; of many metrics about one in twenty is so by chance.</p>"
        )
    yield "<details><summary>every metric</summary>"
    yield from means_table(scores.scores, scores, grouped=True)
    yield "</details>"


def _how() -> Iterator[str]:
    yield (
        f"<p class=source>For listening, all sounds are brought to one level ({PLAYBACK_LEVEL_DBFS:g} dBFS of speech, "
        "peaks under -1 dBFS; the change is given beside the length): of two sounds, the louder one seems better. "
        "Metrics are those of the original sound. Pictures show 0 to 12 kHz in mel, with a line each second. "
        "What was heard: <del>left out</del>, <ins class=added>added</ins>, <del>text</del> <ins>said instead</ins>."
        "</p>"
    )


def _controls(scores: Scores) -> Iterator[str]:
    """Yield the controls that only work with the script, and appear with it."""
    yield "<form id=controls hidden><label>order <select id=order><option value=''>as given</option>"
    for spec in (metric_score.spec for metric_score in scores.scores):
        if spec.headline and spec.better != "neither":
            yield (
                f'<option value="{safe(spec.name)}" data-better={spec.better}>worst first: {safe(spec.title)}</option>'
            )
    yield "</select></label><label id=of>of <select id=whose></select></label><fieldset id=shown></fieldset>"
    yield (
        "<p class=keys><kbd>j</kbd> <kbd>k</kbd> next and previous sentence, <kbd>1</kbd> to <kbd>9</kbd> play it, "
        "<kbd>space</kbd> pause</p></form>"
    )


def _tracks(utterances: Sequence[Utterance], scores: Scores) -> Iterator[Track]:
    rows = {(row["system"], row["text"], row["seed"]): row for row in scores.utterances}
    for utterance in utterances:
        yield track(
            utterance, rows[utterance.system, utterance.text, None if utterance.system == RECORDING else utterance.seed]
        )


def _pair(scores: Scores) -> list[str]:
    """Return the two systems that are compared blind unless the listener chooses others, as the page names them."""
    first, *others = [*scores.systems, RECORDING]
    return [printable(first), printable(scores.baseline if scores.baseline in others else others[0])]


def _digest(utterances: Iterable[Utterance]) -> str:
    """Return the key that a browser keeps votes on this page under: votes on other sounds are other votes."""
    digest = sha256()
    for utterance in utterances:
        digest.update(repr((utterance.system, utterance.text, utterance.seed)).encode("utf-8", "backslashreplace"))
        digest.update(utterance.waveform.tobytes())
    return digest.hexdigest()[:16]


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
