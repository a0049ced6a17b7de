"""The settings: one frozen value from the environment and foxhooks.toml, with every complaint at once.

The environment wins over the file. Nothing is read but the mapping that is passed in and the file.
"""

from workers.settings.calling import Calling, load_account
from workers.settings.complaints import Complaint, SettingsError
from workers.settings.loading import RulesFile, drafts, load, rules_files
from workers.settings.secret import Secret
from workers.settings.setting import Part
from workers.settings.values import Account, Budget, Durability, Settings

__all__ = [
    "Account",
    "Budget",
    "Calling",
    "Complaint",
    "Durability",
    "Part",
    "RulesFile",
    "Secret",
    "Settings",
    "SettingsError",
    "drafts",
    "load",
    "load_account",
    "rules_files",
]
