"""The plans of the SQL stores; a dialect is a folder of sentences."""
