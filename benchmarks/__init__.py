"""How fast the channel is, beside others: `make bench`, and docs/performance.md to read it by."""
