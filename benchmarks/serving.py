"""Put a server under load: answers, waiting times, and whether its memory grows.

    vtune serve --voices voices &
    python benchmarks/serving.py http://127.0.0.1:8000 --voice anna --voice ben --requests 2000 --at-once 500

A client that is refused with 503 waits as long as it is told and asks again. The memory is what the server reports in
/metrics, ten times during the run.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from urllib.parse import urlsplit

import numpy as np

FORMATS = ("mp3", "opus", "ogg", "aac", "flac", "wav", "pcm")
WORDS = ("the", "river", "runs", "past", "an", "old", "mill", "and", "nobody", "knows", "for", "how", "long")


class Asker:
    """Sends requests to one server, and records the results."""

    def __init__(self, url: str, key: str, voices: list[str], patient: bool) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 80
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.voices, self.patient = voices, patient
        self.statuses: Counter[int] = Counter()
        self.first: list[float] = []
        self.whole: list[float] = []

    def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, str, float, float]:
        """Return status, ``Retry-After``, and the seconds to the first byte and the last."""
        connection = HTTPConnection(self.host, self.port, timeout=600)
        started = time.monotonic()
        connection.request(method, path, body, {**self.headers, "Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read(1)
        first = time.monotonic() - started
        answer.read()
        total_seconds = time.monotonic() - started
        connection.close()
        return answer.status, answer.headers.get("Retry-After", "0"), first, total_seconds

    def speak(self, number: int) -> None:
        """Repeat one request until it is answered."""
        drawn = random.Random(number)
        text = " ".join(drawn.choices(WORDS, k=drawn.randint(2, 8)))
        asked = {"input": text, "voice": self.voices[number % len(self.voices)], "seed": number}
        body = json.dumps({**asked, "response_format": FORMATS[number % len(FORMATS)]}).encode()
        while True:
            status, wait, first, total_seconds = self.request("POST", "/v1/audio/speech", body)
            self.statuses[status] += 1
            if status != 503 or not self.patient:
                break
            time.sleep(int(wait) * drawn.uniform(0.5, 1.0))
        if status == 200:
            self.first.append(first)
            self.whole.append(total_seconds)

    def memory(self) -> float:
        """Return the server's resident memory in MiB."""
        connection = HTTPConnection(self.host, self.port, timeout=60)
        connection.request("GET", "/metrics", headers=self.headers)
        text = connection.getresponse().read().decode()
        connection.close()
        match = re.search(r"^process_resident_memory_bytes (\S+)$", text, re.MULTILINE)
        return float(match[1]) / 2**20 if match else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--voice", action="append", required=True)
    parser.add_argument("--key", default="")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--at-once", type=int, default=16, help="number of clients")
    parser.add_argument("--impatient", action="store_true", help="do not repeat requests that the server refuses")
    asked = parser.parse_args()
    asker = Asker(asked.url, asked.key, asked.voice, not asked.impatient)
    asker.speak(0)
    print(f"one request: first byte after {asker.first[0]:.2f} s (with loading the base)")
    started = time.monotonic()
    with ThreadPoolExecutor(asked.at_once) as pool:
        for done, _ in enumerate(pool.map(asker.speak, range(asked.requests)), 1):
            if done % (asked.requests // 10) == 0:
                print(f"{done:6d} answered: {asker.memory():.1f} MiB", flush=True)
    took = time.monotonic() - started
    status_counts = ", ".join(f"{count} x {status}" for status, count in sorted(asker.statuses.items()))
    print(f"{asked.requests} requests by {asked.at_once} clients in {took:.1f} s: {status_counts}")
    for name, values in (("first byte", asker.first), ("last byte", asker.whole)):
        median, late, last = np.percentile(values, [50, 95, 100])
        print(f"{name}: median {median:.2f} s, 95 % within {late:.2f} s, all within {last:.2f} s")


if __name__ == "__main__":
    main()
