import pytest

from workers.simulator.http import parse_body


def test_json_may_come_without_a_content_type() -> None:
    assert parse_body("", b'{"a": [1, null]}') == ({"a": [1, None]}, ())


def test_an_empty_body_has_no_members() -> None:
    assert parse_body("application/json", b"") == ({}, ())


def test_a_repeated_form_member_is_a_list_and_an_empty_one_is_kept() -> None:
    body = b"t-cf-4=1&t-cf-4=2&text=Caf%C3%A9+%26&cc="
    members, _ = parse_body("application/x-www-form-urlencoded; charset=utf-8", body)
    assert members == {"t-cf-4": ["1", "2"], "text": "Café &", "cc": ""}


def test_a_multipart_file_keeps_every_byte() -> None:
    content = bytes(range(256)) + b"\r\n\n--x\r\n"
    body = (
        b'--BOUND\r\nContent-Disposition: form-data; name="text"\r\n\r\nline 1\r\nCaf\xc3\xa9\r\n'
        b'--BOUND\r\nContent-Disposition: form-data; name="attachments"; filename="a b.bin"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n--BOUND--\r\n"
    )
    members, files = parse_body("multipart/form-data; boundary=BOUND", body)
    assert members == {"text": "line 1\r\nCafé"}
    assert [(file.field, file.filename, file.content) for file in files] == [("attachments", "a b.bin", content)]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"a": '),
        ("application/x-www-form-urlencoded", b"\xff=1"),
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"nothing of the kind"),
    ],
)
def test_an_unreadable_body_is_a_value_error(kind: str, body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_body(kind, body)


def test_a_body_nested_too_deeply_is_refused() -> None:
    with pytest.raises(ValueError, match="deeply"):
        parse_body("application/json", b"[" * 20_000)
