"""Change the words and rows of a source in its own format."""
