"""What a hundred thousand credentials cost: `make bench`."""
