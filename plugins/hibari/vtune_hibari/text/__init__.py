"""From texts to symbols: English words become phonemes, and phonemes become numbers."""
