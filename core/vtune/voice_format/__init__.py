"""The files of a voice folder: the record, the weights and the conditioning, written and read back."""
