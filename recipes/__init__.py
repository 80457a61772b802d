"""How the shipped weights were made: one folder an adapter, one command each."""
