"""A paper exchange: a server that speaks Bybit's V5 protocol, with play money.

The relay reaches it exactly as it reaches the real one, through a URL, with signed requests; nothing in the relay
knows which of the two it talks to. It checks signatures and the clock window, applies each instrument's rules, fills
orders, keeps positions and wallets in a SQLite file, and answers with Bybit's codes and words. Sources of the rules are
Bybit's own pages (repository bybit-exchange/docs, `docs/v5`), named where they are applied.

`python -m relay.paper --port PORT` runs it. `relay.paper.control` documents the endpoints that set prices, balances
and the account, shift its clock and make it misbehave."""
