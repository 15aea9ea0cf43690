"""The operations of `container oci`: their grammar (table.py) and what each does (operations.py)."""
