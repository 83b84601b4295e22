"""Review a source in a browser: listen, correct words, approve or drop rows, and split clips."""

from vtune.curation.review.review import Review

__all__ = ["Review"]
