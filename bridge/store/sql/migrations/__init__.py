"""How the tables of the record came to be, one step a file: `NNNN_name.py`, whose name is its revision."""
