"""Many stores behind one process: REST, and the API of OpenAI's clients."""
