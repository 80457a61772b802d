"""The base model and what is learned for it: files, tokens, attention, adapters, prompts."""
