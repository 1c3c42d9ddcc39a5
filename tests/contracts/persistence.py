"""What every persistence promises, whatever it is made of.

A subclass of `PersistenceContract` whose name starts with ``Test`` proves one adapter: it defines the fixtures
``clock`` and ``persistence``. Where time cannot be held in the hand (a database server's own) it overrides `let_pass`.
"""

from tests.contracts.persistence_parts.answers import AnswersContract
from tests.contracts.persistence_parts.desk import DeskContract
from tests.contracts.persistence_parts.due import DueContract, PublishingContract
from tests.contracts.persistence_parts.leases import LeasesContract
from tests.contracts.persistence_parts.ledger import BlockingContract, LedgerContract
from tests.contracts.persistence_parts.receiving import ReceivingContract
from tests.contracts.persistence_parts.units_of_work import CommitContract
from tests.contracts.persistence_parts.users_and_orders import OrdersContract, UsersContract


class PersistenceContract(
    UsersContract,
    OrdersContract,
    CommitContract,
    LedgerContract,
    BlockingContract,
    PublishingContract,
    DueContract,
    DeskContract,
    ReceivingContract,
    AnswersContract,
    LeasesContract,
):
    """All of it."""
