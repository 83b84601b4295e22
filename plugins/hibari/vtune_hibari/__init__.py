"""hibari as a vtune engine: two text encoders, durations, prosody and a decoder of spectra, 6 million weights."""
