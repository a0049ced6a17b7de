"""One pass over the sources: the value of each setting, and everything that is wrong with them."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from workers.settings.complaints import Complaint, SettingsError, UnfitError
from workers.settings.hosts import host_of, label_of
from workers.settings.names import plain
from workers.settings.readers import account_name, text
from workers.settings.setting import BOTH, WORKER, Part, Setting
from workers.settings.sources import Found, Sources, read_file
from workers.settings.table import DURABILITY, HANDLERS, NAME, NOT_YET, RULES, SETTINGS, URL
from workers.settings.values import Account, Budget, Settings

UNNAMED = ""
"""Stands for an account's name where none can be told."""

RULES_ROUTER = "rules"
"""The name that stands for the rules among the routers."""


class Reading:
    """Reads what one part reads from *environ* and the settings file in *folder*, and collects complaints."""

    def __init__(self, part: Part, environ: Mapping[str, str], folder: Path) -> None:
        self.part = part
        self.sources = Sources(environ, folder, read_file(environ, folder))
        broken = self.sources.file.complaint
        self.complaints: list[Complaint] = [broken] if broken else []

    def end(self) -> None:
        """Raises SettingsError with every complaint, if there is one."""
        if self.complaints:
            raise SettingsError(dict.fromkeys(self.complaints))

    def settings(self) -> Settings:
        """Returns everything the part reads."""
        values = {row.key: self.value(row) for row in SETTINGS if row.scope == "deployment"}
        redis_url = values["redis_url"]
        accounts = [self.account(name) for name in self.names()] if self.part in BOTH else []
        return Settings(
            accounts=MappingProxyType({account.name: account for account in accounts}),
            redis_url=redis_url,
            data=self.sources.folder / values["data"],
            durability=values[DURABILITY.key] or ("everysec" if redis_url else "fsync"),
            lease=values["lease_seconds"],
            handler_seconds=values["handler_seconds"],
            retention_hours=values["retention_hours"],
            threads=values["threads"],
            processes=values["processes"],
            web_concurrency=values["web_concurrency"],
            host=values["host"],
            port=values["port"],
            sentry_dsn=values["sentry_dsn"],
            log_level=values["log_level"],
            log_format=values["log_format"],
            config_path=self.sources.file.path,
        )

    def account(self, name: str) -> Account:
        """Returns what the part reads of one account."""
        values = {row.key: self.value(row, name) for row in SETTINGS if row.account_keys}
        return Account(
            name=name,
            secrets=values["webhook_secrets"],
            url=values["url"],
            api_key=values["api_key"],
            auth_code=values["auth_code"],
            staff_id=values["staff_id"],
            budget=Budget(
                gets=values["gets_per_minute"],
                posts=values["posts_per_minute"],
                window=values["window_seconds"],
                lockout=values["lockout_seconds"],
                share=values["budget_share"],
                in_flight=values["in_flight"],
            ),
            timeout=values["timeout_seconds"],
            doubt=values["doubt_seconds"],
            handlers=self.handlers(values["handlers"], values["rules"], name),
            rules=values["rules"],
            allow=values["allow"],
            dry_run=values["dry_run"] is True,
            dry_routers=values["dry_run"] if isinstance(values["dry_run"], frozenset) else frozenset(),
            fuse=values["fuse"],
            off_tag=values["off_tag"],
            off_skips=values["off"] == "skip",
            router_settings=self.router_settings(),
        )

    def names(self) -> list[str]:
        """Returns the names of the accounts: those of the tables, else the single one of the environment."""
        tables = list(self.sources.file.accounts)
        for name in tables:
            try:
                account_name(name)
            except UnfitError as unfit:
                self.complain(f"{plain(f'accounts.{name}')} ({self.sources.file.name})", unfit)
        found = self.sources.find(NAME)
        given = self.value(NAME)
        if not tables:
            return [given or (UNNAMED if found else self.derived())]
        if given and found and len(tables) == 1 and given != tables[0]:
            problem = f"is {given}, but the account in the file is {plain(tables[0])}"
            self.complain(found.where, UnfitError(problem, "remove it, or rename the table"))
        return tables

    def derived(self) -> str:
        """Returns the host's first label as the account's name; a broken URL is the worker's concern."""
        found = self.sources.find(URL)
        if found is None:
            if self.part not in URL.parts:
                self.missing(NAME, None)
            return UNNAMED
        try:
            label = label_of(host_of(text(self.sources.resolve(found))))
            problem = f"is needed, for the host in {URL.variable} gives no name"
        except UnfitError:
            label, problem = None, f"is needed, for {URL.variable} cannot be read"
            if self.part in URL.parts:
                return UNNAMED
        if label is None:
            self.complain(NAME.variable, UnfitError(problem, f"set it to {NAME.help}, as acme"))
        return label or UNNAMED

    def value(self, setting: Setting, account: str | None = None) -> Any:
        """Returns the value of a setting, or its default after a complaint or if not read."""
        if self.part not in setting.parts:
            return setting.default
        found = self.sources.find(setting, account)
        if found is None:
            if self.part in setting.required:
                self.missing(setting, account)
            return setting.default
        try:
            if setting.variable in NOT_YET:
                raise UnfitError("is not available yet", "remove it")
            value = setting.read(self.sources.resolve(found))
        except UnfitError as unfit:
            self.complain(found.where, unfit)
            return setting.default
        return found.base / value if isinstance(value, Path) else value

    def handlers(self, names: tuple[str, ...], rules: Path | None, account: str) -> tuple[str, ...]:
        """Returns the routers to run, the rules last unless they are named."""
        found = self.sources.find(HANDLERS, account) if self.part in WORKER else None
        if rules is None and RULES_ROUTER in names and found and self.sources.find(RULES, account) is None:
            problem = f"names rules, and {RULES.variable} is not set"
            self.complain(
                found.where, UnfitError(problem, "set it to the path of a rules file, or remove the word rules")
            )
        if self.part in WORKER and found is None and rules is None and self.sources.find(RULES, account) is None:
            self.missing(HANDLERS, account)
        return names if rules is None or RULES_ROUTER in names else (*names, RULES_ROUTER)

    def router_settings(self) -> Mapping[str, Mapping[str, Any]]:
        """Returns the [handlers.NAME] tables by router name, for a part that runs them."""
        tables: dict[str, Mapping[str, Any]] = {}
        for name, table in self.sources.file.routers.items() if self.part in WORKER else ():
            values = {}
            for key, given in table.items():
                found = Found(given, f"{plain(f'handlers.{name}.{key}')} ({self.sources.file.name})", Path())
                try:
                    values[key] = self.sources.resolve(found)
                except UnfitError as unfit:
                    self.complain(found.where, unfit)
            tables[name] = MappingProxyType(values)
        return MappingProxyType(tables)

    def missing(self, setting: Setting, account: str | None) -> None:
        """Complains of a missing value, unless it may stand in a file that cannot be read."""
        file = self.sources.file
        if file.complaint or file.no_tables:
            return
        where, cure = setting.variable, "set it"
        if setting.account_keys:
            in_table = f"{setting.key} in [accounts.{plain(account or 'NAME')}] of {file.name}"
            cure = f"set it, or {in_table}"
            if len(file.accounts) > 1:
                where, cure = (
                    f"{plain(f'accounts.{account}.{setting.key}')} ({file.name})",
                    f"give {in_table}",
                )
        self.complain(where, UnfitError("is missing", f"{cure}: {setting.help}"))

    def complain(self, where: str, unfit: UnfitError) -> None:
        """Notes what is wrong with a value."""
        self.complaints.extend(Complaint(where, each.problem, each.cure) for each in (unfit, *unfit.more))
