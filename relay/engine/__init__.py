"""What makes accepted signals go on: one lane per account and instrument, in the order of acceptance."""
