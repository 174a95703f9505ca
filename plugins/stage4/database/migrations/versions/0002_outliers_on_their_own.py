"""A third kind of assignment: noise that is kept apart, to be tagged item by item."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# A name of its own: partitions keep the old constraint, which what they hold goes on meeting.
UPGRADE = (
    "ALTER TABLE stage4.members DROP CONSTRAINT members_assignment_check",
    """
    ALTER TABLE stage4.members ADD CONSTRAINT assignment_fits_status CHECK (
        assignment IS NULL
        OR assignment IN ('core', 'nearest') AND status = 'clustered'
        OR assignment = 'individual' AND status = 'noise'
    )
    """,
)
DOWNGRADE = (
    "ALTER TABLE stage4.members DROP CONSTRAINT assignment_fits_status",
    "UPDATE stage4.members SET assignment = NULL WHERE assignment = 'individual'",
    """
    ALTER TABLE stage4.members ADD CONSTRAINT members_assignment_check
        CHECK (assignment IN ('core', 'nearest'))
    """,
)


def upgrade() -> None:
    """Accept `individual` for noise, and the other two for what is clustered."""
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    """Forget which outliers were kept apart."""
    for statement in DOWNGRADE:
        op.execute(statement)
