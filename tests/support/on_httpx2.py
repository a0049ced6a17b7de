"""A plugin of pytest that puts httpx2 in the place of httpx: `pytest -p tests.support.on_httpx2`."""

import sys

import httpcore2
import httpx2

sys.modules |= {"httpx": httpx2, "httpcore": httpcore2}


def pytest_report_header() -> str:
    from workers.http_library import httpcore, httpx

    return f"HTTP library: {httpx.__name__} {httpx.__version__}, {httpcore.__name__}"
