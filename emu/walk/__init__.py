"""From captured frames to the walk of a request: pure, no lab needed."""
