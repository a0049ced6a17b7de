"""Load the settings from the environment, which wins, and foxhooks.toml; report every problem at once."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from workers.errors import suggest
from workers.settings import clients, parse
from workers.settings.alerts import parse_alert
from workers.settings.model import (
    Account,
    Alert,
    Budget,
    Calling,
    DashboardProxy,
    DashboardUser,
    GatewayClient,
    HookSender,
    Origin,
    RulesFile,
    Secret,
    SettingProblem,
    Settings,
    ShownSetting,
    Token,
)
from workers.settings.parse import InvalidValueError, SettingsError, nearest_setting, printable
from workers.settings.sources import GivenValue, SettingsFile, Sources, Table, is_given, read_file, references
from workers.settings.table import (
    ALLOW,
    BOTH,
    DATA,
    GATEWAY,
    GATEWAY_PORT,
    HANDLERS,
    NAME,
    PAGES,
    PORT,
    REDIS,
    RULES,
    SETTINGS,
    SMTP,
    URL,
    WEB,
    WORKER,
    Part,
    Setting,
)

UNNAMED = ""
"""The name of an account whose name is not known."""

RULES_ROUTER = "rules"
"""The name of the rules file in the list of routers."""

_PREFIXES = ("FOXHOOKS_", "HAPPYFOX_")
#: What `foxhooks --at URL` sends: a variable of a person's shell that no process reads.
COMMAND_TOKEN = "FOXHOOKS_TOKEN"  # noqa: S105 - its name
_VARIABLES = {row.variable: row for row in SETTINGS}
_KNOWN_VARIABLES = {variable: row for row in SETTINGS for variable in row.variables}
_TOP = {key: row for row in SETTINGS for key in row.top_keys}
_IN_ACCOUNT = {key: row for row in SETTINGS for key in row.account_keys}
_ANYWHERE = {**{variable.lower(): row for variable, row in _KNOWN_VARIABLES.items()}, **_TOP, **_IN_ACCOUNT}
_TABLES = ("accounts", "router", "hooks", "clients", "permissions")
_HOOK_KEYS = ("secret", "header")


def load(part: Part, environ: Mapping[str, str], folder: Path) -> Settings:
    """Return the settings *part* reads, from *environ* and the settings file in *folder*.

    `web` and `worker` neither need nor read each other's settings, `all` is both, `store` reads no account. Raise
    SettingsError with every problem.
    """
    loader = _Loader(part, environ, folder)
    loader.problems.extend(_name_problems(loader.sources, part))
    settings = loader.settings()
    loader.finish()
    return settings


def rules_files(environ: Mapping[str, str], folder: Path) -> list[RulesFile]:
    """Return the rules file of each account, or a single entry without accounts.

    Ignore all other settings. Raise SettingsError with every problem.
    """
    loader = _Loader("worker", environ, folder)
    names = loader.sources.file.accounts or [UNNAMED]
    found = [
        RulesFile(name, loader.value(RULES, name), loader.value(ALLOW, name), loader.sources.origin(ALLOW, name))
        for name in names
    ]
    loader.finish()
    return found


def drafts(environ: Mapping[str, str], folder: Path) -> list[Account]:
    """Return what is known of each account despite problems in its settings, to check its handlers.

    What is missing or wrong is empty: do not run such an account.
    """
    loader = _Loader("worker", environ, folder)
    return [loader.account(name) for name in loader.sources.file.accounts or [UNNAMED]]


def load_account(environ: Mapping[str, str], folder: Path, name: str = "") -> Calling:
    """Return the account of this name, or the only one, with the settings that its calls need.

    Handlers and rules are not read, and the staff id is optional (0). Raise SettingsError with every problem.
    """
    loader = _Loader("calls", environ, folder)
    names = loader.names()
    if name and name not in names:
        loader.problems.append(SettingProblem(name, "is not an account here", f"use one of {', '.join(names)}"))
    elif not name and len(names) > 1:
        problem = "is ambiguous, because there are several accounts"
        loader.problems.append(SettingProblem("the account", problem, f"name one of {', '.join(names)}"))
    account = loader.account(name if name in names else names[0])
    redis_url, data = loader.value(REDIS), loader.sources.folder / loader.value(DATA)
    loader.finish()
    return Calling(account, redis_url, data)


def describe_value(row: Setting, value: Any) -> str:
    """Return a value in force as text, of a secret only how long it is."""
    if isinstance(value, Secret):
        return f"set, {len(value.reveal())} characters" if value else ""
    if row is REDIS:
        return _without_password(value) if value else "embedded store"
    if isinstance(value, DashboardProxy):
        return f"{value.user_header} from {', '.join(map(str, value.networks))}"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple | frozenset):
        return ", ".join(_describe_items(row, value))
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _describe_items(row: Setting, values: Iterable[Any]) -> Iterator[str]:
    for each in sorted(values, key=str) if isinstance(values, frozenset) else values:
        if isinstance(each, Token | DashboardUser):
            yield f"{each.name}:{each.role}"
        else:
            yield ":".join(each) if isinstance(each, tuple) else describe_value(row, each)


def _without_password(address: str) -> str:
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{'***@' if '@' in parts.netloc else ''}{host}{parts.path}"


# Names


def _name_problems(sources: Sources, part: Part) -> Iterator[SettingProblem]:
    """Yield a problem for each name that is unknown, given twice or in the wrong place.

    A misspelled name is reported to the parts that read the most similar setting, so that a mistake in a worker's
    setting does not stop the web process; a name that resembles no setting is reported to all parts.
    """
    file = sources.file
    for name in file.not_tables:
        group = name.partition(".")[0]
        if part in {"accounts": BOTH | PAGES | GATEWAY, "hooks": WEB, "clients": GATEWAY}.get(group, WORKER):
            fix = "write [accounts.NAME], [router.NAME], [hooks.NAME] or [clients.NAME], with its settings below"
            yield SettingProblem(file.where(name), "is not a table", fix)
    yield from _variable_problems(sources, part)
    yield from _key_problems(file.top, _TOP, "", file, part)
    for name, table in file.accounts.items():
        yield from _key_problems(table, _IN_ACCOUNT, f"accounts.{name}.", file, part)
    for name in file.routers if part in WORKER else ():
        router = name.partition(".")[2]
        if not parse.ROUTER.fullmatch(router):
            fix = "use a to z, 0 to 9 and hyphens, for example crm"
            yield SettingProblem(file.where(name), "is not a valid router name", fix)
        elif name.startswith("handlers.") and f"router.{router}" in file.routers:
            yield SettingProblem(file.where(name), "is given twice under two names", f"keep only [router.{router}]")
    if len(file.accounts) > 1:
        yield from _ambiguous(sources, part)


def _variable_problems(sources: Sources, part: Part) -> Iterator[SettingProblem]:
    file = sources.file
    groups = (file.top, file.accounts, file.routers, file.hooks, file.clients)
    referred = {name for group in groups for name in references(group)}
    for name in sources.environ:
        row = _KNOWN_VARIABLES.get(name)
        where = f"{printable(name)} (environment)"
        if row and row.is_old(name) and part in row.parts and is_given(sources.environ.get(row.variable)):
            yield SettingProblem(where, "is given twice under two names", f"keep only {row.variable}")
        elif row is None and name.startswith(_PREFIXES) and name not in {*referred, COMMAND_TOKEN}:
            guess = nearest_setting(name, _VARIABLES)
            if guess is None or part in _VARIABLES[guess].parts:
                yield SettingProblem(where, "is not a setting", _did_you_mean(guess))


def _key_problems(
    table: Table, known: Mapping[str, Setting], prefix: str, file: SettingsFile, part: Part
) -> Iterator[SettingProblem]:
    for key, value in table.items():
        where = file.where(prefix + key)
        if key not in known:
            meant, fix = _misplaced(key, known) if key in _ANYWHERE else _misspelled(key, value, known)
            if meant is None or part in meant.parts:
                yield SettingProblem(where, "is not a setting here", fix)
        elif part in known[key].parts and any(
            known[other] is known[key] for other in table if other in known and other < key
        ):
            yield SettingProblem(where, "is given twice under two names", "remove one of them")


def _misplaced(key: str, known: Mapping[str, Setting]) -> tuple[Setting, str]:
    meant = _ANYWHERE[key]
    if known is _IN_ACCOUNT:
        here = next(iter(meant.account_keys), None)
        return meant, f"write {here}" if here else "move it to the top of the file, above the first [table]"
    return meant, "move it into [accounts.NAME]" if meant.account_keys else f"set {meant.variable} instead"


def _misspelled(key: str, value: object, known: Mapping[str, Setting]) -> tuple[Setting | None, str]:
    current = [each for each, row in known.items() if not row.is_old(each)]
    guess = nearest_setting(key, _TABLES if known is _TOP and isinstance(value, dict) else current)
    return known.get(guess or ""), _did_you_mean(guess)


def _did_you_mean(guess: str | None) -> str:
    return f"did you mean {guess!r}?" if guess else "remove it; docs/settings.md lists all settings"


def _ambiguous(sources: Sources, part: Part) -> Iterator[SettingProblem]:
    problem = f"applies to a single account, but the file has {' and '.join(map(printable, sources.file.accounts))}"
    for row in SETTINGS:
        if row.scope in ("single", "account") and part in row.parts and (found := sources.find(row)):
            fix = f"set {row.key} in each [accounts.NAME] instead" if row.account_keys else "remove it"
            yield SettingProblem(found.where, problem, fix)


# Values


class _Loader:
    """Collect the values that one part reads, and every problem with them."""

    def __init__(self, part: Part, environ: Mapping[str, str], folder: Path) -> None:
        self.part = part
        self.sources = Sources(environ, folder, read_file(environ, folder))
        broken = self.sources.file.problem
        self.problems: list[SettingProblem] = [broken] if broken else []
        self.warnings: list[SettingProblem] = []

    def finish(self) -> None:
        """Raise SettingsError with every problem, if there is any."""
        if self.problems:
            raise SettingsError(dict.fromkeys(self.problems))

    def settings(self) -> Settings:
        """Return everything the part reads."""
        rows = [row for row in SETTINGS if row.scope == "deployment"]
        values = {row.key: self.value(row) for row in rows}
        values["durability"] = values["durability"] or ("everysec" if values["redis_url"] else "fsync")
        shown = self.shown({row: values[row.key] for row in rows})
        accounts = [self.account(name) for name in self.names()] if self.part in BOTH | PAGES | GATEWAY else []
        port = self.sources.find(PORT)
        if self.part == "gateway" and self.sources.find(GATEWAY_PORT) is None and port and not port.in_file:
            values["gateway_port"] = values["port"]  # a platform sets it for the process
        return Settings(
            accounts=MappingProxyType({account.name: account for account in accounts}),
            data=self.sources.folder / values.pop("data"),
            lease=values.pop("lease_seconds"),
            hooks=self.hooks(),
            alerts=self.alerts(),
            clients=self.clients(),
            config_path=self.sources.file.path,
            warnings=tuple(dict.fromkeys(self.warnings)),
            origins={row.variable: self.sources.origin(row) for row in rows},
            shown=shown,
            **values,
        )

    def account(self, name: str) -> Account:
        """Return what the part reads of one account."""
        values = {row.key: self.value(row, name) for row in SETTINGS if row.account_keys}
        dry_run = values.pop("dry_run")
        return Account(
            name=name,
            secrets=values.pop("webhook_secrets"),
            budget=Budget(
                gets=values.pop("gets_per_minute"),
                posts=values.pop("posts_per_minute"),
                window=values.pop("window_seconds"),
                lockout=values.pop("lockout_seconds"),
                share=values.pop("budget_share"),
                in_flight=values.pop("in_flight"),
            ),
            timeout=values.pop("timeout_seconds"),
            doubt=values.pop("doubt_seconds"),
            handlers=self.handlers(values.pop("handlers"), values["rules"], name),
            dry_run=dry_run is True,
            dry_routers=dry_run if isinstance(dry_run, frozenset) else frozenset(),
            off_skips=values.pop("off") == "skip",
            router_settings=self.router_settings(),
            origins={row.variable: self.sources.origin(row, name) for row in SETTINGS if row.account_keys},
            shown=self.shown({row: self.value(row, name) for row in SETTINGS if row.account_keys}, name),
            **values,
        )

    def shown(self, values: Mapping[Setting, Any], account: str | None = None) -> tuple[ShownSetting, ...]:
        """Return what people may see of the settings that the part reads."""

        def show(row: Setting, value: Any) -> ShownSetting:
            source = str(self.sources.origin(row, account)) if self.sources.find(row, account) else "default"
            return ShownSetting(row.variable, describe_value(row, value), source)

        return tuple(show(row, value) for row, value in values.items() if self.part in row.parts)

    def names(self) -> list[str]:
        """Return the names of the accounts: those in the file, else the single one of the environment."""
        file = self.sources.file
        for name in file.accounts:
            try:
                if parse.account_name(name) != name:
                    raise InvalidValueError("begins or ends with white space", "remove it")
            except InvalidValueError as invalid:
                self.report(file.where(f"accounts.{name}"), invalid)
        found, given = self.sources.find(NAME), self.value(NAME)
        if not file.accounts:
            return [given or (UNNAMED if found else self.default_name())]
        tables = list(file.accounts)
        if given and found and len(tables) == 1 and given != tables[0]:
            problem = f"is {printable(given)}, but the account in the file is {printable(tables[0])}"
            self.report(found.where, InvalidValueError(problem, "remove it, or rename the table"))
        return tables

    def default_name(self) -> str:
        """Return the first label of the host; a broken URL is reported to the worker only."""
        found = self.sources.find(URL)
        if found is None:
            if self.part not in URL.parts:
                self.report_missing(NAME, None)
            return UNNAMED
        try:
            label = parse.label_of(parse.host_of(parse.text(self.sources.resolve(found))))
            problem = f"is required, because the host in {URL.variable} contains no account name"
        except InvalidValueError:
            label, problem = None, f"is required, because {URL.variable} cannot be read"
            if self.part in URL.parts:
                return UNNAMED
        if label is None:
            self.report(NAME.variable, InvalidValueError(problem, f"set it to {NAME.help}, for example acme"))
        return label or UNNAMED

    def value(self, setting: Setting, account: str | None = None) -> Any:
        """Return the value of a setting, or its default if it is invalid or not read."""
        if self.part not in setting.parts:
            return self.hint(setting, account) if self.part in setting.hints else setting.default
        found = self.sources.find(setting, account)
        if found is None:
            if self.part in setting.required:
                self.report_missing(setting, account)
            return setting.default
        if found.warning:
            self.warnings.append(found.warning)
        try:
            value = setting.parse(self.sources.resolve(found))
        except InvalidValueError as invalid:
            self.report(found.where, invalid)
            return setting.default
        if setting.doubts:
            doubts = setting.doubts(value)
            self.warnings.extend(SettingProblem(found.where, each.problem, each.fix) for each in doubts)
        return found.base / value if isinstance(value, Path) else value

    def hint(self, setting: Setting, account: str | None) -> Any:
        """Return the value of a setting of another part if it is valid, else its default."""
        try:
            found = self.sources.find(setting, account)
            return setting.parse(self.sources.resolve(found)) if found else setting.default
        except InvalidValueError:
            return setting.default

    def handlers(self, names: tuple[str, ...], rules: Path | None, account: str) -> tuple[str, ...]:
        """Return the routers to run, the rules last unless they are named."""
        if self.part in WORKER and rules is None and self.sources.find(RULES, account) is None:
            found = self.sources.find(HANDLERS, account)
            if found is None:
                self.report_missing(HANDLERS, account)
            elif RULES_ROUTER in names:
                fix = "set it to the path of a rules file, or remove the word rules"
                self.report(found.where, InvalidValueError(f"names rules, but {RULES.variable} is not set", fix))
        return names if rules is None or RULES_ROUTER in names else (*names, RULES_ROUTER)

    def router_settings(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the [router.NAME] tables by router name, for a part that runs them."""
        tables: dict[str, Mapping[str, Any]] = {}
        file = self.sources.file
        for name, table in file.routers.items() if self.part in WORKER else ():
            router, values = name.partition(".")[2], {}
            if name.startswith("handlers."):
                problem = "is an old form, and the next release will reject it"
                self.warnings.append(SettingProblem(file.where(f"[{name}]"), problem, f"write [router.{router}]"))
            for key, value in table.items():
                origin = Origin(key, file.name, name)
                given = GivenValue(value, file.where(f"{name}.{key}"), Path(), origin=origin)
                try:
                    values[key] = self.sources.resolve(given)
                except InvalidValueError as invalid:
                    self.report(given.where, invalid)
            tables[router] = MappingProxyType(values)
        return MappingProxyType(tables)

    def hooks(self) -> Mapping[str, HookSender]:
        """Return the [hooks.NAME] tables, for a part that serves them."""
        found, file = {}, self.sources.file
        for name, table in file.hooks.items() if self.part in WEB else ():
            where = f"hooks.{name}"
            if not parse.ROUTER.fullmatch(name):
                invalid = InvalidValueError("is not a valid name", "use a to z, 0 to 9 and hyphens, for example jira")
                self.report(file.where(where), invalid)
            for key in table.keys() - set(_HOOK_KEYS):
                fix = suggest(key, _HOOK_KEYS)
                self.report(file.where(f"{where}.{key}"), InvalidValueError("is not a setting of a hook", fix))
            if "secret" not in table:
                self.report(file.where(where), InvalidValueError("has no secret", "add secret = ..."))
                continue
            secrets = self.member(where, "secret", table["secret"], parse.secrets)
            header = self.member(where, "header", table.get("header", ""), parse.header)
            if secrets and header is not None:
                found[name] = HookSender(secrets, header)
        return MappingProxyType(found)

    def member(self, table: str, key: str, value: object, parser: parse.Parser) -> Any:
        """Return a value of a table of the file, None if it is invalid, which is reported."""
        file = self.sources.file
        given = GivenValue(value, file.where(f"{table}.{key}"), Path(), origin=Origin(key, file.name, table))
        try:
            return parser(self.sources.resolve(given))
        except InvalidValueError as invalid:
            self.report(given.where, invalid)
            return None

    def alerts(self) -> tuple[Alert, ...]:
        """Return what people are told of, for a part that tells them."""
        file, found = self.sources.file, list[Alert]()
        if self.part not in BOTH:
            return ()
        if not isinstance(file.alerts, list) or not all(isinstance(each, Mapping) for each in file.alerts):
            problem = InvalidValueError("is not a list of tables", "write [[alert]] above each of them")
            self.report(file.where("alert"), problem)
            return ()
        for number, table in enumerate(file.alerts, 1):
            where = file.where(f"alert {number}")
            try:
                found += parse_alert(table, self.sources.variable)
            except InvalidValueError as invalid:
                self.report(where, invalid)
        unknown = {each.account for each in found if each.account not in ("", *file.accounts)} if file.accounts else ()
        for name in unknown:
            problem = InvalidValueError(f"names the unknown account {name!r}", f"use one of {', '.join(file.accounts)}")
            self.report(file.where("alert"), problem)
        if any(address.kind == "mail" for each in found for address in each.to) and not self.value(SMTP):
            fix = f"set {SMTP.variable}, for example to smtps://user:password@mail.example.com"
            self.report(file.where("alert"), InvalidValueError(f"sends mail, but {SMTP.variable} is missing", fix))
        return tuple(found)

    def clients(self) -> Mapping[str, GatewayClient]:
        """Return the programs that may use the gateway, for a part that serves it."""
        file, found = self.sources.file, dict[str, GatewayClient]()
        for name, table in file.clients.items() if self.part in GATEWAY else ():
            values: dict[str, Any] = {}
            try:
                clients.check_name(name)
            except InvalidValueError as invalid:
                self.report(file.where("clients"), invalid)
                continue
            for key, value in table.items():
                where = file.where(f"clients.{name}.{key}")
                given = GivenValue(value, where, Path(), origin=Origin(key, file.name, f"clients.{name}"))
                try:
                    field, parsed = clients.parse_key(key, self.sources.resolve(given))
                    values[field] = parsed
                except InvalidValueError as invalid:
                    self.report(where, invalid)
            if "token" not in table:
                missing = InvalidValueError("is missing", 'write token = "env:VARIABLE", and set that variable')
                self.report(file.where(f"clients.{name}.token"), missing)
            token = values.setdefault("token", Secret(""))
            if token and any(each.token == token for each in found.values()):
                shared = InvalidValueError("is also another client's", "give each client a token of its own")
                self.report(file.where(f"clients.{name}.token"), shared)
            found[name] = GatewayClient(name=name, where=file.name, **values)
        return MappingProxyType(found)

    def report_missing(self, setting: Setting, account: str | None) -> None:
        """Report a missing value, unless it may be in a file that cannot be read."""
        file = self.sources.file
        if file.problem or file.not_tables:
            return
        where, fix = setting.variable, "set it"
        if setting.account_keys:
            in_table = f"{setting.key} in [accounts.{printable(account or 'NAME')}] of {file.name}"
            fix = f"set it, or {in_table}"
            if len(file.accounts) > 1:
                where, fix = file.where(f"accounts.{account}.{setting.key}"), f"set {in_table}"
        self.report(where, InvalidValueError("is missing", f"{fix}: {setting.help}"))

    def report(self, where: str, invalid: InvalidValueError) -> None:
        """Record what is wrong with a value."""
        self.problems.extend(SettingProblem(where, each.problem, each.fix) for each in (invalid, *invalid.more))
