"""The switches of a simulator: what nobody knows about HappyFox, with the likeliest answer as default."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Options:
    """How this HappyFox behaves. Unknown facts and their sources: the comment below each switch."""

    account: str = "demo"
    key: str = "demo-key"
    code: str = "demo-code"
    enabled: bool = True
    """False: the API key is switched off."""
    disabled_status: Literal[401, 403] = 401
    """What a key that is switched off is answered: not documented."""
    realm: str = "API"
    """The realm of the challenge: `API` in older, `Basic` in newer text of the legacy developer page."""
    acts_as: int | None = None
    """The staff member whose categories are all the key sees (one guide); None: the whole account (another)."""
    forbidden_status: Literal[403, 400] = 403
    """How a staff member without the right is refused: not documented."""

    gets: int = 500
    posts: int = 300
    window: float = 60.0
    lockout: float = 600.0
    """Calls per window and class, and how long everything is refused afterwards (KB 1148)."""
    window_shape: Literal["sliding", "fixed"] = "sliding"
    """Whether the window slides or starts anew with each minute: not documented."""
    puts_count: bool = True
    """Whether PUT and DELETE count with POST: assumed; KB 1148 speaks of GET and POST alone."""
    lockout_scope: Literal["account", "class"] = "account"
    """What a lockout covers: not documented."""
    lockout_status: Literal[429, 503] = 429
    """429 (KB 1148); 503 with a wait in the body is the legacy developer page."""
    lockout_extends: bool = False
    """Whether calls during a lockout start it anew: assumed not."""
    retry_after: bool = False
    """Whether a refusal carries `Retry-After`: not documented."""
    remaining_header: bool = False
    """Whether answers carry `X-RateLimit-Remaining`, which one client reads: assumed not."""
    failed_calls_count: bool = True
    """Whether calls answered 4xx count: assumed."""

    overlap: Literal["refuse", "fail", "lose", "serialise"] = "refuse"
    """A write that begins while another to the same ticket is in progress is "not supported" (tickets
    article): 409, 500, answered 200 and lost, or let through."""
    overlap_covers: Literal["every write", "staff_update"] = "every write"
    """What must not overlap: `staff_update` alone (tickets article), or every write to the ticket (others)."""
    latency: float = 0.0
    """Seconds a write takes on the socket, from arrival until it is applied."""

    validation_status: Literal[400, 422] = 400
    """400 (tickets article); one live user calls it "422-style"."""
    completion_status: Literal[400, 200, 422] = 400
    """Closing with an empty compulsory field: the article shows the body, not the status."""
    gone_status: Literal[404, 400] = 404
    """Deleting an unknown ticket: 404 assumed; 400 in one client's test doubles."""
    bare_writes: bool = False
    """Writes whose answer no article shows have an empty one; otherwise the object: assumed."""
    thin_creations: bool = False
    """A created ticket comes back without `last_modified` and `visible_only_staff`: in one client's recordings."""

    tag_rows: bool = True
    """update_tags adds an update row: assumed."""
    tags_need_staff: bool = False
    """update_tags requires `staff_id`: the 2026 edition of KB 1039; older ones have none."""
    forward_rows: bool = False
    """forward adds an update row: not documented."""
    nothing_to_update: bool = False
    """staff_update without message that changes nothing: a row (one user's trial), or 400 (another's)."""
    tags_on_update: Literal["add", "replace"] = "add"
    """What `tags` on staff_update does: not documented."""
    last_staff_message: Literal["ignore", "refuse"] = "ignore"
    """`last_staff_message` that is not the last one: ignored, or refused with 409; failure not documented."""
    message_ids: bool = False
    """Whether a message has an `id` of its own, for `last_staff_message`: not shown in any answer."""
    plain_text_key: Literal["both", "plaintext", "text"] = "both"
    """The name of a plain reply: `plaintext` in the articles, `text` in other clients; the other is not read."""
    contact_field_key: Literal["both", "ccf", "c-cf"] = "both"
    """The prefix of contact fields on updates: `ccf` in the article's table, `c-cf` in its example."""
    unknown_values: Literal["refused", "ignored"] = "refused"
    """A custom field that does not exist, negative minutes, an unknown `sort`: refused with 400, so that a slip shows,
    or ignored; not documented."""
    blank_clears: bool = True
    """Null, an empty text or list clears a custom field: assumed; otherwise it stays."""
    multiple_values: Literal["text", "list"] = "text"
    """`value` of a multiple choice: labels joined by commas, or a list of them: not documented."""
    reopen_on_reply: bool = False
    """A contact's reply to a closed ticket sets the default status: assumed to be an account's choice."""
    notes_count_as_replies: bool = False
    """A private note moves `last_staff_reply_at` and `last_updated_at`: assumed not."""
    prefix_follows_category: bool = False
    """A moved ticket takes the new category's prefix in its display id: assumed not."""

    merged_reads: Literal["itself", "missing", "survivor"] = "itself"
    """How a merged ticket reads: as it was, with `merged_to`; 404; or as the surviving one: not documented. Writes to
    it are 404: assumed."""
    merged_rows: Literal["kept", "copied"] = "kept"
    """Whether the rows that a merge brings keep their ids; their dates they keep: assumed."""

    unsaid_status: Literal["_all", "_pending"] = "_all"
    """The list without `status`: `_all` (tickets article); one client says it covers less."""
    list_updates: Literal["asked", "always", "never"] = "asked"
    """When lists carry `updates`: with `show_updates`, or always (2026 edition of KB 1039)."""
    fields_trim: bool = True
    """`fields` trims the list (tickets article); one client says most accounts ignore it."""
    filters_as_parameters: bool = True
    """`tag`, `duedate`, `breached` and the other filter fields work outside `q`, too: assumed."""
    oversized_page: Literal["cut", "refused"] = "cut"
    """A `size` above 50: cut to 50 assumed; 400 otherwise."""
    past_the_end: Literal["empty", "missing"] = "empty"
    """A page beyond the last: 200 without rows assumed; 404 otherwise."""
    day_offset: float = 0.0
    """Seconds between UTC and the zone of whole-day search terms: UTC assumed."""
    html_documents: bool = False
    """A message's html comes back wrapped in a whole document: seen in recorded answers."""

    link_seconds: float = 300.0
    """How long an attachment link lives: 5 minutes (KB 1039); one live user says about 15."""
    link_uses: int | None = 1
    """Downloads a link allows: one-time (KB 1039); None: any number."""
    links_refuse_credentials: bool = True
    """A signed link that is sent credentials as well answers 400, as storages of signed links do: assumed."""
    relative_links: bool = False
    """Attachment links start with `/`: seen on old accounts."""

    members_of_groups: Literal["contacts", "ids"] = "contacts"
    """`contacts` of a contact group: the article's example has none."""
    members_as_objects: bool = False
    """update_contacts takes `{"contacts": [{"id": 1}]}` as well: one condensed note; the article has a list."""
    asset_field_path: Literal["both", "singular", "plural"] = "both"
    """The path of one asset field: plural in the 2025 edition of KB 1201, singular in that of 2026."""
    asset_names_required: bool = False
    """PUT of an asset requires `name` and `display_id`: the 2025 edition of KB 1201, not that of 2026."""
    deletion_status: Literal[200, 204] = 200
    """The answer to the deletion of an asset, which is empty: KB 1201 shows none."""
    articles_paged: bool = False
    """Knowledge-base lists come in pages instead of bare lists: not documented."""

    keep: int = 50_000
    """Calls and deliveries kept in the logs, at least."""
