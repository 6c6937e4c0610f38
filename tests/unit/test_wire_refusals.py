"""What Bybit's codes mean."""

from __future__ import annotations

import pytest

from relay.bybit.wire_orders import is_uncertain, refusal_of
from relay.domain.order import ErrorKind


@pytest.mark.parametrize(
    "code",
    [
        *(429, 10000, 10016, 10019, 10429, 110079),
        *(170001, 170007, 170032, 170035, 170146, 170147, 170149, 170234, 3400214),
    ],
)
def test_a_code_by_which_the_exchange_could_not_tell_is_uncertain(code: int) -> None:
    assert is_uncertain(code)
    with pytest.raises(AssertionError):
        refusal_of(code, "")


@pytest.mark.parametrize(
    ("code", "refusal"),
    [
        (10006, ErrorKind.RATE),
        (10002, ErrorKind.CLOCK),
        (-1, ErrorKind.CLOCK),
        (110072, ErrorKind.ALREADY_THERE),
        (10014, ErrorKind.ALREADY_THERE),
        (110017, ErrorKind.NOTHING_TO_REDUCE),
        (110001, ErrorKind.GONE),
        (110008, ErrorKind.GONE),
        (110010, ErrorKind.GONE),
        (110043, ErrorKind.UNCHANGED),
        (110025, ErrorKind.UNCHANGED),
        (34040, ErrorKind.UNCHANGED),
        (110003, ErrorKind.RULES),
        (110094, ErrorKind.RULES),
        (110120, ErrorKind.RULES),
        (110121, ErrorKind.RULES),
        (110074, ErrorKind.RULES),
        (10001, ErrorKind.FINAL),
        (999999, ErrorKind.FINAL),
    ],
)
def test_a_certain_refusal_is_reported_by_its_code(code: int, refusal: ErrorKind) -> None:
    assert not is_uncertain(code)
    assert refusal_of(code, "whatever").refusal is refusal


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        ("Qty invalid", ErrorKind.RULES),
        ("The number of contracts exceeds maximum limit allowed: too large, order_qty:5 > max_qty:4", ErrorKind.RULES),
        ("params error: symbol invalid BTCUSDT", ErrorKind.RULES),
        ("Price invalid", ErrorKind.RULES),
        ("position idx not match position mode", ErrorKind.FINAL),
        ("TriggerDirection invalid", ErrorKind.FINAL),
    ],
)
def test_a_bad_parameter_is_told_by_the_words_alone(words: str, refusal: ErrorKind) -> None:
    assert refusal_of(10001, words).refusal is refusal


@pytest.mark.parametrize(
    ("reason", "codes"),
    [
        ("EXCHANGE_KEY", (10003, 10004, 10005, 10010, 33004)),
        ("EXCHANGE_REGION", (403, 10009, 10024)),
        ("EXCHANGE_BALANCE", (110004, 110007, 110012, 110044, 110045, 170131)),
        ("NOTIONAL_BELOW_MIN", (110094, 170140)),
        ("QTY_BELOW_MIN", (170136,)),
        ("EXCHANGE_TERMS", (110123, 110125)),
        ("EXCHANGE_PRICE", (110003, 110120, 110121, 30208, 30209, 170193, 170372)),
        ("EXCHANGE_RESTRICTED", (110066, 110124, 10027)),
        ("SYMBOL_NOT_TRADING", (30228, 110023, 110042, 110063, 110074, 170151)),
        ("EXCHANGE_REFUSED", (10001, 110072)),
    ],
)
def test_people_get_a_reason_that_names_what_to_mend(reason: str, codes: tuple[int, ...]) -> None:
    assert {refusal_of(code, "").reason_code for code in codes} == {reason}


def test_hedge_mode_is_the_one_refusal_reported_by_its_words() -> None:
    assert refusal_of(10001, "position idx not match position mode").reason_code == "POSITION_MODE_HEDGE"
    assert refusal_of(110020, "position idx not match position mode").reason_code == "EXCHANGE_REFUSED"


def test_bybits_own_code_and_words_are_stored() -> None:
    refused = refusal_of(110007, "ab not enough for new order", retry_at_ms=7)
    assert (refused.code, refused.words, refused.retry_at_ms) == (110007, "ab not enough for new order", 7)
