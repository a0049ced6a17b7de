"""Load: requests sent for some seconds over some connections, from the second core, by wrk or a generator of our own.

    python -m tests.bench.rig.load FILE PORT CONNECTIONS SECONDS

is the generator, for where wrk is not installed.
"""

import asyncio
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from tests.bench.rig.servers import pin

LUA = """
local requests, n = {{}}, 0
for each in io.open("{file}", "rb"):read("*a"):gmatch("([^%z]+)") do
  requests[#requests + 1] = each
end
request = function() n = n % #requests + 1 return requests[n] end
"""


class Load:
    """Sends whole requests one after another, from the first again when they are used up."""

    def __init__(self, requests: Iterable[bytes], folder: Path, connections: int, seconds: float) -> None:
        file, script = folder / "requests", folder / "load.lua"
        file.write_bytes(b"\0".join(requests))
        script.write_text(LUA.format(file=file))
        self._ours = [sys.executable, "-m", "tests.bench.rig.load", str(file)], [str(connections), str(seconds)]
        self._wrk = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "-s", str(script)]

    def run(self, port: int) -> tuple[int, float]:
        """Gives how many requests were answered, all with 200, and how many in a second."""
        before, behind = self._ours
        wrk = [*self._wrk, f"http://127.0.0.1:{port}/"]
        command = wrk if shutil.which("wrk") else [*before, str(port), *behind]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        pin(1, process.pid)
        out = process.communicate()[0]
        assert "Non-2xx" not in out, out
        assert "Socket errors" not in out, out
        answered = re.search(r"(\d+) requests in", out)
        speed = re.search(r"Requests/sec:\s+([\d.]+)", out)
        assert answered, out
        assert speed, out
        return int(answered[1]), float(speed[1])


async def generate(requests: list[bytes], port: int, connections: int, seconds: float) -> None:
    """Sends the requests and prints figures as wrk does."""
    end = time.perf_counter() + seconds
    sent = 0

    async def one() -> None:
        nonlocal sent
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < end:
            sent += 1
            writer.write(requests[sent % len(requests)])
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            assert head.startswith(b"HTTP/1.1 200"), f"Non-2xx: {head!r}"
            assert length, head
            await reader.readexactly(int(length[1]))
        writer.close()

    await asyncio.gather(*[one() for _ in range(connections)])
    print(f"{sent} requests in {seconds} s\nRequests/sec: {sent / seconds:.1f}")


if __name__ == "__main__":
    asyncio.run(generate(Path(sys.argv[1]).read_bytes().split(b"\0"), *map(int, sys.argv[2:4]), float(sys.argv[4])))
