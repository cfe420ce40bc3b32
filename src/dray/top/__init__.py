"""`dray top`: a live window into a store, in a terminal. Needs the extra `top`."""
