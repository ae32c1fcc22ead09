"""Engines carry out missing work; what they do is decided by the plan alone."""
