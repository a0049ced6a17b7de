"""What a worker process starts with: its turns, the actors of plug-ins, and the jobs of the dashboard."""

import dramatiq

from service.dashboard import jobs
from workers import worker
from workers.store.broker import LaneBroker


def start() -> None:
    """Build the broker of this process; Dramatiq calls this in each worker."""
    worker.start()
    broker = dramatiq.get_broker()
    assert isinstance(broker, LaneBroker)
    jobs.declare(broker, broker.client)
