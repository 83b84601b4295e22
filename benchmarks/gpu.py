"""Measure vtune on a GPU with one command: training, decoding, the memory limit, and every code path of GPUs.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --minutes 5 --only orpheus decoding
    python benchmarks/gpu.py --small --device cpu --minutes 1

The networks have the published shapes and random weights, so nothing is downloaded. Each part runs in a process of its
own and in its share of the time; one that runs out of memory, lacks a library or is too slow is a row "not run" with
the reason. The results are written to a JSON file after each part. Run again, the command measures only what is missing
there; `--again` measures everything anew.

`--small --device cpu` runs the same code with small shapes, as the tests do; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from gpu_parts import isolation
from gpu_parts.parts import MACHINE, Part, Settings, parts_named, title_of
from gpu_parts.tables import tables

BUILDING_SECONDS = 60.0
"""What a part may take beside its share of the time, for imports and for building a network."""

LEAST_SECONDS = 5.0
"""A part is not begun if there is less time than this."""

USED_UP = "the time was used up; run the command again"


def main() -> None:
    """Run the parts, write the results, print the tables."""
    asked = arguments()
    chosen = parts_named(asked.only)
    if asked.list:
        print("\n".join(map(title_of, chosen)))
        return
    deadline = time.monotonic() + 60 * asked.minutes
    logs = asked.out.with_suffix(".logs")
    logs.mkdir(parents=True, exist_ok=True)
    record = kept_record(asked, logs)
    missing = [
        part for part in chosen if asked.again or record["parts"].get(title_of(part), {}).get("status") != "done"
    ]
    for number, part in enumerate(missing):
        seconds = share(missing[number:], deadline - time.monotonic())
        limit = min(seconds + BUILDING_SECONDS, deadline - time.monotonic())
        if limit < LEAST_SECONDS:
            result: dict[str, Any] = {"status": "not run", "reason": USED_UP}
        else:
            settings = Settings(asked.device, asked.small, min(seconds / 2, asked.seconds_per_part))
            result = isolation.run_isolated(part, settings, limit, logs / f"{number:02d}.log")
        record["parts"][title_of(part)] = result
        shown = {name: value for name, value in result.items() if name != "status"}
        print(f"{title_of(part)}: {result['status']} {json.dumps(shown)}", flush=True)
        write(asked.out, record)
    print("\n" + tables(record))


def share(parts: list[Part], seconds: float) -> float:
    """Return how many of the seconds that are left belong to the first of these parts."""
    return max(seconds, 0.0) * parts[0].weight / sum(part.weight for part in parts)


def kept_record(asked: argparse.Namespace, logs: Path) -> dict[str, Any]:
    """Return the results of the file, if they were measured with the same machine, versions and shapes; else none."""
    settings = Settings(asked.device, asked.small, 0.0)
    described = isolation.run_isolated(MACHINE, settings, 600.0, logs / "machine.log")
    if described["status"] != "done":
        raise SystemExit(f"the device {asked.device} cannot be used: {described['reason']}")
    found = described["machine"]
    record = {"machine": {**found, "date": time.strftime("%Y-%m-%d")}, "parts": {}}
    if not asked.out.is_file():
        return record
    before: dict[str, Any] = json.loads(asked.out.read_text(encoding="utf-8"))
    differing = [name for name in found if before["machine"].get(name) != found[name]]
    if differing:
        raise SystemExit(
            f"{asked.out} has results of another machine or of other versions ({', '.join(differing)}); "
            "name another file with --out, or remove this one"
        )
    return before


def write(path: Path, record: dict[str, Any]) -> None:
    """Write the results; a process that is killed meanwhile leaves the file before."""
    aside = path.with_suffix(".part")
    aside.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    aside.replace(path)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="time for everything")
    parser.add_argument("--seconds-per-part", type=float, default=10.0, help="longest time that a part measures")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--small", action="store_true", help="small shapes, whose figures mean nothing")
    parser.add_argument(
        "--only", nargs="*", default=[], metavar="PART", help="beginnings of names, as --list shows them"
    )
    parser.add_argument("--again", action="store_true", help="measure parts again that the file has already")
    parser.add_argument("--list", action="store_true", help="show the names of the parts, and measure nothing")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"), help="JSON file for the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
