"""Exit statuses of a worker process that its supervisor understands."""

CANNOT_START = 3  # the app cannot be loaded, a start hook raised, or the store cannot be opened
