"""The commands, one module a theme, imported when one of them is called."""
