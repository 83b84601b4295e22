"""Listen to a source in a browser and put it right: words, red flags, rows to drop, clips to split."""

from vtune.curation.review.review import Review

__all__ = ["Review"]
