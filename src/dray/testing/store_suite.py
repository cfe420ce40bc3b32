"""The conformance suite: what every store must do, in both colours. Import it into a test module that has a fixture
`make_store`, a function that makes an empty store on the clock that it is given::

    import pytest
    from dray.testing.store_suite import *

    @pytest.fixture
    def make_store(tmp_path):
        return lambda clock: MyStore(tmp_path / "jobs", clock=clock)

The suite closes the stores. It needs pytest and uses no network and no real time.
"""

from dray.testing.suite.admin import Operators as TestOperators
from dray.testing.suite.admin import Questions as TestQuestions
from dray.testing.suite.asks import Asks as TestAsks
from dray.testing.suite.audit import Audit as TestAudit
from dray.testing.suite.claim import Claim as TestClaim
from dray.testing.suite.claim import Unknown as TestUnknown
from dray.testing.suite.enqueue import Enqueue as TestEnqueue
from dray.testing.suite.figures import Figures as TestFigures
from dray.testing.suite.find import Finding as TestFinding
from dray.testing.suite.leases import Bury as TestBury
from dray.testing.suite.leases import Leases as TestLeases
from dray.testing.suite.leases import Rescue as TestRescue
from dray.testing.suite.maintenance import Election as TestElection
from dray.testing.suite.maintenance import Retention as TestRetention
from dray.testing.suite.schedules import Kept as TestKept
from dray.testing.suite.schedules import Overlap as TestOverlap
from dray.testing.suite.schedules import Ticks as TestTicks
from dray.testing.suite.settle import CancelRunning as TestCancelRunning
from dray.testing.suite.settle import Exchange as TestExchange
from dray.testing.suite.settle import Fencing as TestFencing
from dray.testing.suite.settle import Settle as TestSettle

__all__ = [
    "TestAsks", "TestAudit", "TestBury", "TestCancelRunning", "TestClaim", "TestElection", "TestEnqueue", "TestExchange",
    "TestFencing", "TestFigures", "TestFinding", "TestKept", "TestLeases", "TestOperators", "TestOverlap", "TestQuestions",
    "TestRescue", "TestRetention", "TestSettle", "TestTicks", "TestUnknown",
]  # fmt: skip
