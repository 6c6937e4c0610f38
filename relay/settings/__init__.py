"""What the environment, `.env` and RELAY_CONFIG say, checked at once. Nothing else reads them."""
