"""``vtune serve``."""

from __future__ import annotations

from pathlib import Path

import click

from vtune_cli.arguments import base_options, engine_options, voices_option
from vtune_cli.talking import echo


@click.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True,
    help="Address to serve at; any that other machines can reach takes API keys.",
)  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@click.option(
    "--backend", default="in-process", show_default=True, metavar="in-process|vllm|URL",
    help="What speaks: this process, with any engine; a vLLM that is started; or one that runs there.",
)  # fmt: skip
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="YAML file of aliases and limits.")
@click.option(
    "--keys", type=click.Path(dir_okay=False, path_type=Path),
    help="File of API keys, one a line; VTUNE_API_KEYS holds some as well, with commas between.",
)  # fmt: skip
@click.option("--log-text", is_flag=True, help="Write into the log what is spoken.")
@base_options
@voices_option
def serve(
    host: str, port: int, backend: str, config: Path | None, keys: Path | None, log_text: bool, device: str,
    options: tuple[str, ...], folder: Path,
) -> None:  # fmt: skip
    """Speak over HTTP, as OpenAI's speech API does, with every voice of a folder."""
    from vtune.serve import serve as serve_voices

    def started(url: str) -> None:
        echo(url)
        echo("Ctrl-C ends it; voices may come and go")

    serve_voices(
        folder, host=host, port=port, backend=backend, config=config, keys=keys, device=device,
        options=engine_options(options), log_text=log_text, started=started,
    )  # fmt: skip
