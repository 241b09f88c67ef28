"""Generates the parts of docs/ that the code decides: `python -m tests.docs` writes them, the tests hold them."""
