"""Bybit's V5 interface: calls, streams, and our words in its spelling. Nothing else knows how the exchange spells
them."""
