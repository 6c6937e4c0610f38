"""Whose turn it is to send, with several processes; on Postgres with the functions that grant it in one round trip.

The table is not logged there: after a crash of the database it is empty, and the second that it counted is over.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from relay.journal.migrations.marking import mark

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TAKE = """
CREATE FUNCTION take_turn(
    of_account text, of_endpoint text, of_turn text, of_waiter text, of_priority integer, most integer,
    window_us bigint, flight_us bigint, grace_us bigint, far_us bigint
) RETURNS integer LANGUAGE plpgsql AS $$
-- 0: it may go. Else: in how many milliseconds it is worth asking again.
DECLARE
    now_us bigint;
    since_us bigint;
    spent bigint;
    ahead bigint;
    place bigint;
    free_us bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('turns ' || of_account || ' ' || of_endpoint, 0));
    now_us := extract(epoch FROM clock_timestamp()) * 1000000;
    -- What ended long ago; what a clock that was set back has left in the future; this turn, if it is asked for again.
    DELETE FROM turns WHERE account = of_account AND endpoint = of_endpoint
        AND (until_us NOT BETWEEN now_us - 1000000 AND now_us + 60000000 OR name = of_turn);
    SELECT coalesce(min(asked_us), now_us) INTO since_us FROM turns
        WHERE account = of_account AND endpoint = of_endpoint AND name = of_waiter;
    SELECT coalesce(sum(weight), 0), count(*) FILTER (
            WHERE weight = 0 AND (priority, asked_us, name) < (of_priority, since_us, of_waiter))
        INTO spent, ahead FROM turns
        WHERE account = of_account AND endpoint = of_endpoint AND until_us > now_us AND name <> of_waiter;
    IF spent + ahead < most THEN
        DELETE FROM turns WHERE account = of_account AND endpoint = of_endpoint AND name = of_waiter;
        INSERT INTO turns VALUES
            (of_account, of_endpoint, of_turn, 1, of_priority, since_us, now_us + flight_us + window_us);
        RETURN 0;
    END IF;
    -- The end of which turn makes room for this one, if everybody ahead takes the first room that there is. One that is
    -- in flight ends a window from now at the earliest.
    place := spent + ahead - most;
    SELECT least(until_us, now_us + window_us) INTO free_us FROM turns, generate_series(1, weight)
        WHERE account = of_account AND endpoint = of_endpoint AND until_us > now_us
        ORDER BY 1 OFFSET place % greatest(spent, most) LIMIT 1;
    free_us := coalesce(free_us, now_us + window_us) + place / greatest(spent, most) * window_us;
    free_us := least(free_us, now_us + far_us);
    INSERT INTO turns VALUES (of_account, of_endpoint, of_waiter, 0, of_priority, since_us, free_us + grace_us)
        ON CONFLICT (account, endpoint, name) DO UPDATE SET priority = of_priority, until_us = excluded.until_us;
    RETURN (free_us - now_us) / 1000 + 1;
END $$
"""
_END = """
CREATE FUNCTION end_turn(
    of_account text, of_endpoint text, of_turn text, spent_by_all integer, window_us bigint
) RETURNS void LANGUAGE plpgsql AS $$
-- It counts for a window from now on. What the exchange has counted and is no turn, somebody else has spent.
DECLARE
    now_us bigint;
    spent_here integer;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('turns ' || of_account || ' ' || of_endpoint, 0));
    now_us := extract(epoch FROM clock_timestamp()) * 1000000;
    INSERT INTO turns VALUES (of_account, of_endpoint, of_turn, 1, 0, now_us, now_us + window_us)
        ON CONFLICT (account, endpoint, name) DO UPDATE SET until_us = excluded.until_us;
    IF spent_by_all IS NULL THEN
        RETURN;
    END IF;
    -- A turn that has ended since the answer was still counted by the exchange.
    SELECT count(*) INTO spent_here FROM turns WHERE account = of_account AND endpoint = of_endpoint
        AND weight > 0 AND name <> 'others' AND until_us > now_us - 250000;
    DELETE FROM turns WHERE account = of_account AND endpoint = of_endpoint AND name = 'others';
    IF spent_by_all > spent_here THEN
        INSERT INTO turns VALUES
            (of_account, of_endpoint, 'others', spent_by_all - spent_here, 0, now_us, now_us + window_us);
    END IF;
END $$
"""


def upgrade() -> None:
    is_postgres = op.get_bind().dialect.name == "postgresql"
    op.create_table(
        "turns",
        sa.Column("account", sa.Text(), primary_key=True),
        sa.Column("endpoint", sa.Text(), primary_key=True),
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("asked_us", sa.BigInteger(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=False),
        prefixes=["UNLOGGED"] if is_postgres else [],
    )
    if is_postgres:
        op.execute(_TAKE)
        op.execute(_END)
    mark(revision, compatible_from="0007")
