"""What a process takes and gives back, from who owns what."""

from __future__ import annotations

from relay.domain.placement import OwnerSnapshot, PlacementDecision, Wishes, decide_placement

TEN = tuple(f"account {number}" for number in range(10))
ME, YOU, THIRD = "me", "you", "third"


def snapshot(*, mine: tuple[str, ...] = (), yours: tuple[str, ...] = (), **refusals: tuple[str, ...]) -> OwnerSnapshot:
    return OwnerSnapshot(
        name=ME,
        refusals={name: frozenset(refused) for name, refused in refusals.items()},
        owners=dict.fromkeys(mine, ME) | dict.fromkeys(yours, YOU),
    )


def decided(seen: OwnerSnapshot, *, room: int = 50, **wishes: tuple[str, ...]) -> PlacementDecision:
    known = frozenset(TEN)
    given = {name: frozenset(each) for name, each in wishes.items()}
    return decide_placement(seen, Wishes(accounts=known, room=room, **given))


def test_who_is_the_only_one_takes_everything() -> None:
    decision = decided(snapshot())
    assert (set(decision.take), decision.at_most) == (set(TEN), 10)


def test_of_several_each_takes_its_share_rounded_up() -> None:
    assert decided(snapshot(you=(), third=())).at_most == 4
    assert decided(snapshot(mine=TEN[:3], you=(), third=())).at_most == 1
    assert decided(snapshot(mine=TEN[:4], you=(), third=())).at_most == 0


def test_nobody_takes_more_than_it_has_room_for_until_an_account_was_alone_for_long() -> None:
    assert decided(snapshot(mine=TEN[:2]), room=3).at_most == 1
    assert decided(snapshot(mine=TEN[:3]), room=3).at_most == 0
    decision = decided(snapshot(mine=TEN[:3]), room=3, alone=TEN[3:6])
    assert (decision.take, decision.at_most) == (TEN[3:6], 3)


def test_what_was_alone_for_long_is_taken_first() -> None:
    decision = decided(snapshot(mine=TEN[:2]), room=4, alone=TEN[7:8])
    assert decision.take == (TEN[7], *TEN[2:7], *TEN[8:])
    assert decision.at_most == 2


def test_what_was_alone_is_shared_while_others_have_room_for_it_and_else_taken_whole() -> None:
    alone = TEN[4:]
    assert decided(snapshot(mine=TEN[:2], yours=TEN[2:4], you=()), room=2, alone=alone).at_most == 3
    assert decided(snapshot(mine=TEN[:5], yours=(), you=()), room=2, alone=TEN[5:]).at_most == 5


def test_what_is_over_the_share_is_given_to_a_newcomer() -> None:
    decision = decided(snapshot(mine=TEN, you=()))
    assert len(decision.give_back) == 5
    assert decision.at_most == 0
    assert decided(snapshot(mine=TEN, you=()), leaving=TEN[:5]).give_back == ()


def test_where_one_still_misses_some_of_an_even_share_only_as_many_give_as_it_takes() -> None:
    """Ten over four: three with three leave one, and it should be two."""
    threes = dict.fromkeys(TEN[:3], ME) | dict.fromkeys(TEN[3:6], YOU) | dict.fromkeys(TEN[6:9], THIRD)
    refusals = dict.fromkeys((YOU, THIRD, "fourth"), frozenset[str]())
    seen = OwnerSnapshot(name=ME, refusals=refusals, owners={**threes, TEN[9]: "fourth"})
    wishes = Wishes(accounts=frozenset(TEN), room=50)
    assert len(decide_placement(seen, wishes).give_back) == 1
    yours = OwnerSnapshot(name=YOU, refusals=dict.fromkeys((ME, THIRD, "fourth"), frozenset()), owners=seen.owners)
    assert decide_placement(yours, wishes).give_back == ()


def test_for_one_that_refuses_what_it_misses_nobody_gives_to_a_third() -> None:
    """Who has its even share would only give it on."""
    counts = {ME: 3, YOU: 2, "zeta": 4}
    names = [name for name, count in counts.items() for _ in range(count)]
    refusals = {YOU: frozenset[str](), "zeta": frozenset[str](), THIRD: frozenset(TEN[:9])}
    seen = OwnerSnapshot(name=ME, refusals=refusals, owners=dict(zip(TEN, [*names, THIRD], strict=True)))
    assert decide_placement(seen, Wishes(accounts=frozenset(TEN), room=50)).give_back == ()


def test_nothing_is_given_back_that_nobody_would_take() -> None:
    assert decided(snapshot(mine=TEN, you=TEN)).give_back == ()
    assert set(decided(snapshot(mine=TEN, you=TEN[:7])).give_back) == set(TEN[7:])
    assert decided(snapshot(mine=TEN, you=()), room=0).give_back == ()


def test_a_process_that_refuses_everything_has_no_share() -> None:
    assert decided(snapshot(you=TEN)).at_most == 10


def test_what_it_cannot_serve_it_gives_back_and_does_not_take_while_another_would() -> None:
    seen = snapshot(mine=TEN[:5], yours=TEN[6:], you=())
    decision = decided(seen, refused=(TEN[0], TEN[5]))
    assert decision.give_back == (TEN[0],)
    assert TEN[5] not in decision.take


def test_what_nobody_else_would_serve_it_goes_on_with() -> None:
    seen = snapshot(mine=TEN[:5], yours=TEN[6:], you=(TEN[0], TEN[5]))
    decision = decided(seen, refused=(TEN[0], TEN[5]))
    assert decision.give_back == ()
    assert decision.take == (TEN[5],)


def test_what_all_others_refuse_is_not_waited_for_by_who_has_its_share() -> None:
    seen = snapshot(mine=TEN[:5], yours=TEN[7:], you=TEN[6:7])
    decision = decided(seen)
    assert (decision.take, decision.at_most) == ((TEN[6],), 1)


def test_where_everything_is_even_nothing_moves() -> None:
    seen = snapshot(mine=TEN[:4], yours=TEN[4:7], you=(), third=())
    decision = decided(
        OwnerSnapshot(name=ME, refusals=seen.refusals, owners={**seen.owners, **dict.fromkeys(TEN[7:], THIRD)})
    )
    assert (decision.at_most, decision.give_back) == (0, ())
