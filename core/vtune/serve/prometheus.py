"""Counters of a server in Prometheus's text format."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

import psutil

from vtune.serve.backend import BackendLoad

FIRST_SOUND_BUCKETS_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds, in seconds, of the histogram of waiting times for the first sound."""


class ServerMetrics:
    """Counts requests and speech since the start of the server, on one event loop."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.endings: Counter[str] = Counter()
        self.spoken: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.characters: Counter[str] = Counter()
        self._first = [0] * (len(FIRST_SOUND_BUCKETS_SECONDS) + 1)
        self._first_sum = 0.0

    def first_sound(self, seconds: float) -> None:
        """Count a client that waited some seconds for the first sound."""
        self._first[bisect_left(FIRST_SOUND_BUCKETS_SECONDS, seconds)] += 1
        self._first_sum += seconds

    def text(self, load: BackendLoad, voices: int) -> str:
        """Return all counters in Prometheus's text format.

        :param voices: number of voices in the folder.
        """
        return "\n".join([*self._lines(load, voices), ""])

    def _lines(self, load: BackendLoad, voices: int) -> Iterator[str]:
        requests = {f'route="{route}",status="{status}"': n for (route, status), n in self.requests.items()}
        yield from _family("vtune_requests_total", "counter", "Requests by route and status.", requests)
        for name, description, counts in (
            ("vtune_speech_total", "Responses with sound, by voice.", self.spoken),
            ("vtune_speech_seconds_total", "Seconds of sound sent, by voice.", self.seconds),
            ("vtune_characters_total", "Characters spoken, by voice.", self.characters),
        ):
            yield from _family(name, "counter", description, _labelled("voice", counts))
        endings = _labelled("ending", self.endings)
        yield from _family("vtune_endings_total", "counter", "Utterances by the way they ended.", endings)
        for name, description, value in (
            ("vtune_waiting", "Requests that wait for a base.", load.waiting),
            ("vtune_speaking", "Requests that are speaking now.", load.speaking),
            ("vtune_bases", "Bases in memory.", load.bases),
            ("vtune_voices_loaded", "Voices in memory.", load.voices),
            ("vtune_voices", "Voices in the folder.", voices),
            ("process_resident_memory_bytes", "Resident memory.", psutil.Process().memory_info().rss),
        ):
            yield from _family(name, "gauge", description, {"": value})
        yield from self._histogram()

    def _histogram(self) -> Iterator[str]:
        name = "vtune_first_sound_seconds"
        yield f"# HELP {name} Seconds from a request to its first sound.\n# TYPE {name} histogram"
        total = 0
        for bound, n in zip((*FIRST_SOUND_BUCKETS_SECONDS, "+Inf"), self._first, strict=True):
            total += n
            yield f'{name}_bucket{{le="{bound}"}} {total}'
        yield f"{name}_sum {self._first_sum}\n{name}_count {total}"


def _family(name: str, kind: str, description: str, values: Mapping[str, float]) -> Iterator[str]:
    yield f"# HELP {name} {description}\n# TYPE {name} {kind}"
    for labels, value in values.items():
        yield f"{name}{{{labels}}} {value}" if labels else f"{name} {value}"


def _labelled(label: str, counts: Mapping[str, float]) -> dict[str, float]:
    return {f'{label}="{_escaped(value)}"': n for value, n in counts.items()}


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
