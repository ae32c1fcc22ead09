"""Networks that can be tapped at any layer, before the ReLU."""
