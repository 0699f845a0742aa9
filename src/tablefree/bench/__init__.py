"""Measures tablefree against the floor of its arithmetic, on the machine at hand."""
