"""Recordings in, clips and transcripts out."""
