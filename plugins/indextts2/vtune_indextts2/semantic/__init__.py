"""Encode sound to semantic features, the hidden states of w2v-BERT at 50 Hz, and quantise the features to codes."""
