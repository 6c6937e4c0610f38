"""The exchange's trading engine: every action on the account, as a pure change of state.

No clock, no I/O: `now_ms` and prices are passed in; what changed is taken from `state.take_changes()` and written down
by the caller. `listeners` are called with each set of changes after it is durable: the streams hang on here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from relay.paper import matching, spot, stops
from relay.paper.matching import bounded, price_bound, submit
from relay.paper.orders import SPOT, Ask, Exits, Order, OrderType, Refusal, Side, Status, StopKind, TimeInForce
from relay.paper.state import Changes, Instrument, Quote, State, key_of

GONE = Refusal(code=110001, message="order not exists or too late to cancel")
GONE_AMEND = Refusal(code=110001, message="order not exists or too late to replace")
UNCHANGED = Refusal(
    code=10001, message="The order remains unchanged as the parameters entered match the existing ones."
)


class Book:
    """All actions. Each returns what it made, or a Refusal and then has changed nothing."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.listeners: list[Callable[[Changes], None]] = []

    def publish(self, changes: Changes) -> None:
        for listener in self.listeners:
            listener(changes)

    def check(self, ask: Ask) -> Refusal | None:
        """Whether `place` would refuse, without placing."""
        instrument = matching.find_instrument(self.state, ask.category, ask.symbol)
        if isinstance(instrument, Refusal):
            return instrument
        return matching.refuse(self.state, instrument, ask)

    def place(self, ask: Ask, now_ms: int) -> Order | Refusal:
        """A new order. It may be filled, resting, waiting for its trigger or already cancelled when this returns."""
        instrument = matching.find_instrument(self.state, ask.category, ask.symbol)
        if isinstance(instrument, Refusal):
            return instrument
        placed = (spot.place if instrument.is_spot else self._place)(self.state, instrument, ask, now_ms)
        self._settle(instrument.key, now_ms)
        return placed

    def _settle(self, symbol: str, now_ms: int) -> None:
        matching.settle(self.state, symbol, now_ms, self._act(symbol))

    def _act(self, symbol: str) -> matching.Act:
        return spot.act if self.state.instruments[symbol].is_spot else matching.act

    def _place(self, state: State, instrument: Instrument, ask: Ask, now_ms: int) -> Order | Refusal:
        refusal = matching.refuse(state, instrument, ask)
        if refusal:
            return refusal
        order = self._make(ask, instrument, now_ms)
        if order.link_id:
            state.links[order.link_id] = order.id
        if ask.trigger_price is None:
            submit(state, order, now_ms)
        else:
            state.note_order(order, now_ms)
        return order

    def _make(self, ask: Ask, instrument: Instrument, now_ms: int) -> Order:
        state = self.state
        quote = state.quotes[ask.symbol]
        conditional = ask.trigger_price is not None
        market = ask.order_type is OrderType.MARKET
        qty = ask.qty
        if not qty:
            most = instrument.max_market_qty if market else instrument.max_limit_qty
            qty = min(abs(state.position(ask.symbol, ask.position_idx).size), most)
        return Order(
            id=state.new_id(),
            link_id=ask.link_id,
            category=instrument.category,
            symbol=ask.symbol,
            side=ask.side,
            order_type=ask.order_type,
            qty=qty,
            price=self._price(ask, instrument),
            time_in_force=TimeInForce.IOC if market else ask.time_in_force,
            position_idx=ask.position_idx,
            reduce_only=ask.reduce_only or self._only_reduces(ask),
            close_on_trigger=ask.close_on_trigger,
            status=Status.UNTRIGGERED if conditional else Status.NEW,
            create_type="CreateByStopOrder" if conditional else "CreateByUser",
            stop_kind=StopKind.STOP if conditional else StopKind.NONE,
            trigger_price=ask.trigger_price,
            trigger_direction=ask.trigger_direction if conditional else 0,
            trigger_by=ask.trigger_by,
            exits=ask.exits,
            last_price_on_created=quote.last,
            created_ms=now_ms,
            updated_ms=now_ms,
            seq=state.next_seq(),
        )

    def _price(self, ask: Ask, instrument: Instrument) -> Decimal | None:
        """As it is taken now; of a conditional order it is looked at again once that triggers."""
        if ask.trigger_price is not None:
            return ask.price
        if ask.order_type is OrderType.MARKET:
            return price_bound(self.state, instrument, ask.side)
        return None if ask.price is None else bounded(self.state, instrument, ask.side, ask.price)

    def _only_reduces(self, ask: Ask) -> bool:
        opening = {1: Side.BUY, 2: Side.SELL}.get(ask.position_idx)
        return opening is not None and ask.side is not opening

    def open_order(self, category: str, symbol: str, order_id: str, link_id: str) -> Order | None:
        """An order that is still open."""
        wanted = order_id or self.state.links.get(link_id, "")
        return self.state.open_orders.get(key_of(category, symbol), {}).get(wanted)

    def cancel(self, chosen: Callable[[Order], bool], now_ms: int) -> list[Order]:
        """Every open order that `chosen` picks, positions' stops included."""
        gone = [order for orders in self.state.open_orders.values() for order in orders.values() if chosen(order)]
        for order in gone:
            if not order.is_open:
                continue
            if order.category == SPOT:
                spot.cancel(self.state, order, now_ms)
            else:
                stops.cancel(self.state, order, now_ms, cancel_type="CancelByUser")
        return gone

    def amend(
        self,
        order: Order,
        *,
        qty: Decimal | None,
        price: Decimal | None,
        trigger: Decimal | None,
        exits: Exits,
        now_ms: int,
    ) -> Refusal | None:
        """New terms for an open order; None stands for "as it is". It may fill at once."""
        state = self.state
        instrument = state.instruments[order.symbol]
        new_qty = order.qty if qty is None else qty
        new_price = order.price if price is None or order.order_type is OrderType.MARKET else price
        new_trigger = order.trigger_price if trigger is None else trigger
        new_exits = _merged(order.exits, exits)
        if (new_qty, new_price, new_trigger, new_exits) == (order.qty, order.price, order.trigger_price, order.exits):
            return UNCHANGED
        if instrument.is_spot:
            refusal = spot.amend(
                state, order, qty=new_qty, price=new_price, trigger=new_trigger, exits=new_exits, now_ms=now_ms
            )
            self._settle(order.symbol, now_ms)
            return refusal
        refusal = self._refuse_amend(order, instrument, new_qty, new_price, new_trigger, new_exits)
        if refusal:
            return refusal
        if order.is_active and new_price is not None and order.order_type is not OrderType.MARKET:
            new_price = bounded(state, instrument, order.side, new_price)
        order.qty, order.price, order.trigger_price, order.exits = new_qty, new_price, new_trigger, new_exits
        if order.is_active:
            submit(state, order, now_ms)
        else:
            state.note_order(order, now_ms)
        self._settle(order.symbol, now_ms)
        return None

    def _refuse_amend(
        self,
        order: Order,
        instrument: Instrument,
        qty: Decimal,
        price: Decimal | None,
        trigger: Decimal | None,
        exits: Exits,
    ) -> Refusal | None:
        quote = self.state.quotes[order.symbol]
        market = order.order_type is OrderType.MARKET
        if qty <= order.cum_qty:
            return Refusal(
                code=110064,
                message="The modified contract quantity cannot be less than or equal to the filled quantity.",
            )
        refusal = matching.check_qty(instrument, qty, market=market, closes=order.closes)
        if not refusal and price is not None and not market:
            refusal = matching.check_price(instrument, price)
            if not refusal and order.is_active:
                refusal = matching.refuse_price(self.state, instrument, order.side, price)
        if not refusal and trigger is not None and trigger != order.trigger_price:
            current = quote.by(order.trigger_by)
            refusal = matching.check_trigger(instrument, trigger, order.trigger_direction, current)
        if not refusal and exits != order.exits:
            refusal = stops.check_levels(instrument, order.side, exits, price or trigger or quote.last)
        if not refusal and order.is_active and price is not None:
            refusal = matching.amend_balance(self.state, instrument, order, qty=qty, price=price)
        return refusal

    def move(self, symbol: str, quote: Quote, now_ms: int) -> None:
        """A new price; see triggers."""
        matching.move(self.state, symbol, quote, now_ms, self._act(symbol))

    def set_stops(self, instrument: Instrument, idx: int, exits: Exits, now_ms: int) -> Refusal | None:
        """A position's take profit, stop loss and trailing stop; see stops."""
        if idx not in self.state.indices(instrument.symbol):
            return Refusal(code=10001, message="position idx not match position mode")
        refusal = stops.set_stops(self.state, instrument, idx, exits, now_ms)
        self._settle(instrument.symbol, now_ms)
        return refusal

    def set_leverage(self, instrument: Instrument, buy: Decimal, sell: Decimal, now_ms: int) -> Refusal | None:
        """leverage.mdx; cross margin wants both alike. 110043 when nothing changes."""
        if buy != sell:
            return Refusal(code=10001, message="buy leverage must be equal to sell leverage")
        if not 1 <= buy <= instrument.max_leverage:
            return Refusal(code=110013, message="cannot set leverage gt maxLeverage by risk limit")
        held = [self.state.position(instrument.symbol, idx) for idx in self.state.indices(instrument.symbol)]
        if all(position.leverage == buy for position in held):
            return Refusal(code=110043, message="leverage not modified")
        for position in held:
            position.leverage = buy
            self.state.note_position(position, now_ms)
        return None

    def has_position(self, symbol: str) -> bool:
        return any(self.state.position(symbol, idx).size for idx in self.state.indices(symbol))

    def switch_mode(self, instrument: Instrument, *, hedge: bool) -> Refusal | None:
        """position-mode.mdx: 110029, 110024, 110028, 110025, tried in this order."""
        symbol = instrument.symbol
        if hedge and not instrument.can_hedge:
            return Refusal(code=110029, message="Hedge mode is not supported for this symbol.")
        if hedge == (symbol in self.state.hedged):
            return Refusal(code=110025, message="Position mode is not modified")
        if self.has_position(symbol):
            return Refusal(code=110024, message="Position exists, so you cannot change position mode.")
        if self.state.open_orders[symbol]:
            words = "You have existing open orders, so the position mode cannot be switched."
            return Refusal(code=110028, message=words)
        self.force_mode(symbol, hedge=hedge)
        return None

    def force_mode(self, symbol: str, *, hedge: bool) -> None:
        """Sets the mode without asking; the leverage goes along."""
        leverage = self.state.position(symbol, self.state.indices(symbol)[0]).leverage
        (self.state.hedged.add if hedge else self.state.hedged.discard)(symbol)
        self.state.changes.modes[symbol] = hedge
        for idx in self.state.indices(symbol):
            position = self.state.position(symbol, idx)
            position.leverage = leverage
            self.state.note_position(position, position.updated_ms)


def _merged(old: Exits, new: Exits) -> Exits:
    """amend-order.mdx: what is not passed stays, zero takes it away."""
    return replace(
        old,
        take_profit=old.take_profit if new.take_profit is None else new.take_profit or None,
        stop_loss=old.stop_loss if new.stop_loss is None else new.stop_loss or None,
        tp_limit_price=new.tp_limit_price or old.tp_limit_price,
        sl_limit_price=new.sl_limit_price or old.sl_limit_price,
        tp_trigger_by=old.tp_trigger_by if new.take_profit is None else new.tp_trigger_by,
        sl_trigger_by=old.sl_trigger_by if new.stop_loss is None else new.sl_trigger_by,
        partial=new.partial or old.partial,
    )
