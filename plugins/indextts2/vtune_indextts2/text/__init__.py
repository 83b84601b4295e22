"""Turn written text into token ids: language, protected parts, numbers in words, pieces, segments."""
