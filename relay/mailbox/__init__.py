"""The second way in: alerts that TradingView also sends by e-mail."""
