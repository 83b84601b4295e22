"""Find, load, check and type one engine."""

from vtune.engines.audio_formats import audio_format_of, audio_formats
from vtune.engines.discovery import Installed, installed_engines
from vtune.engines.engine import (
    FEATURES_HOOKS,
    SPEECH_HOOKS,
    TRAINING_HOOKS,
    Engine,
    import_engine_files,
    load_engine,
    load_users_engine,
)
from vtune.engines.plugin_list import find_plugins, list_plugins
from vtune.engines.plugin_manager import extension_watermarks
from vtune.engines.recipes import (
    available_engines,
    engine_of,
    engine_recipes,
    find_users_recipe,
    load_foreign_recipe,
    load_recipe,
    schema,
)
from vtune.engines.single_file import engine_files, use_engine_file, use_engine_files

__all__ = [
    "FEATURES_HOOKS",
    "SPEECH_HOOKS",
    "TRAINING_HOOKS",
    "Engine",
    "Installed",
    "audio_format_of",
    "audio_formats",
    "available_engines",
    "engine_files",
    "engine_of",
    "engine_recipes",
    "extension_watermarks",
    "find_plugins",
    "find_users_recipe",
    "import_engine_files",
    "installed_engines",
    "list_plugins",
    "load_engine",
    "load_foreign_recipe",
    "load_recipe",
    "load_users_engine",
    "schema",
    "use_engine_file",
    "use_engine_files",
]
