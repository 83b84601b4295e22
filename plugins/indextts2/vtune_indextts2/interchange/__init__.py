"""The way in and out for voices of index-tts: what its forks and other trainers save, and what they load."""
