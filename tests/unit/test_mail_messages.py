"""What is read of a mail: its moment, its sender, and the alert in it, whatever servers and people have done to it."""

from __future__ import annotations

import base64
import contextlib
import html
import json
import quopri
from datetime import UTC, datetime, timedelta
from email.header import Header
from typing import Any

import pytest

from relay.execution import mailbox
from relay.execution.mailbox import Mail, read_mail
from tests.mail_server import mail

AT = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
ALERT = {"secret": "a-secret-of-the-tests-0123", "ticker": "BTCUSDT.P", "action": "buy", "comment": "a = b & <c> é"}
TEXT = json.dumps(ALERT, ensure_ascii=False)
PAIRS = "secret=a-secret-of-the-tests-0123\nticker=BTCUSDT.P\naction=buy"
FOOTER = "\n\n--\nYou receive this because of an alert: https://www.tradingview.com/?a=b&c={d}"


def _read(raw: bytes) -> Mail:
    return read_mail(raw, internal_date=AT)


def _whole(head: str, body: str) -> bytes:
    return f"From: a@tradingview.com\nSubject: x\nMIME-Version: 1.0\n{head}\n\n{body}\n".encode()


def _html(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;").replace(" ", "&nbsp;")
    return (
        f"<html><head><title>Alert {{}}</title><style>p {{ a: b }}</style></head><body><p>{escaped}</p></body></html>"
    )


def _quoted_printable(text: str) -> str:
    return quopri.encodestring(text.encode()).decode()


_PLAIN = "Content-Type: text/plain; charset=utf-8"
SHAPES = {
    "plain": mail(TEXT),
    "plain with words around": mail(f"Your alert fired:\n\n{TEXT}{FOOTER}"),
    "html": mail(_html(TEXT), kind="html"),
    "quoted-printable": _whole(f"{_PLAIN}\nContent-Transfer-Encoding: quoted-printable", _quoted_printable(TEXT)),
    "called quoted-printable and is not": _whole(f"{_PLAIN}\nContent-Transfer-Encoding: quoted-printable", TEXT),
    "base64": _whole(f"{_PLAIN}\nContent-Transfer-Encoding: base64", base64.b64encode(TEXT.encode()).decode()),
    "an unknown charset": _whole("Content-Type: text/plain; charset=no-such", TEXT),
    "html beside an empty plain part": _whole(
        'Content-Type: multipart/alternative; boundary="b"',
        f"--b\n{_PLAIN}\n\n\n--b\nContent-Type: text/html; charset=utf-8\n\n{_html(TEXT)}\n--b--",
    ),
    "forwarded as an attachment": _whole(
        'Content-Type: multipart/mixed; boundary="b"',
        f"--b\n{_PLAIN}\n\nlook\n--b\nContent-Type: message/rfc822\n\n{mail(TEXT).decode()}\n--b--",
    ),
    "forwarded with marks": mail("\n".join(f"> {line}" for line in json.dumps(ALERT, indent=1).splitlines())),
    "broken into lines": mail(TEXT.replace("= b", "=\nb")),
    "a byte order mark": mail(f"\ufeff{TEXT}"),
    "in the subject, encoded": mail("see the subject", subject=Header(f"Alert: {TEXT}", "utf-8").encode()),
    "in the subject": mail("see the subject", subject=f"Fwd: Alert: {TEXT}"),
}


def _objects(found: Mail) -> list[object]:
    objects: list[object] = []
    for text in found.texts:
        with contextlib.suppress(ValueError):
            objects.append(json.loads(text))
    return objects


@pytest.mark.parametrize("shape", SHAPES)
def test_the_alert_is_found_in_every_shape(shape: str) -> None:
    assert ALERT in _objects(_read(SHAPES[shape]))


@pytest.mark.parametrize("kind", ["plain", "html"])
def test_pairs_are_found_as_a_paragraph_of_their_own(kind: str) -> None:
    text = f"Your alert fired.\n\n{PAIRS}{FOOTER}"
    shown = (
        text if kind == "plain" else f"<p>Your alert fired.</p>\n\n<p>{PAIRS.replace(chr(10), '<br>')}</p><p>end</p>"
    )
    found = [each.splitlines() for each in _read(mail(shown, kind=kind)).texts]
    assert PAIRS.splitlines() in [[line.strip() for line in lines if line.strip()] for lines in found]


def test_base64_that_was_cut_short_is_no_alert() -> None:
    cut = base64.b64encode(TEXT.encode()).decode()[:-3]
    assert not _objects(_read(_whole(f"{_PLAIN}\nContent-Transfer-Encoding: base64", cut)))


def test_the_moment_is_the_earliest_at_which_a_server_took_it_whatever_the_zones() -> None:
    lines = "\n".join(
        [
            "Received: by c; Sun, 29 Mar 2026 03:00:40 +0200",
            "Received: by b; Sun, 29 Mar 2026 01:00:20 -0000",
            "Received: by a (x; y);\n Sat, 28 Mar 2026 20:00:30 -0500",
        ]
    )
    assert _read(f"{lines}\nSubject: x\n\n{TEXT}".encode()).at == datetime(2026, 3, 29, 1, 0, 30, tzinfo=UTC)
    assert _read(f"Received: by a; nonsense\nDate: Mon, 1 Jan 2001 00:00:00 +0000\n\n{TEXT}".encode()).at == AT


def test_the_sender_and_what_the_own_server_says_of_it_are_shown_and_no_forged_line_is() -> None:
    forged = "Authentication-Results: evil; dkim=fail header.d=evil.example\n"
    found = _read(mail(TEXT, headers=forged, at=AT + timedelta(1)))
    assert (found.sender, found.dkim) == ("tradingview.com", "dkim=pass for tradingview.com")
    assert _read(mail(TEXT, key="one")).key == _read(mail("other", key="one")).key != _read(mail(TEXT)).key


def test_nothing_that_a_mail_holds_ends_the_reading() -> None:
    for raw in (
        b"",
        b"\xff\xfe",
        b"Subject: =?x?q?\n\n" + b"{" * 5000,
        b"From: \n\n" + b"\x00{[" * 900,
        mail("{" * 300),
    ):
        assert _read(raw).at.tzinfo is not None


class _Counted(json.JSONDecoder):
    """Counts its tries; `error`: what each of them ends with."""

    tries = 0
    error: type[Exception] | None = None

    def raw_decode(self, s: str, idx: int = 0) -> tuple[object, int]:
        _Counted.tries += 1
        if self.error is not None:
            raise self.error
        return super().raw_decode(s, idx)


@pytest.mark.parametrize(
    ("error", "text", "at_most"), [(RecursionError, "{ " * 90, 1), (None, "{ " * 900, 200), (None, "{} " * 900, 200)]
)
def test_a_strangers_braces_are_tried_so_often_and_none_again_that_lies_too_deep(
    error: type[Exception] | None, text: str, at_most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json, "JSONDecoder", _Counted)
    monkeypatch.setattr(_Counted, "error", error)
    monkeypatch.setattr(_Counted, "tries", 0)
    read = list(mailbox._objects(text))
    assert _Counted.tries == at_most and all(each == "{}" for each in read)


@pytest.mark.parametrize("unit", ["<a ", "<!--", "<script>", "<p b='"])
def test_markup_that_is_never_closed_ends_the_reading_at_once(unit: str) -> None:
    class Text(str):
        looked = 0

        def find(self, *arguments: Any) -> int:
            Text.looked += 1
            return super().find(*arguments)

    assert mailbox._pieces(Text("seen" + unit * 50)) == ["seen"]
    assert Text.looked <= 3


def test_of_a_mails_parts_lines_and_letters_only_so_many_are_read() -> None:
    parts = [f"--b\n{_PLAIN}\n\n{json.dumps({'number': number})}\n" for number in range(60)]
    head = 'Content-Type: multipart/mixed; boundary="b"'
    assert {"number": 30} in _objects(_read(_whole(head, "".join(parts))))
    assert {"number": 55} not in _objects(_read(_whole(head, "".join(parts))))
    nested = "".join(f'Content-Type: multipart/mixed; boundary="b{each}"\n\n--b{each}\n' for each in range(60))
    found = _read(f"Subject: {TEXT}\n{nested}{_PLAIN}\n\n{TEXT}".encode())
    assert _objects(found) == [ALERT], "of a mail with so many the subject alone"
    long = _read(mail("x", subject="y" * 20_000 + TEXT))
    assert len(long.subject) == 300 and not _objects(long)
    assert not _objects(_read(mail(f"<p>{'x' * 300_000}</p>{TEXT}", kind="html")))


def test_what_browsers_show_of_html_is_read_as_they_show_it() -> None:
    shown = f"<style>a{{}}</style><!-- <p>{{}}</p> --><p>1 < 2 &amp; {html.escape(TEXT)}&#99999999999;</p>"
    assert ALERT in _objects(_read(mail(shown, kind="html")))
    assert mailbox._unescaped("&lt;p&gt;&#" + "9" * 5000 + ";") == "<p>"


@pytest.mark.parametrize(
    "head",
    [
        "Received: by a; Fri, 31 Dec 9999 23:59:59 -2300\nContent-Type: text/plain",
        "Content-Type: text/plain; charset*=x''%FF; charset*0=utf-8",
        'Content-Type: text/plain; charset="utf\0-8"',
        "Content-Type: text/plain\nContent-Disposition: inline; filename*=a; filename*0=b",
    ],
)
def test_a_header_that_makes_no_sense_costs_no_alert(head: str) -> None:
    assert ALERT in _objects(_read(_whole(head, TEXT)))


def test_parts_are_read_though_a_parameter_beside_their_boundary_makes_no_sense() -> None:
    head = 'Content-Type: multipart/mixed; boundary="b"; x*=1; x*0=2'
    assert ALERT in _objects(_read(_whole(head, f"--b\n{_PLAIN}\n\n{TEXT}\n--b--")))
