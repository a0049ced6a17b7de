"""Switches for what nobody knows about HappyFox, with the most likely defaults."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How this HappyFox behaves. Docstrings say what is unknown, and who says what."""

    account: str = "demo"
    key: str = "demo-key"
    code: str = "demo-code"
    enabled: bool = True
    """False: the API key is switched off."""
    disabled_status: Literal[401, 403] = 401
    """The response to a key that is switched off: not documented."""
    realm: str = "API"
    """The realm of the challenge: `API` in older, `Basic` in newer text of the legacy developer page."""
    acts_as: int | None = None
    """The key sees only this staff member's categories (one guide); None: the whole account (another guide)."""
    forbidden_status: Literal[403, 400] = 403
    """The response to a staff member without the permission: not documented."""

    gets: int = 500
    """GET calls allowed per window (KB 1148)."""
    posts: int = 300
    """Other calls allowed per window (KB 1148)."""
    window: float = 60.0
    """The window in seconds (KB 1148)."""
    lockout: float = 600.0
    """Seconds during which every call is refused after one call too many (KB 1148)."""
    window_shape: Literal["sliding", "fixed"] = "sliding"
    """Whether the window slides or restarts with each minute: not documented."""
    puts_count: bool = True
    """Whether PUT and DELETE count with POST: assumed; KB 1148 mentions only GET and POST."""
    lockout_scope: Literal["account", "class"] = "account"
    """What a lockout covers: not documented."""
    lockout_status: Literal[429, 503] = 429
    """429 (KB 1148); 503 with a wait in the body (legacy developer page)."""
    lockout_extends: bool = False
    """Whether calls during a lockout restart it: assumed not."""
    retry_after: bool = False
    """Whether a refusal carries `Retry-After`: not documented."""
    remaining_header: bool = False
    """Whether responses carry `X-RateLimit-Remaining`, which one client reads: assumed not."""
    failed_calls_count: bool = True
    """Whether calls answered with 4xx count: assumed."""

    overlap: Literal["refuse", "fail", "lose", "serialise"] = "refuse"
    """A write during another write to the same ticket is "not supported" (tickets article): 409, 500, 200 but lost,
    or performed."""
    overlap_covers: Literal["every write", "staff_update"] = "every write"
    """What must not overlap: only `staff_update` (tickets article), or every write to the ticket (others)."""
    latency: float = 0.0
    """Seconds from the arrival of a write on the socket until it is applied."""

    validation_status: Literal[400, 422] = 400
    """400 (tickets article); one live user calls it "422-style"."""
    completion_status: Literal[400, 200, 422] = 400
    """Closing with an empty compulsory field: the article shows the body, not the status."""
    gone_status: Literal[404, 400] = 404
    """Deleting an unknown ticket: 404 assumed; 400 in one client's test doubles."""
    bare_writes: bool = False
    """Writes whose response no article shows have an empty body; otherwise the object: assumed."""
    thin_creations: bool = False
    """A created ticket is returned without `last_modified` and `visible_only_staff`: in one client's recordings."""

    tag_updates: bool = True
    """Whether update_tags adds an update: assumed."""
    tags_need_staff: bool = False
    """Whether update_tags requires `staff_id`: the 2026 edition of KB 1039; older ones do not have it."""
    forward_updates: bool = False
    """Whether forward adds an update: not documented."""
    nothing_to_update: bool = False
    """A staff_update without message that changes nothing: an update (one user's trial), or 400 (another's)."""
    tags_on_update: Literal["add", "replace"] = "add"
    """What `tags` on staff_update does: not documented."""
    last_staff_message: Literal["ignore", "refuse"] = "ignore"
    """A `last_staff_message` that is not the last one: ignored, or refused with 409; not documented."""
    message_ids: bool = False
    """Whether a message has an `id` of its own, for `last_staff_message`: not shown in any response."""
    plain_text_key: Literal["both", "plaintext", "text"] = "both"
    """The name of a plain reply: `plaintext` in the articles, `text` in other clients; the other is not read."""
    contact_field_key: Literal["both", "ccf", "c-cf"] = "both"
    """The prefix of contact fields on ticket calls: `ccf` in the article's table, `c-cf` in its example."""
    unknown_values: Literal["refused", "ignored"] = "refused"
    """An unknown custom field or `sort`, or negative minutes: refused with 400, so that mistakes show, or ignored;
    not documented."""
    blank_clears: bool = True
    """Null, an empty text or an empty list clears a custom field: assumed; otherwise it stays."""
    multiple_values: Literal["text", "list"] = "text"
    """`value` of a multiple choice: labels joined by commas, or a list of them: not documented."""
    reopen_on_reply: bool = False
    """A contact's reply to a closed ticket sets the default status: assumed to be an account's choice."""
    notes_count_as_replies: bool = False
    """A private note sets `last_staff_reply_at` and `last_updated_at`: assumed not."""
    prefix_follows_category: bool = False
    """A moved ticket takes the new category's prefix in its display id: assumed not."""

    merged_reads: Literal["itself", "missing", "survivor"] = "itself"
    """How a merged ticket reads: as it was, with `merged_to`; 404; or as the surviving one: not documented. Writes to
    it are 404: assumed."""
    merged_updates: Literal["kept", "copied"] = "kept"
    """Whether the updates of a merged ticket keep their ids; they keep their dates: assumed."""

    default_status: Literal["_all", "_pending"] = "_all"
    """The list without `status`: `_all` (tickets article); one client says it covers less."""
    list_updates: Literal["asked", "always", "never"] = "asked"
    """When lists carry `updates`: with `show_updates`, or always (2026 edition of KB 1039)."""
    fields_trim: bool = True
    """`fields` trims the list (tickets article); one client says most accounts ignore it."""
    filters_as_parameters: bool = True
    """`tag`, `duedate`, `breached` and the other filter fields also work outside `q`: assumed."""
    oversized_page: Literal["cut", "refused"] = "cut"
    """A `size` above 50: reduced to 50 (assumed), or 400."""
    past_the_end: Literal["empty", "missing"] = "empty"
    """A page after the last one: 200 with an empty list (assumed), or 404."""
    day_offset: float = 0.0
    """Seconds between UTC and the time zone of whole-day search terms: UTC assumed."""
    html_documents: bool = False
    """A message's HTML is returned as a whole document: seen in recorded responses."""

    link_seconds: float = 300.0
    """How long an attachment link is valid: 5 minutes (KB 1039); one live user says about 15."""
    link_uses: int | None = 1
    """How often a link works: once (KB 1039); None: any number of times."""
    links_refuse_credentials: bool = True
    """A signed link sent with credentials is answered with 400, as stores of signed links do: assumed."""
    relative_links: bool = False
    """Attachment links start with `/`: seen on old accounts."""

    members_of_groups: Literal["contacts", "ids"] = "contacts"
    """`contacts` of a contact group: the article's example has none."""
    members_as_objects: bool = False
    """update_contacts also takes `{"contacts": [{"id": 1}]}`: one condensed note; the article has a list."""
    asset_field_path: Literal["both", "singular", "plural"] = "both"
    """The path of one asset field: plural in the 2025 edition of KB 1201, singular in that of 2026."""
    asset_names_required: bool = False
    """PUT of an asset requires `name` and `display_id`: the 2025 edition of KB 1201, not that of 2026."""
    deletion_status: Literal[200, 204] = 200
    """The response to deleting an asset, which is empty: KB 1201 shows none."""
    articles_paged: bool = False
    """Knowledge-base lists are paged instead of bare lists: not documented."""

    keep: int = 50_000
    """The minimum number of calls and deliveries kept in the logs."""
