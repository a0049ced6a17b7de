"""The variables that a process gets: what every program needs, and the settings that the process reads."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from workers.settings.alerts import variables
from workers.settings.sources import Sources, read_file, references
from workers.settings.table import BOTH, GATEWAY, SETTINGS, WEB, Part

_PLAIN = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM", "NO_COLOR"),
        *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "VIRTUAL_ENV", "XDG_RUNTIME_DIR", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    }
)
_PLAIN_PREFIXES = ("LC_", "PYTHON", "MALLOC_")
#: Error reports need these; they are not settings of foxhooks.
_REPORTS = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "DYNO"})


def plain_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that any program may need, without settings and secrets."""
    return {name: value for name, value in environ.items() if name in _PLAIN or name.startswith(_PLAIN_PREFIXES)}


def environ_for(part: Part, environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the variables that a part needs, with the settings file in *folder*; those of other parts are left out."""
    wanted = {*_settings(part), *_referred(part, Sources(environ, folder, read_file(environ, folder))), *_REPORTS}
    read = {name: value for name, value in environ.items() if name in wanted or name.startswith("SENTRY_")}
    return {**plain_environ(environ), **read}


def _settings(part: Part) -> Iterator[str]:
    for setting in SETTINGS:
        if part in setting.parts | setting.hints:
            yield from setting.variables


def _referred(part: Part, sources: Sources) -> Iterator[str]:
    """Yield the variables that the file names with "env:NAME" for settings of the part."""
    if part in BOTH:
        yield from variables(sources.file.alerts)
    for setting in SETTINGS:
        for account in (None, *sources.file.accounts) if part in setting.parts | setting.hints else ():
            if found := sources.find(setting, account):
                yield from references(found.value)
    if part in WEB:
        yield from references(sources.file.hooks)
    if part in GATEWAY:
        yield from references(sources.file.clients)
