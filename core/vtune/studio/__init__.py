"""One local page for the whole way of a voice: thin over the verbs, which do the work in processes of their own.

Nothing lives in the page alone: what it does is a command, a recipe, or a file in the folders that every verb reads. So
what was begun in the page goes on in the terminal, and the other way round.
"""
