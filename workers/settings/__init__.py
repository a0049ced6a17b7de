"""The settings: one frozen value from the environment and foxhooks.toml, with every problem reported at once.

The environment wins over the file. Only the mapping that is passed in and the file are read.
"""

from workers.settings.environment import environ_for, plain_environ
from workers.settings.load import COMMAND_TOKEN, drafts, load, load_account, rules_files
from workers.settings.model import (
    ROLES,
    Account,
    Alert,
    AlertAddress,
    Budget,
    Calling,
    DashboardProxy,
    DashboardUser,
    Durability,
    GatewayClient,
    Grants,
    HookSender,
    Origin,
    Priority,
    RulesFile,
    Secret,
    SettingProblem,
    Settings,
    ShownSetting,
    Token,
)
from workers.settings.parse import SettingsError, host_of, is_loopback
from workers.settings.table import Part

__all__ = [
    "COMMAND_TOKEN",
    "ROLES",
    "Account",
    "Alert",
    "AlertAddress",
    "Budget",
    "Calling",
    "DashboardProxy",
    "DashboardUser",
    "Durability",
    "GatewayClient",
    "Grants",
    "HookSender",
    "Origin",
    "Part",
    "Priority",
    "RulesFile",
    "Secret",
    "SettingProblem",
    "Settings",
    "SettingsError",
    "ShownSetting",
    "Token",
    "drafts",
    "environ_for",
    "host_of",
    "is_loopback",
    "load",
    "load_account",
    "plain_environ",
    "rules_files",
]
