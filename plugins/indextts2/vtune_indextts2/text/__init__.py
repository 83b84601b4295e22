"""From written text to token ids: language, protected parts, an engine that reads numbers out, pieces, segments."""
