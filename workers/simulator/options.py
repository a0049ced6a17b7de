"""Switches for undocumented behavior of HappyFox. Defaults are the most likely behavior."""

import ast
import inspect
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the simulated HappyFox behaves. Docstrings say what is unknown and what the sources say."""

    account: str = "demo"
    """The name of the account."""
    key: str = "demo-key"
    """The API key that is accepted."""
    code: str = "demo-code"
    """The auth code that is accepted."""
    enabled: bool = True
    """False: the API key is disabled."""
    disabled_status: Literal[401, 403] = 401
    """The response to a disabled key: not documented."""
    realm: str = "API"
    """The realm of the challenge: `API` in older versions of the legacy developer page, `Basic` in newer ones."""
    acts_as: int | None = None
    """The key sees only this staff member's categories (one guide). None: the whole account (another guide)."""
    forbidden_status: Literal[403, 400] = 403
    """The response to a staff member without the permission: not documented."""

    strict: bool = True
    """Whether unknown members, parameters, files and fields, and values of the wrong type, are answered with 400.

    HappyFox ignores at least two unknown members (tried by one user), which hides mistakes; False ignores or converts
    all of them.
    """

    gets: int = 500
    """GET calls allowed per window (KB 1148)."""
    posts: int = 300
    """Other calls allowed per window (KB 1148)."""
    window: float = 60.0
    """The window in seconds (KB 1148)."""
    lockout: float = 600.0
    """Seconds for which every call is refused after one call too many (KB 1148)."""
    window_shape: Literal["sliding", "fixed"] = "sliding"
    """Whether the window slides or restarts with each minute: not documented."""
    puts_count: bool = True
    """Whether PUT and DELETE count like POST: assumed; KB 1148 mentions only GET and POST."""
    lockout_scope: Literal["account", "class"] = "account"
    """What a lockout covers: not documented."""
    lockout_status: Literal[429, 503] = 429
    """429 (KB 1148); 503 with a wait in the body (legacy developer page)."""
    lockout_extends: bool = False
    """Whether calls during a lockout restart it: assumed not."""
    retry_after: bool = False
    """Whether a refusal has the header `Retry-After`: not documented."""
    remaining_header: bool = False
    """Whether responses have the header `X-RateLimit-Remaining`, which one client reads: assumed not."""
    failed_calls_count: bool = True
    """Whether calls answered with 4xx count: assumed."""

    overlap: Literal["refuse", "fail", "lose", "serialise"] = "refuse"
    """A write during another write to the same ticket, which is "not supported" (tickets article).

    It is answered with 409 (`refuse`) or 500 (`fail`), lost despite a 200 (`lose`), or performed (`serialise`).
    """
    overlap_covers: Literal["every write", "staff_update"] = "every write"
    """What must not overlap: only `staff_update` (tickets article), or every write to the ticket (other sources)."""
    latency: float = 0.0
    """Seconds from the arrival of a write on the socket until it is applied."""

    validation_status: Literal[400, 422] = 400
    """400 (tickets article); one live user calls it "422-style"."""
    completion_status: Literal[400, 200, 422] = 400
    """The response to closing with an empty compulsory field: the article shows its body, but not its status."""
    gone_status: Literal[404, 400] = 404
    """The response to deleting an unknown ticket: 404 is assumed; one client's tests have 400."""
    bare_writes: bool = False
    """Whether writes whose response no article shows return an empty body instead of the object: assumed not."""
    thin_creations: bool = False
    """Whether a created ticket lacks `last_modified` and `visible_only_staff`, as in one client's recordings."""

    tag_updates: bool = True
    """Whether update_tags adds an update: assumed."""
    tags_need_staff: bool = False
    """Whether update_tags requires `staff_id`: in the 2026 edition of KB 1039; older editions do not have it."""
    forward_updates: bool = False
    """Whether forward adds an update: not documented."""
    nothing_to_update: bool = False
    """A staff_update that has no message and changes nothing: an update (tried by one user), or 400 (by another)."""
    tags_on_update: Literal["add", "replace"] = "add"
    """What `tags` on staff_update does: not documented."""
    last_staff_message: Literal["ignore", "refuse"] = "ignore"
    """A `last_staff_message` that is not the last one: ignored, or refused with 409; not documented."""
    message_ids: bool = False
    """Whether a message has an `id`, for `last_staff_message`: no documented response shows one."""
    plain_text_key: Literal["both", "plaintext", "text"] = "both"
    """The member that is read as a plain-text reply: `plaintext` in the articles, `text` in other clients."""
    contact_field_key: Literal["both", "ccf", "c-cf"] = "both"
    """The prefix of contact fields in ticket calls: `ccf` in the article's table, `c-cf` in its example."""
    form_lists: Literal["both", "repeated", "json"] = "both"
    """How a form writes a list: the member repeated (KB 579), or once with the list as JSON (one client)."""
    blank_clears: bool = True
    """Whether null, an empty text or an empty list clears a custom field: assumed."""
    multiple_values: Literal["text", "list"] = "text"
    """The `value` of a multiple choice: its labels joined by commas, or a list of labels: not documented."""
    reopen_on_reply: bool = False
    """Whether a contact's reply to a closed ticket sets the default status: assumed to be a choice of the account."""
    notes_count_as_replies: bool = False
    """Whether a private note sets `last_staff_reply_at` and `last_updated_at`: assumed not."""
    prefix_follows_category: bool = False
    """Whether the display id of a moved ticket gets the prefix of its new category: assumed not."""

    merged_reads: Literal["itself", "missing", "survivor"] = "itself"
    """How a merged ticket reads: as before, with `merged_to`; as a 404; or as the surviving ticket: not documented.

    Writes to it are answered with 404 (assumed).
    """
    merged_updates: Literal["kept", "copied"] = "kept"
    """Whether the updates of a merged ticket keep their ids: assumed. They always keep their dates."""

    default_status: Literal["_all", "_pending"] = "_all"
    """The default `status` of a list: `_all` (tickets article); one client says that the default covers less."""
    list_updates: Literal["asked", "always", "never"] = "always"
    """When lists contain `updates`: always (KB 1039 of 2026, recordings of clients), or with `show_updates` (older)."""
    fields_trim: bool = True
    """Whether `fields` trims the list: so says the tickets article; one client says that most accounts ignore it."""
    filters_as_parameters: bool = True
    """Whether `tag`, `duedate`, `breached` and the other filters also work outside `q`: assumed."""
    oversized_page: Literal["cut", "refused"] = "cut"
    """The response to a `size` above 50: 50 entries (assumed), or 400."""
    past_the_end: Literal["empty", "missing"] = "empty"
    """The response to a page after the last one: 200 with an empty list (assumed), or 404."""
    day_offset: float = 0.0
    """Seconds between UTC and the time zone of whole-day search terms: UTC assumed."""
    html_documents: bool = False
    """Whether a message's HTML is returned as a whole document, as in some recorded responses."""

    link_seconds: float = 300.0
    """How long an attachment link is valid: 5 minutes (KB 1039); one live user says about 15."""
    link_uses: int = 1
    """How often a link works: once (KB 1039); 0: any number of times."""
    links_refuse_credentials: bool = True
    """Whether a signed link that is sent with credentials is answered with 400, as file stores do: assumed."""
    relative_links: bool = False
    """Whether attachment links start with `/`, as on old accounts."""

    members_of_groups: Literal["contacts", "ids"] = "contacts"
    """What `contacts` of a contact group contains: the article's example is empty."""
    members_as_objects: bool = False
    """Whether update_contacts also accepts `{"contacts": [{"id": 1}]}`: in one set of notes; the article has a list."""
    asset_field_path: Literal["both", "singular", "plural"] = "both"
    """The path of one asset field: plural in the 2025 edition of KB 1201, singular in that of 2026."""
    asset_names_required: bool = False
    """Whether PUT of an asset requires `name` and `display_id`: in the 2025 edition of KB 1201, not in that of 2026."""
    deletion_status: Literal[200, 204] = 200
    """The status of the empty response to deleting an asset: KB 1201 shows none."""
    articles_paged: bool = False
    """Whether lists of the knowledge base are paged instead of bare lists: not documented."""

    keep: int = 50_000
    """The minimum number of calls and deliveries kept in the logs."""


def descriptions(model: type[Any]) -> dict[str, str]:
    """Return the docstrings of a class's members, by name."""
    (definition,) = ast.parse(inspect.getsource(model)).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for member, text in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name) and isinstance(text, ast.Expr):
            found[member.target.id] = inspect.cleandoc(str(ast.literal_eval(text.value)))
    return found
