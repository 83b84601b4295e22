"""Several processes of one run: how they start, who they are, and how they notice that one has died."""
