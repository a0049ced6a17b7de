"""What a request says: its place in the table of calls, its arguments, and its line in the call log."""

from urllib.parse import parse_qs

from workers.simulator import bodies
from workers.simulator.api import table
from workers.simulator.api.route import Arguments
from workers.simulator.exchange import Call, Request


def arrive(request: Request, number: int, at: float) -> tuple[Call, table.Place | None, Arguments]:
    """Read a request that arrives as call `number` at a time. A body that cannot be read is None."""
    place = table.find(request.path)
    try:
        body, files = bodies.parse(request.headers.get("content-type", ""), request.body)
    except ValueError:
        body, files = None, ()
    every = parse_qs(request.query)
    call = Call(
        number=number,
        method=request.method,
        path=request.path,
        query=request.query,
        arrived=at,
        ticket=place.ticket if place else None,
        body=body,
        files=tuple(file.filename for file in files),
    )
    arguments = Arguments(
        number=place.number if place else 0,
        word=place.word if place else "",
        query={name: several[-1] for name, several in every.items()},
        every=every,
        body=body,
        files=files,
    )
    return call, place, arguments
