"""The export target ``onnx``: a tuned voice in the file format of the package hibari-tts."""
