"""What a person sees: answers, passages, walks, help, progress."""
