"""The HTTP library. Only this module imports it, so that another one can take its place here.

httpx2 has the same API: to use it, import ``httpcore2 as httpcore`` and ``httpx2 as httpx`` instead.
"""

import httpcore
import httpx

__all__ = ["httpcore", "httpx"]
