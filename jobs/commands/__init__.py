"""The commands of the command line, one module per family; each has `add`, and imports what it needs when it runs."""
