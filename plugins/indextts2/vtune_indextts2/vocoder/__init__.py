"""Mel to waveform: BigVGAN v2."""
