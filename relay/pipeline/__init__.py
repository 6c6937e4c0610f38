"""The use cases: accept, execute, follow, and what people ask for. Effects only through what `ports` names."""
