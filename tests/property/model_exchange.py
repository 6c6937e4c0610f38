"""A model of the exchange in memory, on a clock that only moves when told: it knows each client order id once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from relay.bybit.wire_account import ClosedPnl
from relay.bybit.wire_orders import OpenOrder
from relay.domain.instrument import Category, Instrument, floor_to, is_on_grid
from relay.domain.order import (
    Accepted,
    ErrorKind,
    NotSent,
    OrderRejected,
    OrderStatus,
    Outcome,
    PlannedOrder,
    Purpose,
    RequestSignature,
    Unknown,
)
from relay.domain.position import Fill, OrderReport, Position, StopLevels
from relay.errors import ExchangeUnreachable

WINDOW_MS = 1000
CALL_MS = 3
PRICE = Decimal(50_000)
STEP = Decimal("0.001")
BEGIN = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


@dataclass
class Clock:
    """The exchange's, and the relay's, which may be set wrong. `on_passed` is told when time has passed."""

    now_ms: int = int(BEGIN.timestamp() * 1000)
    on_passed: list[Callable[[], None]] = field(default_factory=list)
    wrong_by_ms: int = 0
    """How far the relay's is ahead."""

    def now(self) -> datetime:
        """The relay's."""
        return self.true() + timedelta(milliseconds=self.wrong_by_ms)

    def true(self) -> datetime:
        return BEGIN + timedelta(milliseconds=self.now_ms - int(BEGIN.timestamp() * 1000))

    def pass_ms(self, milliseconds: int) -> None:
        self.now_ms += milliseconds
        for reported in self.on_passed:
            reported()


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request. `delay_ms`: when a delayed one arrives; `wait_ms`: how long the relay waits."""

    kind: str
    delay_ms: int = 0
    wait_ms: int = 0


@dataclass
class Order:
    """One that the exchange took."""

    client_order_id: str
    planned: PlannedOrder
    taken_at_ms: int
    status: OrderStatus = OrderStatus.ACCEPTED
    filled_qty: Decimal = Decimal(0)

    @property
    def rests(self) -> bool:
        return not self.status.is_ended


@dataclass(frozen=True)
class Send:
    """One request as it left."""

    client_order_id: str
    planned: PlannedOrder
    at_ms: int
    is_halted: bool = False
    """Entries had been halted when it left."""


def _nothing_to_reduce(words: str) -> OrderRejected:
    return OrderRejected(code=110017, words=words, refusal=ErrorKind.NOTHING_TO_REDUCE)


class ModelExchange:
    """An `ExchangePort`. `faults`: of the next orders and cancels, one each. `silent_asks`: so many get no answer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        clock.on_passed.append(self._deliver)
        self._on_the_way: list[tuple[int, Callable[[], Outcome]]] = []
        self.faults: list[Fault] = []
        self.silent_asks = 0
        self.silent_lookups = False
        """No question by an order's id is answered."""
        self.lag_ms = 0
        """So long an order is not found by its id, nor its executions, after it was taken."""
        self.away_until_ms = 0
        """Till then nothing reaches it, and nobody gets an answer."""
        self.is_halted = False
        self.on_ask: list[Callable[[], None]] = []
        """Done at the next questions, one each: what happens while the relay reads."""
        self.orders: dict[str, Order] = {}
        self.sends: list[Send] = []
        self.sizes: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.changed_at_ms: dict[str, int] = {}
        self.stopped_at: dict[str, int] = {}
        self.instruments: dict[str, Instrument] = {}
        """The rules that hold; of a symbol that is not there the exchange says nothing."""
        self.hidden: set[str] = set()
        """Orders that no question by their id shows, whether they are there or not."""

    is_clock_measured = True

    @property
    def is_away(self) -> bool:
        return self._clock.now_ms < self.away_until_ms

    def now_ms(self) -> int:
        return self._clock.now_ms

    def signature(self) -> RequestSignature:
        return RequestSignature(timestamp_ms=self._clock.now_ms, recv_window_ms=WINDOW_MS)

    def measure_clock(self) -> int:
        self._ask()
        return 0

    def place(
        self, order: PlannedOrder, *, client_order_id: str, signature: RequestSignature, is_exit: bool
    ) -> Outcome:
        assert order.reduce_only or order.purpose is not Purpose.EXIT, f"an exit that may open: {order}"
        self.sends.append(Send(client_order_id, order, self._clock.now_ms, self.is_halted))
        fault = self._fault()
        if fault.kind == "refused" and client_order_id not in self.orders:
            return OrderRejected(code=110007, words="not enough balance", reason_code="EXCHANGE_BALANCE")
        if (
            fault.kind == "truncated"
            and order.reduce_only
            and not order.closes_all
            and client_order_id not in self.orders
        ):
            return _nothing_to_reduce("orderQty will be truncated to zero")
        share = Decimal("0.5") if fault.kind == "partly" else Decimal(1)
        return self._request(fault, signature, lambda: self._take(client_order_id, order, share))

    def cancel(
        self,
        *,
        category: Category,
        symbol: str,
        client_order_id: str,
        is_exit: bool = False,
        order: PlannedOrder | None = None,
    ) -> Outcome:
        return self._request(self._fault(), self.signature(), lambda: self._cancel(client_order_id))

    def set_leverage(self, *, category: Category, symbol: str, leverage: Decimal) -> Outcome:
        return self._request(self._fault(), self.signature(), lambda: Accepted(venue_order_id=""))

    def set_stops(self, *, category: Category, symbol: str, levels: StopLevels) -> Outcome:
        return self._request(self._fault(), self.signature(), lambda: Accepted(venue_order_id=""))

    def amend(self, order: PlannedOrder, *, client_order_id: str, qty: Decimal, price: Decimal) -> Outcome:
        raise AssertionError("nothing of the model's is amended")

    def look_up(self, *, category: Category, symbol: str, client_order_id: str) -> OrderReport | None:
        self._ask()
        if self.silent_lookups:
            raise ExchangeUnreachable("no answer")
        order = self._shown(client_order_id)
        if order is None:
            return None
        return OrderReport(
            client_order_id=client_order_id,
            venue_order_id=f"v-{client_order_id}",
            status=order.status,
            filled_qty=order.filled_qty,
            avg_price=PRICE if order.filled_qty else None,
            fee=Decimal(0),
            rests=order.rests,
        )

    def fills(self, *, category: Category, symbol: str, client_order_id: str) -> tuple[Fill, ...]:
        self._ask()
        if self.silent_lookups:
            raise ExchangeUnreachable("no answer")
        order = self._shown(client_order_id)
        if order is None or not order.filled_qty:
            return ()
        fill = Fill(
            exec_id=f"e-{client_order_id}",
            client_order_id=client_order_id,
            qty=order.filled_qty,
            price=PRICE,
            fee=Decimal(0),
            fee_coin="USDT",
            is_maker=False,
            at_ms=self._clock.now_ms,
        )
        return (fill,) if order.filled_qty else ()

    def open_orders(self, *, category: Category, symbol: str) -> tuple[OpenOrder, ...]:
        self._ask()
        return ()

    def closed_pnl(self, *, since_ms: int) -> tuple[ClosedPnl, ...]:
        raise NotImplementedError

    def stopped_at_ms(self, *, category: Category, symbol: str, since_ms: int) -> int | None:
        self._ask()
        at_ms = self.stopped_at.get(symbol)
        return at_ms if at_ms is not None and at_ms >= since_ms else None

    def position(self, *, category: Category, symbol: str) -> Position:
        self._ask()
        return Position(
            category=category,
            symbol=symbol,
            size=self.sizes[symbol],
            avg_price=PRICE,
            changed_at_ms=self.changed_at_ms.get(symbol),
        )

    def positions(self) -> tuple[Position, ...]:
        self._ask()
        open_ones = {symbol: size for symbol, size in self.sizes.items() if size}
        return tuple(Position(category=Category.LINEAR, symbol=name, size=size) for name, size in open_ones.items())

    def price(self, *, category: Category, symbol: str) -> Decimal:
        self._ask()
        return PRICE

    def instrument(self, *, category: Category, symbol: str) -> Instrument | None:
        self._ask()
        return self.instruments.get(symbol)

    def equity(self, coin: str, category: Category = Category.LINEAR) -> Decimal:
        self._ask()
        return Decimal(1_000_000)

    def fill(self, client_order_id: str) -> None:
        """A resting order is filled by the market."""
        self._execute(self.orders[client_order_id], Decimal(1))

    def _shown(self, client_order_id: str) -> Order | None:
        order = self.orders.get(client_order_id)
        if order is None or client_order_id in self.hidden or self._clock.now_ms - order.taken_at_ms < self.lag_ms:
            return None
        return order

    def _ask(self) -> None:
        self._clock.pass_ms(CALL_MS)
        if self.on_ask:
            self.on_ask.pop(0)()
        if self.is_away:
            raise ExchangeUnreachable("no connection")
        if self.silent_asks:
            self.silent_asks -= 1
            raise ExchangeUnreachable("no answer")

    def deliver(self, symbol: str) -> None:
        """A contract that is being delisted is settled: nothing rests or is open any more."""
        self.instruments[symbol] = replace(self.instruments[symbol], is_trading=False, status="Closed")
        for order in self.orders.values():
            if order.rests and order.planned.symbol == symbol:
                order.status = OrderStatus.CANCELED
        if self.sizes[symbol]:
            self.sizes[symbol], self.changed_at_ms[symbol] = Decimal(0), self._clock.now_ms

    def _fault(self) -> Fault:
        self._clock.pass_ms(CALL_MS)
        if self.is_away:
            return Fault("connection_refused")
        return self.faults.pop(0) if self.faults else Fault("none")

    def _request(self, fault: Fault, signature: RequestSignature, effect: Callable[[], Outcome]) -> Outcome:
        def arrive() -> Outcome:
            if self._clock.now_ms - WINDOW_MS > signature.timestamp_ms:
                return OrderRejected(code=10002, words="timestamp outside the window", refusal=ErrorKind.CLOCK)
            return effect()

        match fault.kind:
            case "connection_refused":
                return NotSent(why="connection refused")
            case "rate":
                at_ms = self._clock.now_ms + 700
                return OrderRejected(code=10006, words="too many visits", refusal=ErrorKind.RATE, retry_at_ms=at_ms)
            case "clock":
                return OrderRejected(code=10002, words="timestamp", refusal=ErrorKind.CLOCK)
            case "reply_lost":
                arrive()
            case "delayed":
                self._on_the_way.append((self._clock.now_ms + fault.delay_ms, arrive))
            case "request_lost":
                pass
            case _:
                return arrive()
        self._clock.pass_ms(fault.wait_ms)
        return Unknown(why=fault.kind)

    def _deliver(self) -> None:
        due = [each for each in self._on_the_way if each[0] <= self._clock.now_ms]
        self._on_the_way = [each for each in self._on_the_way if each[0] > self._clock.now_ms]
        for _, arrive in due:
            arrive()

    def _take(self, client_order_id: str, planned: PlannedOrder, share: Decimal) -> Outcome:
        if client_order_id in self.orders:
            return OrderRejected(code=110072, words="duplicate", refusal=ErrorKind.ALREADY_THERE)
        if (closed := self._closed_for(planned)) is not None:
            return closed
        if (broken := self._broken_rule(planned)) is not None:
            return OrderRejected(code=10001, words=broken, refusal=ErrorKind.RULES)
        p = self.sizes[planned.symbol]
        if planned.reduce_only and p * planned.side.sign >= 0:
            none_open = "current position is zero, cannot fix reduce-only order qty"
            return _nothing_to_reduce("Reduce-only rule not satisfied" if p else none_open)
        order = self.orders[client_order_id] = Order(client_order_id, planned, self._clock.now_ms)
        if not planned.rests:
            self._execute(order, share)
        return Accepted(venue_order_id=f"v-{client_order_id}")

    def _closed_for(self, planned: PlannedOrder) -> OrderRejected | None:
        rules = self.instruments.get(planned.symbol)
        if rules is None or rules.is_trading or (rules.status == "Delivering" and planned.reduce_only):
            return None
        is_over = rules.status != "Delivering"
        return OrderRejected(
            code=110074 if is_over else 30228,
            words="This contract is not live" if is_over else "No new positions during delisting",
            refusal=ErrorKind.RULES,
            reason_code="SYMBOL_NOT_TRADING",
        )

    def _broken_rule(self, planned: PlannedOrder) -> str | None:
        rules = self.instruments.get(planned.symbol)
        if rules is None or planned.closes_all:
            return None
        if not is_on_grid(planned.qty, rules.qty_step):
            return "Qty invalid"
        if planned.qty < rules.qty_min:
            return "The number of contracts exceeds minimum limit allowed"
        if planned.qty > rules.largest_order(has_limit=planned.type.has_limit):
            return "The number of contracts exceeds maximum limit allowed"
        return None

    def _execute(self, order: Order, share: Decimal) -> None:
        planned, p = order.planned, self.sizes[order.planned.symbol]
        wanted = planned.qty
        if planned.closes_all:
            rules = self.instruments.get(planned.symbol)
            wanted = min(abs(p), rules.qty_max_market) if rules else abs(p)
        if planned.reduce_only:
            wanted = min(wanted, max(Decimal(0), -p * planned.side.sign))
        order.filled_qty = floor_to(wanted * share, STEP)
        order.status = OrderStatus.FILLED if share == 1 else OrderStatus.CANCELED
        self.sizes[planned.symbol] = p + order.filled_qty * planned.side.sign
        self.changed_at_ms[planned.symbol] = self._clock.now_ms
        if planned.purpose is Purpose.EXIT:
            assert abs(self.sizes[planned.symbol]) <= abs(p), f"an exit opened or added: {order}"

    def _cancel(self, client_order_id: str) -> Outcome:
        order = self.orders.get(client_order_id)
        if order is None or not order.rests:
            return OrderRejected(code=110001, words="order not exists", refusal=ErrorKind.GONE)
        order.status = OrderStatus.CANCELED
        return Accepted(venue_order_id=f"v-{client_order_id}")
