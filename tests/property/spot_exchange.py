"""A model of the exchange's spot market: one wallet in which the owner's coins lie beside the relay's."""

from __future__ import annotations

from decimal import Decimal

from relay.bybit.wire_orders import OpenOrder
from relay.domain.instrument import Category, Instrument, floor_to, is_on_grid
from relay.domain.order import (
    Accepted,
    ErrorKind,
    OrderRejected,
    OrderStatus,
    Outcome,
    PlannedOrder,
    Side,
    is_marketable,
)
from relay.domain.position import Fill, OrderReport, Position
from relay.domain.spot import OwnCoins, ReadOwnCoins
from relay.errors import ExchangeUnreachable
from tests.builders import linear
from tests.property.model_exchange import Clock, ModelExchange, Order

FEE = Decimal("0.001")
OWNERS = Decimal("1.5")
MONEY = Decimal(200_000)
PAIR: Instrument = linear(
    category=Category.SPOT,
    qty_step="0.000001",
    qty_min="0.000001",
    qty_max=83,
    qty_max_market=2,
    notional_min=5,
    tick_size="0.1",
    money_step="0.0000001",
)


class SpotExchange(ModelExchange):
    """`own_coins`: the relay's answer to which coins are its own. It fails at once where a sale takes the owner's."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.coins, self.money, self.now_at = OWNERS, MONEY, Decimal(50_000)
        self.filled: dict[str, list[Fill]] = {}
        self.own_coins: ReadOwnCoins = lambda lacking_at, asks=True: {}
        self.fills_lag = 0
        """So many questions for fills are answered before they are listed."""

    # The wallet.

    @property
    def relays(self) -> Decimal:
        """Of the coins, those that are not the owner's."""
        return self.coins - OWNERS

    def locked(self, side: Side) -> Decimal:
        """Coins that sales, or money that purchases have set aside."""
        left = Decimal(0)
        for order in self.orders.values():
            planned = order.planned
            is_waiting = planned.type.is_conditional and not planned.locks
            if order.rests and planned.side is side and not is_waiting:
                part = planned.qty - order.filled_qty
                left += part if side is Side.SELL else part * (planned.price or self.now_at)
        return left

    # Orders.

    def _take(self, client_order_id: str, planned: PlannedOrder, share: Decimal) -> Outcome:
        if client_order_id in self.orders:
            return OrderRejected(code=170141, words="duplicate", refusal=ErrorKind.ALREADY_THERE)
        if (broken := self._broken(planned)) is not None:
            return OrderRejected(code=170140, words=broken, refusal=ErrorKind.RULES, reason_code=broken)
        is_waiting = planned.type.is_conditional and not planned.locks
        needed = planned.qty if planned.side is Side.SELL else self._cost(planned)
        free = (self.coins if planned.side is Side.SELL else self.money) - self.locked(planned.side)
        if needed > free and not is_waiting:
            return OrderRejected(code=170131, words="Insufficient balance.", reason_code="EXCHANGE_BALANCE")
        order = self.orders[client_order_id] = Order(client_order_id, planned, self._clock.now_ms)
        if not planned.rests or self._is_met(planned):
            self._execute(order, share)
        return Accepted(venue_order_id=f"v-{client_order_id}")

    def _cost(self, planned: PlannedOrder) -> Decimal:
        return planned.spend or planned.qty * (planned.price or self.now_at)

    def _broken(self, planned: PlannedOrder) -> str | None:
        assert not planned.closes_all and planned.leverage is None
        worth = planned.spend or planned.qty * (planned.price or planned.trigger_price or self.now_at)
        if planned.spend is None and not is_on_grid(planned.qty, PAIR.qty_step):
            return "QTY_BELOW_MIN"
        return "NOTIONAL_BELOW_MIN" if worth < PAIR.notional_min else None

    def _is_met(self, planned: PlannedOrder) -> bool:
        if planned.type.is_conditional:
            assert planned.trigger_price is not None
            rises = planned.type.rises_to_trigger(planned.side)
            return self.now_at >= planned.trigger_price if rises else self.now_at <= planned.trigger_price
        return planned.price is not None and is_marketable(planned.side, planned.price, self.now_at)

    def _execute(self, order: Order, share: Decimal) -> None:
        """At the market's price, which a limit price only ever betters."""
        planned, price = order.planned, self.now_at
        wanted = planned.spend / price if planned.spend is not None else planned.qty - order.filled_qty
        qty = floor_to(wanted * share, PAIR.qty_step)
        if planned.side is Side.SELL:
            qty = min(qty, self.coins)
            assert qty <= self.relays, f"a sale took the owner's coins: {planned}"
        if qty:
            self._fill(order, qty, price)
        is_whole = share == 1 and (planned.spend is None or planned.spend == qty * price)
        order.status = OrderStatus.FILLED if is_whole else OrderStatus.CANCELED

    def _fill(self, order: Order, qty: Decimal, price: Decimal) -> None:
        planned, name, is_buy = order.planned, order.client_order_id, order.planned.side is Side.BUY
        fee = qty * FEE if is_buy else qty * price * FEE
        self.coins += qty - fee if is_buy else -qty
        self.money += -qty * price if is_buy else qty * price - fee
        assert planned.spend is None or qty * price <= planned.spend, f"it cost more than was said: {planned}"
        order.filled_qty += qty
        fill = Fill(
            exec_id=f"e-{name}-{len(self.filled.get(name, ()))}",
            client_order_id=name,
            qty=qty,
            price=price,
            fee=fee,
            fee_coin="BTC" if is_buy else "USDT",
            base_fee=fee if is_buy else Decimal(0),
            is_maker=False,
            at_ms=self._clock.now_ms,
        )
        self.filled.setdefault(name, []).append(fill)

    def move(self, price: Decimal) -> None:
        """The market goes there: what waits for it is filled, the stop losses first, where there are coins for it."""
        self.now_at = price
        for order in sorted(self.orders.values(), key=lambda each: not each.planned.locks):
            if order.rests and self._is_met(order.planned):
                others = self.locked(order.planned.side)
                free = (self.coins if order.planned.side is Side.SELL else self.money) - others
                is_waiting = order.planned.type.is_conditional and not order.planned.locks
                if is_waiting and self._cost(order.planned) > free:
                    order.status = OrderStatus.REJECTED
                else:
                    self._execute(order, Decimal(1))

    # Questions.

    def look_up(self, *, category: Category, symbol: str, client_order_id: str) -> OrderReport | None:
        self._ask()
        order = self._shown(client_order_id)
        if order is None:
            return None
        fills = self.filled.get(client_order_id, [])
        worth = sum((each.qty * each.price for each in fills), Decimal(0))
        return OrderReport(
            client_order_id=client_order_id,
            venue_order_id=f"v-{client_order_id}",
            status=order.status,
            filled_qty=order.filled_qty,
            avg_price=worth / order.filled_qty if order.filled_qty else None,
            fee=sum((each.fee for each in fills), Decimal(0)),
            rests=order.rests,
        )

    def fills(self, *, category: Category, symbol: str, client_order_id: str) -> tuple[Fill, ...]:
        self._ask()
        if self.fills_lag:
            self.fills_lag -= 1
            return ()
        return tuple(self.filled.get(client_order_id, ())) if self._shown(client_order_id) else ()

    def open_orders(self, *, category: Category, symbol: str) -> tuple[OpenOrder, ...]:
        self._ask()
        return tuple(
            OpenOrder(
                category=category,
                symbol=symbol,
                client_order_id=name,
                venue_order_id=f"v-{name}",
                side=order.planned.side,
                qty=order.planned.qty,
                filled_qty=order.filled_qty,
                price=order.planned.price,
                trigger_price=order.planned.trigger_price,
                reduce_only=False,
                is_stop=order.planned.locks,
                type=order.planned.type,
            )
            for name, order in self.orders.items()
            if order.rests
        )

    def position(self, *, category: Category, symbol: str) -> Position:
        self._ask()
        held, at_ms = self.own_coins(()).get(symbol) or OwnCoins(symbol=symbol), self._clock.now_ms
        if held.lacks(self.coins, at_ms=at_ms):
            held = self.own_coins((symbol,)).get(symbol) or OwnCoins(symbol=symbol)
        if held.uncounted:
            raise ExchangeUnreachable("its list of executions lags")
        free = max(self.coins - self.locked(Side.SELL), Decimal(0))
        return held.position(self.coins, free, self.now_at, at_ms=at_ms)

    def positions(self) -> tuple[Position, ...]:
        found = self.position(category=Category.SPOT, symbol="BTCUSDT")
        return (found,) if found.size else ()

    def price(self, *, category: Category, symbol: str) -> Decimal:
        self._ask()
        return self.now_at

    def equity(self, coin: str, category: Category = Category.LINEAR) -> Decimal:
        self._ask()
        return max(self.money - self.locked(Side.BUY), Decimal(0))

    def instrument(self, *, category: Category, symbol: str) -> Instrument | None:
        self._ask()
        return PAIR
