"""What is said and how: w2v-BERT's hidden states of 50 frames a second, and the codec that makes codes of them."""
