"""The use cases: accept, execute, follow, protect, and what people ask for. They reach the exchange through `ports`
only."""
