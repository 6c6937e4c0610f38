"""Messages that other services and bots publish, with their placeholders as TradingView replaces them."""

from __future__ import annotations

from typing import Any

from tests.unit.dialect_cases import Message

TIME = "2025-01-31T12:00:00Z"

# https://help.3commas.io/en/articles/9374557-signal-bot-json-file-for-strategy-type
STRATEGY: Message = {
    "secret": "token",
    "max_lag": "300",
    "timestamp": TIME,
    "trigger_price": "100000",
    "tv_exchange": "BYBIT",
    "tv_instrument": "BTCUSDT.P",
    "action": "buy",
    "bot_uuid": "signal-bot-uuid",
    "strategy_info": {
        "market_position": "long",
        "market_position_size": "0.3",
        "prev_market_position": "short",
        "prev_market_position_size": "0.2",
    },
    "order": {"amount": "0.5", "currency_type": "base"},
}

# https://help.3commas.io/en/articles/8894481-signal-bot-json-file-in-custom-signal-type
CUSTOM: Message = {
    "secret": "YOUR-SECRET",
    "bot_uuid": "YOUR-UUID",
    "action": "enter_long",
    "tv_exchange": "BYBIT",
    "tv_instrument": "BTCUSDT.P",
    "order": {"amount": 150, "currency_type": "quote", "order_type": "market"},
    "take_profit": {
        "enabled": True,
        "steps": [
            {"order_type": "limit", "price_percent": 1, "volume_percent": 25},
            {"order_type": "limit", "price_percent": 2, "volume_percent": 25},
            {"order_type": "limit", "price_percent": 3, "volume_percent": 25},
            {"order_type": "market", "price_percent": 4, "volume_percent": 25},
        ],
    },
    "stop_loss": {"enabled": True, "order_type": "market", "trigger_price_percent": 1},
    "max_lag": 300,
    "timestamp": TIME,
}
EXIT: Message = {
    **{name: CUSTOM[name] for name in ("secret", "bot_uuid", "tv_exchange", "tv_instrument", "max_lag", "timestamp")},
    "action": "exit_long",
    "order": {"amount": 100, "currency_type": "position_percent"},
}

# https://www.okx.com/help/signal-bot-alert-message-specifications
OKX_A: Message = {
    "id": "Long Exit",
    "action": "sell",
    "marketPosition": "flat",
    "prevMarketPosition": "long",
    "marketPositionSize": "0",
    "prevMarketPositionSize": "0.012985",
    "instrument": "BTCUSDT.P",
    "signalToken": "an-okx-signal-token",
    "timestamp": TIME,
    "maxLag": "60",
    "investmentType": "base",
    "amount": "0.012985",
}
OKX_B: Message = {
    "action": "ENTER_LONG",
    "instrument": "BTC-USDT-SWAP",
    "signalToken": "an-okx-signal-token",
    "timestamp": TIME,
    "maxLag": "30",
    "orderType": "market",
    "orderPriceOffset": "",
    "investmentType": "percentage_balance",
    "amount": "100",
}
OKX_EXIT = {**OKX_B, "action": "EXIT_LONG", "investmentType": "percentage_position"}

# https://help.wundertrading.com/en/articles/10475473-signal-bot-comprehensive-json-guide
CODE = "ENTER-LONG_Bybit_BTCUSDT_Eth short 15_15M_8e34479cfe49027eda195457"
WUNDER: Message = {
    "code": CODE,
    "orderType": "market",
    "amountPerTradeType": "quote",
    "amountPerTrade": 150,
    "takeProfits": [
        {"priceDeviation": 0.01, "portfolio": 0.25},
        {"priceDeviation": 0.02, "portfolio": 0.25},
        {"priceDeviation": 0.03, "portfolio": 0.25},
        {"priceDeviation": 0.04, "portfolio": 0.15},
        {"priceDeviation": 0.05, "portfolio": 0.07},
        {"priceDeviation": 0.06, "portfolio": 0.03},
    ],
    "stopLoss": {"priceDeviation": 0.01},
    "reduceOnly": True,
    "placeConditionalOrdersOnExchange": False,
}
# https://github.com/hackingthemarkets/tradingview-binance-strategy-alert-webhook,
# payloads/tradingview_webhook_payload_filled.json
FILLED: Message = {
    "passphrase": "abcdefgh",
    "time": "2020-09-06T01:44:17Z",
    "exchange": "BINANCE",
    "ticker": "DOGEUSDT",
    "bar": {
        "time": "2020-09-06T01:43:00Z",
        "open": 0.002748,
        "high": 0.0027486,
        "low": 0.002748,
        "close": 0.0027486,
        "volume": 150177,
    },
    "strategy": {
        "position_size": 10000,
        "order_action": "buy",
        "order_contracts": 10000,
        "order_price": 0.0027451,
        "order_id": "doge door",
        "market_position": "long",
        "market_position_size": 10000,
        "prev_market_position": "flat",
        "prev_market_position_size": 0,
    },
}
# What a bot needs of it at least
SHORT_FORM: Message = {
    "passphrase": "your_passphrase",
    "ticker": "BTCUSDT.P",
    "strategy": {"order_action": "sell", "order_contracts": 0.5, "order_price": 100000},
}

# https://github.com/CryptoGnome/Tradingview-Webhook-Bot, README.md
GNOME: Message = {
    "key": "678777",
    "exchange": "bybit",
    "symbol": "ETHUSD",
    "type": "Market",
    "side": "Buy",
    "qty": "1",
    "price": "1120",
    "close_position": "False",
    "cancel_orders": "True",
    "order_mode": "Both",
    "take_profit_percent": "1",
    "stop_loss_percent": "0.5",
}
# https://github.com/robswc/tradingview-webhooks-bot, its first form
ROBSWC: Message = {
    "type": "limit",
    "side": "buy",
    "amount": "0.1",
    "symbol": "BTCUSDT",
    "price": "90000",
    "key": "9T2q394M92",
}


def with_fields(message: Message, **fields: Any) -> Message:
    """`a__b` is `b` inside `a`; None leaves a field out."""
    changed = {**message}
    for path, value in fields.items():
        outer, _, inner = path.partition("__")
        changed[outer] = {**changed.get(outer, {}), inner: value} if inner else value
    return {name: value for name, value in changed.items() if value is not None}
