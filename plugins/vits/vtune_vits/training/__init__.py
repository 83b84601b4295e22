"""Training: the losses, the parts beside the voice, and the posterior encoder of a base that has none."""
