"""The standard deviations that codes and embeddings start with."""

# Of an embedding's components, the same for every method, so that one grid of learning rates is
# fair to all of them.
INITIAL_STD = 0.1
# Learned codes under a decoder start ten times wider, so that steps of the same rate change them
# less and the hidden units see them apart: on sparse data worth .05 of AUC for a row of two
# numbers, and .01 for eight.
CODE_STD = 1.0
UNIFORM_STD = 3**-0.5  # of a code that is uniform in [-1, 1]
