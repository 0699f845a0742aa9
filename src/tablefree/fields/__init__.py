"""Tables of events with any number of columns: what is in them, and what it is taken for."""
