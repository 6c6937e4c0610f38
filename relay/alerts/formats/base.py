"""What every other service's format is to the intake: a shape, a secret, and a translation into the native fields."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Context, Decimal
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import Any, TypeVar

from relay.alerts.fields import DECIDING, KNOWN, NO, YES
from relay.alerts.names import decides_exit, meaning_of, speaks_of_levels, unknown_note, unknown_problem
from relay.alerts.parse import lowered as _lowered
from relay.alerts.parse import number_text, read_number
from relay.alerts.rules import Draft, closes_whole, draft_of, needed_by_exit, says_to_wait
from relay.alerts.wording import EMPTY_HINT, SHOWN_LENGTH_MAX, Kind, joined, mistyped, placeholder_in, shown
from relay.alerts.wording import message as native_message
from relay.domain.signal import NATIVE_ACTIONS, NATIVE_UNITS, Action, QtyUnit
from relay.errors import AlertInvalid

# What a service's fields mean: a row of its table each.


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a service. `native`: what it is here; without one it is shown only, or a part of something else."""

    native: str = ""
    words: Mapping[str, str] = field(default_factory=dict)
    """The service's words for a value, in lower case, to the native ones; an empty one says nothing."""
    percent: int = 0
    """The value is a percentage; 1 where the service writes it so, 100 where it writes a ratio."""
    is_own: bool = False
    """The format's own reading makes `native` of it."""
    refused: str = ""
    """Why it cannot be done here."""
    is_harmless_off: bool = False
    """False, zero and nothing ask for nothing, so only what says more is refused."""
    chooses: bool = False
    """It chooses what is traded, or whether: what is wrong with it refuses an exit, too."""


def to(native: str, words: Mapping[str, str] | None = None) -> Field:
    """Handed on as it is, or as what its word means; the native rules judge it under the sender's name."""
    return Field(native, words or {})


def own(native: str = "", *, chooses: bool = False) -> Field:
    """Read by the format's own function."""
    return Field(native, is_own=True, chooses=chooses)


def percent(native: str, *, times: int = 1) -> Field:
    return Field(native, percent=times)


def no(why: str, *, unless_off: bool = False, chooses: bool = False) -> Field:
    return Field(refused=why, is_harmless_off=unless_off, chooses=chooses)


INFO = Field()
"""Shown, without effect."""
NOT_REAL = no(
    "says that this is not for real, and here every alert is; take it out to trade", unless_off=True, chooses=True
)


def rows(meaning: Field, names: str) -> dict[str, Field]:
    """Several fields of one meaning."""
    return dict.fromkeys(names.split(), meaning)


# A foreign alert while it is translated: what it says, what is wrong with it, and what it means in native fields.


_T = TypeVar("_T")
_PART = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_INDEX = re.compile(r"\[\d+\]")
_UNKNOWN_NAMED_MAX = 20
_MISSPELT = 0.8
"""How like a name must be to one of the service's, to be a misspelt one and no other: `quantitee`."""
_EXACT = Context(prec=100)
_WORDS = {"action": frozenset(map(str, NATIVE_ACTIONS)), "qty_unit": frozenset(map(str, NATIVE_UNITS))}


