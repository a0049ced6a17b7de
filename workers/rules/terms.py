"""Words of other products, with what rules call the same thing."""

import re
from collections.abc import Mapping
from typing import Final

from workers.tickets.folding import fold

Fixes = Mapping[str, str]


def _each(*several: tuple[str, str]) -> Fixes:
    return {word: fix for words, fix in several for word in words.split()}


#: Keys of a rule, with the fix.
KEYS: Final = _each(
    ("trigger triggers event events when_event run_on happens", 'write on = "ticket-created"'),
    ("if condition conditions criteria filter filters where all match", 'write each condition as when.status = "New"'),
    ("any or", 'write when.any = [{ tag = "vip" }, { priority = "High" }]'),
    ("unless except", 'write when.not_tag = "vip", or when.not = { tag = "vip", status = "New" }'),
    (
        "action actions then do perform steps",
        'write each action as a key of the rule, for example add_tags = ["vip"] or set.status = "Open"',
    ),
    ("else otherwise", "write a second rule with the opposite condition, such as when.not_tag"),
    ("title rule_name id", 'write name = "..."'),
    ("assign assign_to assigned_to assignto owner agent assign_agent set_assignee", 'write set.assignee = "Ada King"'),
    ("tags label labels add_label add_labels set_tags", 'write add_tags = ["vip"]'),
    ("remove_tag remove_label untag", 'write remove_tags = ["vip"]'),
    ("set_status change_status state set_state", 'write set.status = "In Progress"'),
    ("set_priority urgency severity escalate", 'write set.priority = "High"'),
    ("close solve resolve", 'write set.status = "Closed"'),
    ("set_field set_fields custom_field custom_fields fields field", 'write set.fields."Name of the field" = "value"'),
    ("comment internal_note private_note add_note internal_comment add_comment", 'write note = "..."'),
    (
        "email send_email mail send_mail notify notification send_reply public_reply public_comment message answer",
        'write reply = "..." for the contact, or forward = { to = "...", subject = "...", message = "..." }',
    ),
    ("queue group team department mailbox move_to transfer set_category category", 'write move = "Billing"'),
    ("follow followers watch watchers add_follower subscribers", 'write subscribe = ["Ada King"]'),
    ("schedule cron interval frequency", 'write every = "1d" with find = \'status:"On Hold"\''),
    ("query search view", "write find = 'status:\"On Hold\"'"),
    ("delay wait after later timer hours_since", 'write every = "1h" with find and older_than = "3d"'),
    ("due due_at due_on sla", 'write set.due_date = "3d"'),
    ("enabled active disabled", "remove it; put # before each line of a rule that should not run"),
    ("description comments", "write it as a comment: # and the text"),
    ("webhook http url post script code", "a rule cannot call other systems: write a handler in Python"),
    ("run_once only_once", "write once = true"),
    ("cc bcc survey time_spent attachments", 'write reply = { text = "...", cc = ["sales@example.com"] }'),
    ("order position weight run_order", "all rules that match run, from top to bottom: move the rule"),
    ("timezone time_zone tz at time hours_of_day", 'write when.hours = "Mon-Fri 09:00-17:00 Europe/Berlin"'),
    ("delete merge trash split", "a rule cannot do this: write a handler in Python, or do it in HappyFox"),
    ("unsubscribe remove_follower", "a rule cannot do this: write ticket.unsubscribe in a handler in Python"),
    ("choose round_robin", 'write set.assignee = { choose = ["Ada King", "Lin Wu"] }'),
    ("stop break stop_processing", "all rules that match run: let conditions exclude each other, such as when.not_tag"),
)

