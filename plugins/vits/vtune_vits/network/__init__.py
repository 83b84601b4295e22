"""The network of a VITS voice: text encoder, duration predictor, flow, vocoder and posterior encoder."""
