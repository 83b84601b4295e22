"""Voices that speak: opened from their folders, mixed with each other."""
