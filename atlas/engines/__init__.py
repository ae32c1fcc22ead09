"""Engines carry out missing work; what they do is decided by the plan alone.

An engine is handed chunks and yields what became of each, in any order; it keeps nothing. Whoever
iterates may stop at any time, and the engine then gives up what it has begun.
"""