#: Conditions.
CONDITIONS: Final = _each(
    (
        "requester requester_email customer customer_email client client_email user user_email sender from_email email"
        " from_address contact submitter",
        'write contact_email = "sam@bigcorp.example", or contact_email_matches with an expression',
    ),
    ("domain email_domain sender_domain requester_domain", 'write contact_domain = "bigcorp.example"'),
    (
        "organization organisation company account group requester_group customer_group contact_groups",
        'write contact_group = "Big Corp", or contact_domain = "bigcorp.example"',
    ),
    (
        "body message content description comment comments comment_text message_text note reply contains",
        "write text = 'refund'",
    ),
    ("title ticket_subject subject_contains", "write subject = 'refund'"),
    ("body_contains text_contains text_matches contains_words keyword keywords", "write text = 'refund|return'"),
    ("tags label labels has_tag current_tags", 'write tag = "vip"'),
    ("owner agent assigned_to assigned assignee_email staff", 'write assignee = "Ada King"'),
    ("channel via ticket_channel origin", 'write source = "..."'),
    ("state ticket_status current_status", 'write status = "New"'),
    ("urgency severity ticket_priority", 'write priority = "High"'),
    ("queue team department mailbox brand ticket_type", 'write category = "Billing"'),
    ("custom_field custom_fields field ticket_field type", 'write fields."Name of the field" = "value"'),
    (
        "business_hours time schedule within office_hours working_hours",
        'write hours = "Mon-Fri 09:00-17:00 Europe/Berlin"',
    ),
    ("age max_age newer_than younger_than recent not_older_than late", 'write fresh = "10m"'),
    ("attachment attachments has_attachments", "write has_attachment = true"),
    ("sla breached sla_violated overdue", "write sla_breached = true"),
    ("auto_reply autoreply out_of_office is_automatic bounce", "write automatic = true"),
    ("unanswered waiting awaiting_reply", "write unresponded = true"),
    ("all and conditions", "write the conditions themselves: all of them must hold"),
    ("or any_of one_of", 'write any = [{ tag = "vip" }, { priority = "High" }]'),
    ("none unless except none_of", 'write not = { tag = "vip", status = "New" }'),
    ("old previous old_value changed_from was", 'write from = "New"'),
    ("new current new_value changed_to changed becomes", 'write to = "Closed"'),
    ("updated_by update_by changed_by by role current_user", 'write actor = "contact", "staff", "rule" or "client"'),
    ("trigger automation workflow smart_rule", 'write rule = "Name of the smart rule"'),
)

#: Properties below `set`.
PROPERTIES: Final = _each(
    ("assigned_to assign_to owner agent assignee_id staff", 'write set.assignee = "Ada King"'),
    ("state status_id", 'write set.status = "In Progress"'),
    ("urgency severity", 'write set.priority = "High"'),
    ("due due_at duedate deadline", 'write set.due_date = "3d"'),
    ("category queue team department group mailbox", 'write move = "Billing", without set'),
    ("tag tags labels label", 'write add_tags = ["vip"], without set'),
    ("custom_field custom_fields field", 'write set.fields."Name of the field" = "value"'),
)

#: Members of a note or a reply, which is the key.
MESSAGES: Final = _each(
    ("body content html template comment", "write {key}.text"),
    ("file files attachment attach", 'write {key}.attachments = ["terms.pdf"]'),
    ("time minutes timespent", "write {key}.time_spent = 5"),
)

#: Variables and their members in templates.
VARIABLES: Final = _each(
    ("requester customer client user sender submitter end_user", "write ticket.contact"),
    ("agent owner assigned_to current_user", "write ticket.assignee"),
    ("title", "write ticket.subject"),
    ("description body content", "write ticket.first_message"),
    ("comment latest_comment last_comment latest_reply last_message", "write ticket.message"),
    ("number ticket_id ticket_number display", "write ticket.display_id"),
    ("link ticket_url", "write ticket.url"),
    ("state", "write ticket.status.name"),
    ("group queue team department mailbox", "write ticket.category"),
    ("organization organisation company", "write ticket.contact.groups"),
    ("custom_fields custom_field", 'write ticket.fields["Name of the field"]'),
    ("channel via", "write ticket.source"),
    ("firstname full_name", "write ticket.contact.first_name, or ticket.contact.name"),
    ("updated_at", "write ticket.modified_at"),
    ("labels", "write ticket.tags"),
    ("contact assignee status priority category subject tags fields", "write ticket. before it"),
)


#: What other products call a ticket without an assignee.
_NOBODY: Final = ("nobody", "none", "noone", "no one", "unassigned", "null", "empty")
_MYSELF: Final = ("me", "myself", "current user", "current_user")


def no_person(name: object, key: str) -> tuple[str, str] | None:
    """Return what is wrong with a word that names no staff member, and the fix for this key."""
    word = fold(name) if isinstance(name, str) else ""
    if word in _NOBODY:
        return f"{name!r} is no person", f'write {key} = "" for nobody'
    if word in _MYSELF:
        return f"{name!r} is no person: a rule has no user", 'write the name, such as "Ada King"'
    return None


def meant(word: str, terms: Fixes) -> str:
    """Return the fix for a word of another product, empty if it is none: `Assign To` and `assignTo` are `assign_to`."""
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word)
    return terms.get(re.sub(r"[\W_]+", "_", snake).strip("_").lower(), "")
