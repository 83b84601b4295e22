"""Write a voice for other software: an ONNX graph with what Piper's programs must know."""
