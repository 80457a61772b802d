"""An experiment: answers from embeddings in the place of text. Not part of what ships."""
