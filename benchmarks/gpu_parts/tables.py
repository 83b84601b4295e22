"""The results as Markdown tables, in the form in which ``benchmarks/README.md`` shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

GIB = 2**30
Figures = Mapping[str, Any]
Column = tuple[str, Callable[[Figures], str]]

NOT_GIVEN = "not measured"
USEFUL_OPERATIONS = 4
"""Operations of a training with LoRA for each parameter of the base and token: 2 forward, 2 backward."""


def tables(record: Figures) -> str:
    """Return everything that was measured: the machine in a line, then one table after another."""
    parts: Mapping[str, Figures] = record["parts"]
    tflops = parts.get("machine: products of matrices", {}).get("tflops")
    blocks = [machine_line(record["machine"], parts.get("machine: products of matrices", {}))]
    for table, heading in HEADINGS.items():
        rows = {name.partition(": ")[2]: figures for name, figures in parts.items() if name.startswith(f"{table}: ")}
        if rows:
            blocks.append(f"### {heading}\n\n{markdown(rows, columns(table, rows, tflops))}")
    return "\n\n".join(blocks) + "\n"


def machine_line(machine: Figures, products: Figures) -> str:
    """Describe the machine, its versions and how fast it multiplies."""
    line = ", ".join(f"{name} {value}" for name, value in machine.items() if value is not None)
    if products.get("status") != "done":
        return line
    sheet = f" ({products['data_sheet_tflops']} by the data sheet)" if products.get("data_sheet_tflops") else ""
    return f"{line}; products in bf16: {products['tflops']:.3g} TFLOP/s{sheet}"


def markdown(rows: Mapping[str, Figures], shown: Sequence[Column]) -> str:
    """Return a table; a row that was not measured says why in its second cell."""
    lines = ["| " + " | ".join(["What", *(title for title, _ in shown)]) + " |", "|---" * (len(shown) + 1) + "|"]
    for name, figures in rows.items():
        if figures["status"] == "done":
            cells = [cell(figures) for _, cell in shown]
        else:
            cells = [f"{figures['status']}: {figures['reason']}", *[NOT_GIVEN] * (len(shown) - 1)]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def columns(table: str, rows: Mapping[str, Figures], tflops: float | None) -> list[Column]:
    """Return the columns of a table: the title and the cell of each."""
    if table in ("orpheus", "indextts2"):
        return training_columns(rows, tflops)
    return {"limits": LIMITS, "decoding": DECODING, "checks": CHECKS}[table]


def training_columns(rows: Mapping[str, Figures], tflops: float | None) -> list[Column]:
    """Return the columns of a table of trainings; the first row that was measured is vtune's."""
    first = next((figures for figures in rows.values() if figures["status"] == "done"), None)

    def faster(figures: Figures) -> str:
        return f"{first['tokens_per_second'] / figures['tokens_per_second']:.2f} x" if first else NOT_GIVEN

    def utilisation(figures: Figures) -> str:
        if tflops is None:
            return NOT_GIVEN
        useful = USEFUL_OPERATIONS * figures["parameters"] * figures["tokens_per_second"]
        return f"{useful / (tflops * 1e12):.1%}"

    return [
        ("Tokens per second", lambda figures: f"{figures['tokens_per_second']:,.0f}"),
        ("Seconds per step", lambda figures: f"{figures['seconds_per_step']:.3f}"),
        ("Steps", lambda figures: str(figures["steps"])),
        ("Peak memory", lambda figures: gibibytes(figures.get("peak_bytes"))),
        ("Share of the speed of products (4N)", utilisation),
        ("The first row is faster by", faster),
    ]


def gibibytes(size: float | None) -> str:
    """Return bytes in GiB."""
    return f"{size / GIB:.2f} GiB" if size else NOT_GIVEN


def _ratio(figures: Figures) -> str:
    if not figures.get("measured_bytes"):
        return NOT_GIVEN
    return f"{figures['estimated_bytes'] / figures['measured_bytes']:.2f}"


def _difference(figures: Figures) -> str:
    value = next((figures[name] for name in ("difference", "correlation") if name in figures), None)
    return "none" if value is None else f"{value:.2g}"


LIMITS: list[Column] = [
    ("Clips that auto takes", lambda figures: str(figures["chosen_rows"])),
    ("Checkpointing", lambda figures: "on" if figures["chosen_checkpointing"] else "off"),
    ("Fits", lambda figures: "yes" if figures["fits"] else "no"),
    ("Most clips that fit", lambda figures: str(figures["largest_rows"] or NOT_GIVEN)),
    ("Estimate", lambda figures: gibibytes(figures["estimated_bytes"])),
    ("Measured peak", lambda figures: gibibytes(figures["measured_bytes"])),
    ("Estimate / peak", _ratio),
]
DECODING: list[Column] = [
    ("Tokens per second", lambda figures: _number(figures, "tokens_per_second", "{:,.0f}")),
    ("Times real time", lambda figures: _number(figures, "times_real_time", "{:.2f}")),
    ("First sound after", lambda figures: _number(figures, "first_sound_seconds", "{:.3f} s")),
    ("The very first time", lambda figures: _number(figures, "cold_seconds", "{:.3f} s")),
    ("Peak memory", lambda figures: gibibytes(figures.get("peak_bytes"))),
]
CHECKS: list[Column] = [
    ("Result", lambda figures: "pass"),
    ("Difference", _difference),
    ("Seconds", lambda figures: f"{figures['took']:.1f}"),
]


def _number(figures: Figures, name: str, form: str) -> str:
    return form.format(figures[name]) if name in figures else NOT_GIVEN


HEADINGS = {
    "orpheus": "Orpheus 3B, training",
    "indextts2": "IndexTTS2's GPT, training",
    "limits": "The memory limit and `batch_size: auto`",
    "decoding": "Orpheus 3B, speaking",
    "checks": "Code that only GPUs run",
}