class Message:
    """Paths are spelled as the service spells them, such as `takeProfit.percent` or `take_profit.steps[0].price`.

    A field that is null is absent. One that is empty, or holds a placeholder, is refused where it is read as a word or
    a number, and left to the native rules where it is only handed on.
    """

    def __init__(self, fields: Mapping[str, object], alert_format: AlertFormat) -> None:
        """`fields`: kept ones: numbers as text, names in lower case."""
        self.native: dict[str, object] = {}
        self.internal: dict[str, Any] = {}
        """Fields of the Signal that an alert of the relay's own language cannot set."""
        self.names: dict[str, str] = {}
        self.notes: list[str] = []
        self._fields = fields
        self._service = alert_format.service
        self._paths = _paths_of(alert_format)
        self._problems: dict[str, list[str]] = {}
        self._unknown: list[str] = []

    def raw(self, path: str) -> object:
        """What stands there; None where nothing does."""
        found: object = self._fields
        for step in _steps(path):
            if isinstance(step, str):
                found = found.get(step) if isinstance(found, dict) else None
            else:
                found = found[step] if isinstance(found, list) and step < len(found) else None
        return found

    def has(self, path: str) -> bool:
        """Whether something is there, be it only an empty text."""
        return self.raw(path) is not None

    def is_blank(self, path: str) -> bool:
        """Whether what is there is an empty text."""
        value = self.raw(path)
        return isinstance(value, str) and not value.strip()

    def word(self, path: str, right: str = "text") -> str | None:
        """A text in lower case, without spaces around it."""
        value = self.raw(path)
        if value is None:
            return None
        if not isinstance(value, str):
            self.refuse(path, f"must be {right}, not {shown(value)}")
        elif not value.strip():
            self.refuse(path, f"is empty ({EMPTY_HINT})")
        elif problem := placeholder_in(value):
            self.refuse(path, problem)
        else:
            return value.strip().lower()
        return None

    def choice(self, path: str, meanings: Mapping[str, _T]) -> _T | None:
        """What the word means; None where there is none, or one that the service does not know."""
        word = self.word(path)
        if word is not None and word not in meanings:
            likely = mistyped(word, meanings)
            hint = f"; the nearest is `{likely}`" if likely else ""
            self.refuse(path, f"cannot be {shown(word)}{hint}; it must be one of {joined(meanings)}")
        return None if word is None else meanings.get(word)

    def number(self, path: str, *, at_least: int | None = None) -> Decimal | None:
        """A number above zero, or not below `at_least`."""
        word = self.word(path, "a number")
        if word is None:
            return None
        try:
            value = read_number(word)
        except ValueError as error:
            self.refuse(path, str(error))
            return None
        is_low = value <= 0 if at_least is None else value < at_least
        if is_low:
            right = "above 0" if at_least is None else f"{at_least} or more"
            self.refuse(path, f"must be {right}, not {shown(value)}")
        return None if is_low else value

    def flag(self, path: str) -> bool | None:
        """True or false, also as text."""
        value = self.raw(path)
        if isinstance(value, bool):
            return value
        word = self.word(path, "true or false")
        if word is not None and word not in YES | NO:
            self.refuse(path, f"must be true or false, not {shown(word)}")
            return None
        return None if word is None else word in YES

    def percent(self, path: str, *, times: int = 1) -> str | None:
        """A number above zero as a percentage, such as `1.5%`; `times` 100 where the service writes a ratio."""
        value = self.number(path)
        return None if value is None else f"{product(value, times)}%"

    def size_of(self, path: str) -> int:
        """How many members the list has; 0 where there is none."""
        value = self.raw(path)
        return len(value) if isinstance(value, list) else 0

    def only(self, *paths: str) -> str | None:
        """The one of `paths` that is there; more than one is refused."""
        there = [path for path in paths if self.has(path)]
        for path in there[1:]:
            self.refuse(path, f"and `{there[0]}` say the same in two ways; send one of them")
        return there[0] if there else None

    def need(self, path: str, right: str) -> None:
        """Says that `path` is missing, unless it is there."""
        if not self.has(path):
            self.refuse(path, f"is missing: {right}")

    def refuse(self, path: str, problem: str) -> None:
        """Nothing is ordered of a message of which anything is refused."""
        self._problems.setdefault(path, []).append(problem)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def venue(self) -> str:
        """The exchange's name in lower case; where it cannot be read it decides nothing, and a note says so."""
        value = self.raw("exchange")
        if isinstance(value, str) and value.strip() and placeholder_in(value) is None:
            return value.strip().lower()
        if value is not None:
            self.note(f"`exchange` ignored: {shown(value)} is no name of an exchange")
        return ""

    def copy(self, path: str, native: str) -> None:
        """Hands the value on as it is: the native rules judge it, under the sender's name."""
        if (value := self.raw(path)) is not None:
            self.give(native, value, path)

    def give(self, native: str, value: object, path: str) -> None:
        """The native field that `path` means. What this version has no field, action or unit for is refused."""
        words = _WORDS.get(native)
        if native not in KNOWN or (words is not None and isinstance(value, str) and value not in words):
            self.refuse(path, f"asks for {shown(value)} as `{native}`, which this version does not do")
        self.native[native] = value
        self.names[native] = path

    def mean(self, name: str, value: Any, path: str) -> None:
        """A field of the Signal that no native field sets; where one sets it to nearly the same, this counts."""
        self.internal[name] = value
        self.names.setdefault(name, path)

    def refuse_unknown(self) -> None:
        """Fields that cannot be done here, and those that the service does not have and that may bear on an order."""
        for path, problem in self._wrong_fields("", self._fields):
            if len(self._problems) < _UNKNOWN_NAMED_MAX:
                self.refuse(path if len(path) <= SHOWN_LENGTH_MAX else f"{path[:SHOWN_LENGTH_MAX]}…", problem)
        if self._unknown:
            self.note(unknown_note(self._unknown[:_UNKNOWN_NAMED_MAX]))

    def read_table(self) -> None:
        """Every field whose meaning its row says whole."""
        for path, row in self._paths.handed_on:
            if not self.has(path):
                continue
            if row.percent:
                value = self.percent(path, times=row.percent)
                if value is not None:
                    self.give(row.native, value, path)
            elif row.words:
                word = self.choice(path, row.words)
                if word:
                    self.give(row.native, word, path)
            else:
                self.copy(path, row.native)

    def raise_problems(self) -> None:
        """AlertInvalid, if anything was refused that even an exit needs.

        Of a message that can only exit, all else that was refused is left out with a note.
        """
        if not self._problems:
            return
        draft = draft_of(self.native)
        if draft.only_exits:
            needed = needed_by_exit(draft)
            paths = [*self._paths.spelled.items(), *self.names.items()]
            own = {path for native, path in paths if native in needed}
            # At once, it would close what is not to be closed yet.
            own |= {path for native, path in paths if native == "type" and says_to_wait(self.raw(path))}
            others = self._problems.keys() - {path for _, path in paths}
            if closes_whole(draft):
                others = {path for path in others if path.lower() not in self._paths.containers}
            deciding = own | {*self._paths.choosing, *filter(self._says_what_is_closed, others)}
            draft.problems, draft.notes = self._problems, self.notes
            draft.leave_out_all_but(frozenset(deciding))
        Draft(problems=self._problems, only_exits=draft.only_exits).raise_problems()

    def _says_what_is_closed(self, path: str) -> bool:
        """Of a field that no native one was made of."""
        form = _form(path)
        inside, _, name = _INDEX.sub("", path).rpartition(".")
        top = re.split(r"[.\[]", form)[0]
        # As the service spells it: of `takeprofits` nobody could tell the parts.
        rows = self._paths.rows.items()
        if speaks_of_levels(inside or name) or any(
            row.native in _LEVELS for known, row in rows if re.split(r"[.\[]", known)[0] == top
        ):
            return False
        all_known = self._paths.known
        known = form if form in all_known else (*get_close_matches(form, all_known, n=1, cutoff=_MISSPELT), "")[0]
        return meaning_of(known.rpartition(".")[2]) in DECIDING if known else decides_exit(name.lower())

    def _wrong_fields(self, inside: str, members: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        paths = self._paths
        for name, value in members.items():
            if value is None or (not inside and name.startswith("x_")):
                continue
            path = f"{inside}{name}"
            form = _form(path)
            row, container = paths.rows.get(form), paths.containers.get(form)
            if row is not None and row.refused and not (row.is_harmless_off and _is_off(value)):
                yield _with_indexes_of(path, paths.known.get(form) or container or path), row.refused
            elif form in paths.open or (row is not None and container is None):
                continue
            elif container is None:
                yield from self._judge_unknown(path, value)
            else:
                yield from self._inside(form, _with_indexes_of(path, paths.known.get(form) or container), value)

    def _inside(self, form: str, spelled: str, value: object) -> Iterator[tuple[str, str]]:
        """What is wrong in an object, or in the objects of a list."""
        is_list = form in self._paths.lists
        if is_list and isinstance(value, list):
            for index, member in enumerate(value):
                if isinstance(member, Mapping):
                    yield from self._wrong_fields(f"{spelled}[{index}].", member)
                else:
                    yield f"{spelled}[{index}]", f"must be an object, not {shown(member)}"
        elif not is_list and isinstance(value, Mapping):
            yield from self._wrong_fields(f"{spelled}.", value)
        else:
            yield spelled, f"must be {'a list of objects' if is_list else 'an object'}, not {shown(value)}"

    def _judge_unknown(self, path: str, value: object) -> Iterator[tuple[str, str]]:
        """Taken without effect where it cannot bear on an order."""
        inner = value.items() if isinstance(value, Mapping) else ()
        problem = unknown_problem(path, value) if not inner else None
        likely = get_close_matches(path.lower(), self._paths.known, n=1, cutoff=_MISSPELT)
        if problem is None and likely and not inner:
            problem = f"is not known here; is it `{self._paths.known[likely[0]]}`?"
        if problem is not None:
            yield path, f"is no field of {self._service} and {problem}"
        elif not inner:
            self._unknown.append(path)
        for name, member in inner:
            yield from self._judge_unknown(f"{path}.{name}", member)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Paths:
    """What a format's table says, as messages are looked through for it: made once. Keys are in lower case."""

    known: Mapping[str, str]
    """How the service spells its fields."""
    containers: Mapping[str, str]
    """How it spells the objects and lists that hold them."""
    lists: frozenset[str]
    open: frozenset[str]
    """Objects that may hold whatever they like."""
    rows: Mapping[str, Field]
    handed_on: tuple[tuple[str, Field], ...]
    """The fields whose meaning their row says whole."""
    spelled: Mapping[str, str]
    """Native names to the service's."""
    choosing: tuple[str, ...]


@cache
def _paths_of(alert_format: AlertFormat) -> _Paths:
    table = alert_format.table
    inner = [path[: found.start()] for path in table for found in re.finditer(r"\.|\[\]", path)]
    open_ones = {path.removesuffix(".*").lower(): row for path, row in table.items() if path.endswith(".*")}
    return _Paths(
        known={path.lower(): path for path in table},
        containers={path.lower(): path for path in inner},
        lists=frozenset(path[: each.start()].lower() for path in table for each in re.finditer(r"\[\]", path)),
        open=frozenset(open_ones),
        rows=open_ones | {path.lower(): row for path, row in table.items()},
        handed_on=tuple((path, row) for path, row in table.items() if row.native and not row.is_own),
        spelled={row.native: path for path, row in reversed([*table.items()]) if row.native},
        choosing=tuple(path for path, row in table.items() if row.chooses),
    )


@lru_cache(maxsize=4096)
def _steps(path: str) -> tuple[str | int, ...]:
    """Names in lower case, and places in lists."""
    return tuple(name or int(index) for name, index in _PART.findall(path.lower()))


def _form(path: str) -> str:
    """The path to a member of a list, as the table has it: `a[].b` for `a[2].b`."""
    return (_INDEX.sub("[]", path) if "[" in path else path).lower()


def lowered_names(fields: Mapping[str, object]) -> dict[str, object]:
    """With names in lower case, inside of objects and lists too."""
    return {name.lower(): _lowered(value) for name, value in fields.items()}


def _is_off(value: object) -> bool:
    return value in (None, False, "", [], {}) or str(value).strip().lower() in NO | {"none", "null", "0.0"}


def product(value: Decimal, times: int) -> str:
    """`value` so many times, exactly, as text."""
    return number_text(_EXACT.multiply(value, times).normalize(_EXACT))


def _with_indexes_of(path: str, form: str) -> str:
    """`a[].b` as the path to one member, `a[2].b`."""
    if "[]" not in form:
        return form
    indexes = iter(_INDEX.findall(path))
    return re.sub(r"\[\]", lambda _: next(indexes, "[]"), form)


_EXITS = frozenset(str(action) for action in Action if action.is_close)
_LEVELS = ("take_profit", "stop_loss", "trailing_stop", "trailing_start")
_QUOTED = re.compile(r'`(\w+)`|"(time)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """A foreign alert in the native fields. `names`: of these, to what the sender calls them."""

    fields: dict[str, object]
    names: Mapping[str, str]
    notes: tuple[str, ...]
    internal: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the Signal that no native field sets."""
    problems: Mapping[str, list[str]] = field(default_factory=dict)
    """What is wrong with the names themselves, under the native ones where there are."""
    deciding: frozenset[str] = frozenset()
    """Of those under the sender's names, what refuses an alert that can only exit, too."""
    fixes: Mapping[str, dict[str, object]] = field(default_factory=dict)
    """For a field in the sender's name, the fields that would be right in its place; none: without it."""

    def in_senders_words(self, text: str) -> str:
        """`text`, which speaks of native fields, in the sender's names of them."""

        def name(found: re.Match[str]) -> str:
            native = found[1] or found[2]
            own = self.names.get(native, native)
            return f"`{own}`" if found[1] else f'"{own}"'

        return _QUOTED.sub(name, text)

    def respelled(self, error: AlertInvalid) -> AlertInvalid:
        """What the native rules found wrong, in the sender's names; one field of theirs may have become two of ours."""
        fields: dict[str, dict[str, None]] = {}
        for native, problems in error.fields.items():
            own = fields.setdefault(self.names.get(native, native), {})
            said = self.problems.get(native, ())
            own.update(dict.fromkeys(each if each in said else self.in_senders_words(each) for each in problems))
        try:
            problems_of = {name: list(problems) for name, problems in fields.items()}
            Draft(problems=problems_of, only_exits=error.only_exits).raise_problems()
        except AlertInvalid as again:
            return again
        return error


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AlertFormat:
    """One foreign format; it equals itself only.

    `name`: as `?format=` has it. `service`: as people call it. `table`: every field it may have, as the service spells
    it (`a.b` is `b` inside the object `a`, `a[].b` inside each object of the list `a`, `a.*` whatever is in `a`), and
    what it means. `secrets`: the fields that prove the sender. A message with one of `marks` (names in lower case),
    with an object under one of `object_marks`, or with one of `own_actions`, is of this format if `is_shape` says so
    too; it is given the message with names in lower case, without `secret`. `read` does what the table does not say.
    """

    name: str
    service: str
    table: Mapping[str, Field] = field(default_factory=dict)
    marks: frozenset[str] = frozenset()
    object_marks: frozenset[str] = frozenset()
    own_actions: frozenset[str] = frozenset()
    action_marks: Mapping[str, str] = field(default_factory=dict)
    """Actions that only this service has beside a field of that name."""
    is_shape: Callable[[Mapping[str, object]], bool] | None = None
    """None means that a mark is enough."""
    pattern: re.Pattern[str] | None = None
    """Of a message that is plain text: what the whole of it is like."""
    text_words: tuple[str, ...] = ()
    """In lower case: a text with none of these is not like `pattern`, which takes longer to tell."""
    text_field: str = "message"
    """Under which name such a text is kept."""
    read: Callable[[Message], None] | None = None
    prepare: Callable[[dict[str, object]], dict[str, object]] | None = None
    """What is done to the message, its names in lower case, before it is read. AlertInvalid."""
    secrets: tuple[str, ...] = ()
    split_secret: Callable[[dict[str, object]], object] | None = None
    """Takes out a secret that is only a part of a field, and returns it."""
    refused: str = ""
    """Why no message of the service is read."""
    instead: Kind = Kind.STRATEGY
    """Which native message takes its place."""
    several: tuple[AlertFormat, ...] = ()
    """A message that has the shape of each of these."""

    @property
    def words(self) -> frozenset[str]:
        """Names of fields without which no message is recognised by its fields."""
        return self.marks | self.object_marks

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(self.table)

    def mark_in(self, fields: Mapping[str, object]) -> str | None:
        """By which of its words a message, its names in lower case, is known."""
        if not (self.marks.isdisjoint(fields) and self.object_marks.isdisjoint(fields)):
            for name, value in fields.items():
                if name in self.marks or (name in self.object_marks and isinstance(value, Mapping)):
                    return name
        action = str(fields.get("action")).strip().lower()
        beside = self.action_marks.get(action)
        return action if action in self.own_actions else beside if beside in fields else None

    def take_secret(self, fields: dict[str, object]) -> str | None:
        """Takes what proves the sender out of `fields`: all of it, even if a part is nobody's secret here."""
        names = dict.fromkeys(name for secret in self.secrets for name in fields if name.lower() == secret)
        taken: list[object] = [fields.pop(name) for name in names]
        if self.split_secret is not None:
            taken.append(self.split_secret(fields))
        texts = [number_text(value) if isinstance(value, Decimal) else value for value in taken]
        return next((text for text in texts if isinstance(text, str) and text), None)

    def translate(self, fields: Mapping[str, object]) -> Translation:
        """The native fields that `fields`, kept ones, mean. AlertInvalid speaks of them in the sender's names."""
        if self.refused:
            text = f"is a message of {self.service}, {self.refused}; send a native message instead, such as"
            text = f"{text} {json.dumps(native_message(self.instead))}"
            raise AlertInvalid(f"this {text}", fields={"format": [text]})
        plain = lowered_names(fields)
        if self.several:
            return self._agreed(plain)
        if self.prepare is not None:
            plain = self.prepare(plain)
        message = Message(plain, self)
        message.refuse_unknown()
        message.read_table()
        if self.read is not None:
            self.read(message)
        message.raise_problems()
        _leave_levels_of_exits(message)
        notes = (self._recognised(plain), *message.notes)
        names = {**_paths_of(self).spelled, **message.names}
        return Translation(fields=message.native, names=names, notes=notes, internal=message.internal)

    def _recognised(self, fields: Mapping[str, object]) -> str:
        mark = self.mark_in(fields)
        if mark is None and (self.is_shape is None or self.is_shape(fields)):
            mark = next((name for name in self.secrets if name in self.marks), None)
        return _note_of(self, mark)

    def _agreed(self, fields: dict[str, object]) -> Translation:
        """What the formats make of it, where that is one and the same; else the sender is asked."""
        readings = []
        for each in self.several:
            with suppress(AlertInvalid):
                readings.append(each.translate(fields))
        meanings = [(each.fields, dict(each.internal)) for each in readings]
        if len(readings) == len(self.several) and all(each == meanings[0] for each in meanings):
            return readings[0]
        which = " or ".join(f"{each.service} (`{each.mark_in(fields)}`)" for each in self.several)
        options = " or ".join(f"`?format={each.name}`" for each in self.several)
        text = f"has the shape of a message of {which}; say which it is with {options} behind the webhook's address"
        raise AlertInvalid(f"the alert {text}", fields={"format": [text]})


@cache
def _note_of(alert_format: AlertFormat, mark: str | None) -> str:
    spelled = next((path for path in alert_format.table if path.lower().partition(".")[0] == mark), None)
    because = f" because of `{spelled.partition('.')[0] if spelled else mark}`" if mark else ""
    return f"read as a message of {alert_format.service}{because}; `?format=native` turns that off"


def _leave_levels_of_exits(message: Message) -> None:
    """These services' templates send the same stops with every order; their exits go out all the same."""
    if message.native.get("action") not in _EXITS:
        return
    left = [message.names[name] for name in _LEVELS if message.native.pop(name, None) is not None]
    if left:
        message.note(f"{joined(left)} ignored: the order only exits")


# What the signal bots of several services have in common: entries, a strategy's fills, and how old a signal may be.


SIDES = {name: name for name in ("long", "short", "flat")}
_ENTERED = {"buy": "long", "sell": "short"}
_LEFT = {"buy": "close_short", "sell": "close_long"}


def enter(message: Message, side: str, *, action: str, size: str) -> None:
    """Leave the other side if it is open, then open `long` or `short`, or add to it, by the size alone.

    As a fill of a strategy that stands on that side afterwards: with the other side open, the native reading goes to
    the size itself, else it is ordered. `action` and `size`: the paths of the two.
    """
    message.give("action", "buy" if side == "long" else "sell", action)
    message.give("market_position", side, action)
    message.internal["has_synthetic_position"] = True
    unit = message.native.get("qty_unit", QtyUnit.BASE)
    if "qty" in message.native and unit in (QtyUnit.BASE, QtyUnit.CONTRACTS):
        message.give("market_position_size", message.native["qty"], size)


def fill(
    message: Message, action: str, *, market: Mapping[str, str], unit: str, read_size: Callable[[Message], None]
) -> None:
    """A strategy's `buy` or `sell`, with where the strategy stands: `market` has the paths, to their native names.

    `read_size` reads the size, whose unit stands at `unit`; a strategy that is flat afterwards needs none. A size in
    percent of the position reduces, and nothing else.
    """
    path = next(own for own, native in market.items() if native == "market_position")
    message.need(path, "`long`, `short` or `flat`, as `{{strategy.market_position}}` is")
    side = message.choice(path, SIDES)
    if side != "flat":
        read_size(message)
    if message.native.get("qty_unit") == QtyUnit.POSITION_PCT:
        if side == _ENTERED[action]:
            message.refuse(unit, "is for exits, and this order opens or adds")
        message.give("action", _LEFT[action], "action")
        return
    message.give("action", action, "action")
    for own, native in market.items():
        message.copy(own, native)


def lag(message: Message, path: str) -> None:
    """The age in seconds above which the service drops a signal: here an entry only, and SIGNAL_MAX_AGE counts, too."""
    if not message.has(path) or message.is_blank(path):
        return
    seconds = message.number(path)
    if seconds is not None:
        message.mean("max_age_s", seconds, path)
