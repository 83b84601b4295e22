"""Tell the user which engine, hook and line of code an error comes from."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from vtune.errors import EngineError, VtuneError, in_a_line
from vtune.runtime.device import is_out_of_memory
from vtune.runtime.disk import disk_error_text

_DONE = object()


class HookErrors:
    """Turns what the code of an engine or an extension raises into one line for the user.

    :param title: how errors name the engine: ``engine 'x' (x-tts 1.0)``.
    :param modules: the modules of the engine and of the extensions, each with its title. The line of code that an error
        names is the innermost one in their files.
    """

    def __init__(self, title: str, modules: Sequence[tuple[str, ModuleType]]) -> None:
        self._title = title
        self._places = [(name, _home(module)) for name, module in modules if getattr(module, "__file__", None)]

    @contextmanager
    def named(self, hook: str) -> Iterator[None]:
        """Name the hook in the errors of a block: ``engine 'x' (x-tts 1.0): collate raised KeyError 'labels' at ...``.

        A ``VtuneError`` passes as it is; so do errors of memory and of the disk, for which vtune has advice of its own.

        :raises EngineError: whatever else the block raises.
        """
        try:
            yield
        except VtuneError:
            raise
        except Exception as error:  # somebody else's code
            if is_out_of_memory(error) or disk_error_text(error) is not None:
                raise
            raise EngineError(self._message(hook, error)) from error

    @contextmanager
    def named_if_own(self, action: str) -> Iterator[None]:
        """Name an action in the errors of a block that come from the code of the engine or of an extension.

        :raises EngineError: such code raises; what other code raises passes as it is.
        """
        try:
            yield
        except Exception as error:
            if self._own_frame(error) is None:
                raise
            with self.named(action):
                raise

    def pieces(self, hook: str, items: Any) -> Iterator[Any]:
        """Yield what a hook yields, and name the hook in the errors of its generator."""
        with self.named(hook):
            iterator = iter(items)
        while True:
            with self.named(hook):
                item = next(iterator, _DONE)
            if item is _DONE:
                return
            yield item

    def _message(self, hook: str, error: Exception) -> str:
        own = self._own_frame(error)
        if own is None:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            title, file = self._title, Path(frame.filename).name
        else:
            frame, name, home = own
            title = self._title if name == self._title else f"{self._title} with {name}"
            file = str(Path(frame.filename).relative_to(home.parent))
        text = in_a_line(error)
        return f"{title}: {hook} raised {type(error).__name__}{text and f' {text}'} at {file}:{frame.lineno}"

    def _own_frame(self, error: Exception) -> tuple[traceback.FrameSummary, str, Path] | None:
        """Return the innermost frame in the files of a plugin, with the title and the home of the plugin."""
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            for name, home in self._places:
                if _is_in(frame.filename, home):
                    return frame, name, home
        return None


def _home(module: ModuleType) -> Path:
    """Return the folder of a package, or the file of a module."""
    path = Path(str(module.__file__))
    return path.parent if path.name == "__init__.py" else path


def _is_in(filename: str, home: Path) -> bool:
    return Path(filename) == home or home in Path(filename).parents
