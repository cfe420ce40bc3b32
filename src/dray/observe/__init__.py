"""What the world sees of Dray: logs, metrics, traces, health."""
