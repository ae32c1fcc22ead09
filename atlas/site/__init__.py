"""The website: catalogue → sheets → pages. Knows nothing of torch or of rendering."""
