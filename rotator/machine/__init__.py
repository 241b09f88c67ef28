"""The machine: facts, rungs and legs, decide, evolve. The core of the product, on the standard library alone.

Pure: no clock is read, nothing is drawn at random, nothing is sent. Called by `engine`; other rooms read its types.
Start with `ladder.py`: the rules as prose, then the tables as data.
"""
