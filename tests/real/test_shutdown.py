"""Workers that end in order, workers that vanish, workers that freeze: the next one goes on, in order."""

import os
import signal
import time
from collections.abc import Callable

import psutil
import pytest
