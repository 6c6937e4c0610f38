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
        *((code, ErrorKind.RATE) for code in (10006, 10018, 170222)),
        *((code, ErrorKind.CLOCK) for code in (-1, 10002)),
        *((code, ErrorKind.ALREADY_THERE) for code in (10014, 110030, 110072, 170141)),
        *((code, ErrorKind.NOTHING_TO_REDUCE) for code in (110017, 110034)),
        *((code, ErrorKind.GONE) for code in (110001, 110008, 110010, 170139, 170142, 170143, 170190, 170213)),
        *((code, ErrorKind.UNCHANGED) for code in (34040, 110025, 110026, 110027, 110043)),
        *((code, ErrorKind.RULES) for code in (30208, 30209, 30228, 110003, 110023, 110042, 110063, 110074, 110094)),
        *((code, ErrorKind.RULES) for code in (110120, 110121, 170121, 170124, 170136, 170137, 170140, 170151, 170157)),
        *((code, ErrorKind.RULES) for code in (170341, 170381, 170382)),
        *((code, ErrorKind.FINAL) for code in (10001, 999999)),
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
        ("EXCHANGE_KEY", (-2015, 10003, 10004, 10005, 10007, 10010, 10029, 33004)),
        ("EXCHANGE_REGION", (403, 10009, 10024, 110132, 170209, 170348, 170358, 170359)),
        ("EXCHANGE_BALANCE", (110004, 110006, 110007, 110012, 110014, 110044, 110045, 110051, 110052, 110053)),
        ("EXCHANGE_BALANCE", (110101, 170033, 170131)),
        ("NOTIONAL_BELOW_MIN", (110094, 170140)),
        ("QTY_BELOW_MIN", (170136,)),
        ("EXCHANGE_TERMS", (110123, 110125, 170224, 170241)),
        ("EXCHANGE_PRICE", (30208, 30209, 110003, 110120, 110121)),
        ("EXCHANGE_PRICE", (170132, 170133, 170192, 170193, 170194, 170371, 170372)),
        ("EXCHANGE_RESTRICTED", (10008, 10027, 110066, 110069, 110124)),
        ("SYMBOL_NOT_TRADING", (30228, 110023, 110042, 110063, 110074, 110095, 170121, 170151, 170157)),
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
