"""The enumeration of the machine: the shipped functions against a small world with every fault, breadth first."""
