"""Notes: what running jobs say of themselves."""

from __future__ import annotations

from collections.abc import Sequence

from dray.store.plan import Many, Plan
from dray.store.sql.sentences import Sentences


class NotePlans:
    """Progress and log lines over SQL."""

    say: Sentences

    def note(
        self, progress: Sequence[tuple[bytes, int, int]], logs: Sequence[tuple[int, str, str, int, int]], keep: int
    ) -> Plan[None]:
        """Write what running jobs say of themselves: progress as (JSON, seq, claim), log lines as (time, level, text, seq,
        claim). A stale claim writes nothing. At most `keep` lines of a job are kept, the newest."""
        if progress:
            yield Many(self.say.progress, progress)
        if logs:
            yield Many(self.say.log, logs)
            yield Many(self.say.log_trim, [(seq, seq, keep) for seq in {line[3] for line in logs}])
