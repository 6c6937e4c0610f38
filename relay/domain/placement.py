"""Which accounts a process takes and gives back, from who owns what: an even share each, and no account left alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerSnapshot:
    """Who owned what at one moment, as one process saw it."""

    name: str
    """Of the process that looked, which is alive."""
    refusals: Mapping[str, frozenset[str]]
    """Of each other living process: the accounts that it would not take."""
    owners: Mapping[str, str]
    """By account; one that no living process owns is not in it."""
    expires_in_s: float | None = None
    """How long until the next of the other processes counts as dead, unless it renews its row; None if there is no
    other."""

    def is_free(self, account: str) -> bool:
        return account not in self.owners

    def is_wanted_by_another(self, account: str) -> bool:
        """Whether another living process would take it."""
        return any(account not in refused for refused in self.refusals.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What one process would do, if it were for that process alone."""

    accounts: frozenset[str]
    """That it knows."""
    room: int
    """How many it wishes to own at most."""
    leaving: frozenset[str] = frozenset()
    """That it gives back already."""
    refused: frozenset[str] = frozenset()
    """That it cannot serve well, and leaves to others for a while."""
    alone: frozenset[str] = frozenset()
    """That have had no owner for so long that room does not count any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementDecision:
    """`take`: of these at most `at_most`, the first ones first. `give_back`: as soon as their steps have ended."""

    take: tuple[str, ...]
    at_most: int
    give_back: tuple[str, ...]


def decide_placement(seen: OwnerSnapshot, wishes: Wishes) -> PlacementDecision:
    """An even share of the accounts for each living process.

    Only what another would take is given back: else it would come and go, and be served by nobody meanwhile.
    """
    others = {
        name: len(_owned(seen, wishes, name))
        for name, refused in seen.refusals.items()
        if not wishes.accounts <= refused
    }
    share = -(-len(wishes.accounts) // (1 + len(others)))
    take, at_most = _taken(seen, wishes, share)
    return PlacementDecision(take=take, at_most=at_most, give_back=_given_back(seen, wishes, share, others))


def _taken(seen: OwnerSnapshot, wishes: Wishes, share: int) -> tuple[tuple[str, ...], int]:
    """What has been alone for long, or what all others refuse, is taken first: over the room, and over the share by
    whoever has that already."""
    mine = len(_owned(seen, wishes, seen.name))
    left_to_others = {each for each in wishes.refused if seen.is_wanted_by_another(each)}
    free = sorted(each for each in wishes.accounts - left_to_others if seen.is_free(each))
    alone = [each for each in free if each in wishes.alone or (seen.refusals and not seen.is_wanted_by_another(each))]
    space = max(0, min(share, wishes.room) - mine)
    if space > len(alone):
        return (*alone, *(each for each in free if each not in alone)), space
    return tuple(alone), min(len(alone), share - mine) if mine < share else len(alone)


def _given_back(seen: OwnerSnapshot, wishes: Wishes, share: int, others: Mapping[str, int]) -> tuple[str, ...]:
    """`others`: how many accounts each of them has."""
    staying = [each for each in _owned(seen, wishes, seen.name) if each not in wishes.leaving]
    unserved = [each for each in staying if each in wishes.refused and seen.is_wanted_by_another(each)]
    stored = [each for each in staying if each not in unserved]
    over, enough = len(stored) - share, share
    if over <= 0:
        enough = len(wishes.accounts) // (1 + len(others))
        over = int(_is_to_give_one_more(seen, wishes, {**others, seen.name: len(stored)}, enough))
    hungry = [seen.refusals[name] for name, count in others.items() if count < min(enough, wishes.room)]
    wanted = [each for each in stored if any(each not in refused for refused in hungry)]
    return (*unserved, *wanted[:over])


def _is_to_give_one_more(seen: OwnerSnapshot, wishes: Wishes, counts: Mapping[str, int], least: int) -> bool:
    """Where nobody has more than its share and somebody still misses more than one: who gives is the same to all."""
    missing = sum(max(0, min(least, wishes.room) - count) for count in counts.values())
    missing -= sum(seen.is_free(each) for each in wishes.accounts)
    return seen.name in sorted(name for name, count in counts.items() if count > least)[: max(0, missing)]


def _owned(seen: OwnerSnapshot, wishes: Wishes, process: str) -> list[str]:
    return sorted(each for each in wishes.accounts if seen.owners.get(each) == process)
