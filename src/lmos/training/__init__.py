"""Training: corpora and generators in, a base model and an adapter out."""
