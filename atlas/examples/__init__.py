"""Dataset examples: which photographs drive a channel most and least, and where in them."""
