"""Feature visualization: pure functions of tensors and recipes; knows nothing of files."""
