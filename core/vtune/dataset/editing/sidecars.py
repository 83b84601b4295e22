"""Edit the text file beside a recording: its words, or whether there is one."""

from __future__ import annotations

from pathlib import Path

from vtune.dataset.editing.edit import Change, OnChange, StaleError, ignore_change, speakable_words
from vtune.dataset.editing.text_file import TextFile, digest_of, read_bytes, read_text_file, replacing
from vtune.errors import DataError


class EditableSidecar:
    """Edits the text file with the words of one recording; the file need not exist yet.

    ``digest`` identifies its content, empty without a file. Methods raise the errors that ``EditableTable`` raises.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read()

    def set_words(self, words: str, on_change: OnChange = ignore_change) -> Change:
        """Change the words, or create the file; blanks and line ends around the words stay."""
        words = speakable_words(words)
        old = self._script.text if self._script else ""
        body = old.strip()
        start = old.index(body)
        text = old[:start] + words + old[start + len(body) :] if old else words + "\n"
        return self._write(text, self._script.encoding if self._script else "utf-8", on_change)

    def drop(self, on_change: OnChange = ignore_change) -> Change:
        """Delete the file; the change keeps its content."""
        return self._write(None, "utf-8", on_change)

    def undo(self, change: Change, on_change: OnChange = ignore_change) -> Change:
        """Undo a change. :raises StaleError: the file is not as the change left it."""
        if self.digest != change.now:
            raise StaleError(f"{self.path} has been changed since, so the edit cannot be undone")
        return self._write(change.old, change.encoding, on_change)

    def _write(self, text: str | None, encoding: str, on_change: OnChange) -> Change:
        data = read_bytes(self.path) if self.path.exists() else None
        if _digest(data) != self.digest:
            raise StaleError(f"{self.path} was changed by another program since it was read; read it again")
        if text is None:
            change = self._change(None, None)
            on_change(change)
            self.path.unlink()
            self._read()
            return change
        for tried in (encoding, "utf-8-sig") if encoding == "cp1252" else (encoding,):
            try:
                written = TextFile(text, tried).encoded()
                with replacing(self.path, written) as aside:
                    if read_text_file(aside)[0].text != text:
                        raise UnicodeError
                    change = self._change(text, written)
                    on_change(change)
            except UnicodeError:
                continue
            self._read()
            return change
        raise DataError(f"{self.path} would be read differently with these words; save it as UTF-8")

    def _change(self, text: str | None, data: bytes | None) -> Change:
        old, encoding = (self._script.text, self._script.encoding) if self._script else (None, "utf-8")
        took, put = int(old is not None), int(text is not None)
        return Change(0, took, put, 0, old, text, encoding, self.digest, _digest(data))

    def _read(self) -> None:
        self._script: TextFile | None = None
        self.digest = ""
        if self.path.exists():
            self._script, self.digest = read_text_file(self.path)


def _digest(data: bytes | None) -> str:
    return "" if data is None else digest_of(data)
