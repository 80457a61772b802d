"""Text to a tree: windows and spans, embeddings and keys level by level, and what stands where."""
