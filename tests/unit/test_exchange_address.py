"""What a 403 means, and the silence after a ban."""

from __future__ import annotations

import pytest

from relay.bybit.calls import Calls
from relay.bybit.http import ExchangeClock
from relay.bybit.limiter import BAN_S, SPAN_S, SUSPECT, Address, Forbidden, Limiter, Permit, Priority

CLOUDFRONT = """<HTML><HEAD><TITLE>ERROR: The request could not be satisfied</TITLE></HEAD><BODY><H1>403 ERROR</H1>
The Amazon CloudFront distribution is configured to block access from your country.</BODY></HTML>"""


class Hand:
    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def address(hand: Hand) -> Address:
    return Address(monotonic=hand)


def test_a_ban_that_says_so_is_kept_for_ten_minutes(address: Address, hand: Hand) -> None:
    address.note_served()
    assert address.judge("403, access too frequent") is Forbidden.BANNED
    assert address.banned_for_s == BAN_S
    hand.at += BAN_S
    assert address.banned_for_s == 0


def test_a_country_that_is_not_served_is_no_ban(address: Address) -> None:
    address.note_served()
    assert address.judge(CLOUDFRONT) is Forbidden.REGION
    assert address.banned_for_s == 0


def test_without_words_many_requests_make_it_a_ban(address: Address) -> None:
    address.note_served()
    for _ in range(SUSPECT):
        address.note_sent()
    assert address.judge("") is Forbidden.BANNED


def test_many_requests_long_ago_make_none(address: Address, hand: Hand) -> None:
    address.note_served()
    for _ in range(SUSPECT):
        address.note_sent()
    hand.at += SPAN_S + 1
    assert address.judge("") is Forbidden.UNAVAILABLE
    assert address.banned_for_s == 0


def test_without_words_an_address_that_was_never_served_is_in_the_wrong_region(address: Address) -> None:
    address.note_sent()
    assert address.judge("") is Forbidden.REGION


def test_while_the_address_is_banned_no_request_would_leave_at_once(address: Address, hand: Hand) -> None:
    clock = ExchangeClock()
    calls = Calls(clock=clock, limiter=Limiter(clock), address=address, measure=lambda: None)

    def leaves() -> bool:
        return isinstance(calls.permit("/v5/order/create", {}, Priority.ENTRY, 0.0), Permit)

    assert leaves()
    address.note_served()
    address.judge("403, access too frequent")
    assert not leaves()
    hand.at += BAN_S
    assert leaves()
