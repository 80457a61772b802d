"""Stores in other frameworks, one file each; none is imported before it is asked for."""
