"""What texts are made of: units, lines, sentences, tables, normal form. No model, no disk."""
