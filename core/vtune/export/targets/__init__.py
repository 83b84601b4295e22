"""The formats that a voice can be exported to, one module each."""
