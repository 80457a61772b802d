"""Stores for agents: a server of the Model Context Protocol over open sessions."""
