"""``vtune engines``."""

from __future__ import annotations

import click

from vtune_cli.output import echo


@click.command()
def engines() -> None:
    """List the installed engines with their options, and why an engine does not load."""
    from vtune import Engine, available_engines
    from vtune.types import CAPABILITIES, effects_of

    for name, engine in available_engines().items():
        if not isinstance(engine, Engine):
            echo(f"{name}: {engine}")
            continue
        lacking = sorted(CAPABILITIES - engine.info.supports)
        cannot = f"; does not support {', '.join(lacking)}" if lacking else ""
        echo(f"{name} ({engine.origin}): {engine.info.sample_rate} Hz; LoRA targets: {_targets(engine)}{cannot}")
        for option, field in engine.info.options.model_fields.items():
            default = "required" if field.is_required() else repr(field.get_default(call_default_factory=True))
            affects = ", ".join(effects_of(engine.info.options, option))
            echo(f"    {option} = {default} (affects {affects}): {field.description or ''}")


def _targets(engine: object) -> str:
    from vtune import Engine

    assert isinstance(engine, Engine)
    return ", ".join(engine.info.lora_targets) or "module names"
