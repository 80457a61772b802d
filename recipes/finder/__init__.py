"""How the retrieval heads that ship were made."""
