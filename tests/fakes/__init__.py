"""Servers of our own that stand for platforms which cannot be had in a test run. Each says what it leaves out."""
