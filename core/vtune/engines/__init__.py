"""Find, load, check and type one engine."""

from vtune.engines.facade import Engine, load_engine
from vtune.engines.finding import Installed, installed_engines
from vtune.engines.loading import extension_commands, extension_watermarks
from vtune.engines.recipes import available_engines, load_recipe, schema

__all__ = [
    "Engine",
    "Installed",
    "available_engines",
    "extension_commands",
    "extension_watermarks",
    "installed_engines",
    "load_engine",
    "load_recipe",
    "schema",
]
