"""The bus of processes that share a Redis, on any machine, over its publish and subscribe."""
