"""What OpenAI's clients call: chat completions, responses, search, embeddings, models."""
