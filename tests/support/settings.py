"""A whole environment of settings, and the types of the fixtures that load it with changes."""

from collections.abc import Callable

from workers.settings import SettingProblem, Settings

WHOLE = {
    "HAPPYFOX_URL": "https://acme.happyfox.com",
    "HAPPYFOX_WEBHOOK_SECRETS": "hook-new,hook-old",
    "HAPPYFOX_API_KEY": "the-key",
    "HAPPYFOX_AUTH_CODE": "the-code",
    "HAPPYFOX_STAFF_ID": "7",
    "FOXHOOKS_HANDLERS": "vip:router",
}

Loaded = Callable[..., Settings]
Refused = Callable[..., list[SettingProblem]]
