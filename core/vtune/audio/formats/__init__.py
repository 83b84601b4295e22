"""Formats of the speech that leaves vtune, one module each; a new module here is a new response format.

The module declares ``FORMAT``, a ``vtune.audio.encode.AudioFormat``. Request schema, OpenAPI page, error texts and the
endings that ``vtune say`` knows follow from it.
"""

from vtune.audio.encode import AudioFormat
from vtune.runtime.registry import read_registry

FORMATS = read_registry(__name__, "FORMAT", AudioFormat)
"""Audio formats by name, most of them under the names of OpenAI's API."""
