"""The reader adapter: LoRA that turns a chat model into one that answers from passages."""
