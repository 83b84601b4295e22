"""Find, load, check and type one engine."""

from vtune.engines.discovery import Installed, installed_engines
from vtune.engines.engine import Engine, import_engine_files, load_engine, load_users_engine
from vtune.engines.plugin_manager import extension_commands, extension_watermarks
from vtune.engines.recipes import (
    available_engines,
    engine_recipes,
    find_users_recipe,
    load_foreign_recipe,
    load_recipe,
    schema,
)
from vtune.engines.single_file import engine_files, use_engine_file, use_engine_files

__all__ = [
    "Engine",
    "Installed",
    "available_engines",
    "engine_files",
    "engine_recipes",
    "extension_commands",
    "extension_watermarks",
    "find_users_recipe",
    "import_engine_files",
    "installed_engines",
    "load_engine",
    "load_foreign_recipe",
    "load_recipe",
    "load_users_engine",
    "schema",
    "use_engine_file",
    "use_engine_files",
]
