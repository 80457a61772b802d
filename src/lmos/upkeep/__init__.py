"""Whole stores cared for: repaired, encoded anew, kept equal to a folder, filled by many."""
