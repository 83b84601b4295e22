"""The back end that lets vLLM draw the tokens: one base there, every voice's adapter beside it, sound made here."""

from vtune.serve.vllm.backend import ByVllm
from vtune.serve.vllm.start import connect, start

__all__ = ["ByVllm", "connect", "start"]
