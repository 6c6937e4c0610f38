"""What somebody else was seen to spend of the limit counts for its whole window.

An answer that comes while own requests are on their way says less of it: they are turns here, and not yet spent there.
"""

from __future__ import annotations

from alembic import op

from relay.journal.migrations.marking import mark

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_END = """
CREATE OR REPLACE FUNCTION end_turn(
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
    -- Where it was seen to be as much already, that stays until its own window ends.
    DELETE FROM turns WHERE account = of_account AND endpoint = of_endpoint AND name = 'others'
        AND (until_us <= now_us OR weight < spent_by_all - spent_here);
    IF spent_by_all > spent_here THEN
        INSERT INTO turns VALUES
            (of_account, of_endpoint, 'others', spent_by_all - spent_here, 0, now_us, now_us + window_us)
            ON CONFLICT (account, endpoint, name) DO NOTHING;
    END IF;
END $$
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_END)
    mark(revision, compatible_from="0007")
