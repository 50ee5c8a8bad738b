# SPDX-License-Identifier: Apache-2.0
"""Request schemas: jsonschema's verdict and words, parts by microversion, formats, and no secret in a refusal."""

from __future__ import annotations

import copy
from typing import Any

import iso8601
import jsonschema
import netaddr
import pytest
import rfc3986
from hypothesis import given, settings
from hypothesis import strategies as st
from oslo_utils import uuidutils

from cumulet.kernel.errors import Invalid
from cumulet.kernel.formats import FORMATS, Format
from cumulet.kernel.projection import boundaries, project
from cumulet.kernel.schema import Schema, as_report, in_body, in_full, in_query

NAME = {"type": "string", "minLength": 1, "maxLength": 8, "format": "name"}
COUNT = {"type": ["integer", "string"], "pattern": "^[0-9]*$", "minimum": 1, "maximum": 9}
SCHEMAS: dict[str, dict[str, Any]] = {
    "server": {
        "type": "object",
        "properties": {
            "server": {
                "type": "object",
                "properties": {
                    "name": NAME,
                    "min_count": COUNT,
                    "flag": {"enum": [True, "True", 1, "1", False, 0]},
                    "adminPass": {"type": "string", "minLength": 3},
                    "metadata": {
                        "type": "object",
                        "patternProperties": {"^[a-z:]{1,3}$": {"type": "string", "maxLength": 2}},
                        "additionalProperties": False,
                    },
                    "networks": {
                        "oneOf": [
                            {"type": "array", "items": {"type": "object", "properties": {"uuid": {"format": "uuid"}}}},
                            {"type": "string", "enum": ["none", "auto"]},
                        ]
                    },
                },
                "required": ["name"],
                "additionalProperties": False,
            }
        },
        "required": ["server"],
        "additionalProperties": False,
    },
    "any": {
        "anyOf": [
            {"type": "null"},
            {"type": "boolean"},
            {"type": "integer", "minimum": 0, "exclusiveMaximum": 5},
            {"type": "number", "multipleOf": 0.5},
            {"type": "array", "uniqueItems": True, "maxItems": 2, "items": {"type": ["integer", "boolean", "object"]}},
            {"type": "object", "maxProperties": 1, "minProperties": 1, "additionalProperties": {"type": "integer"}},
        ]
    },
    "not": {"not": {"type": "string", "pattern": "^a$"}, "allOf": [{"type": ["string", "integer"]}]},
    "pattern": {"type": "string", "pattern": r"^[$a]\$?(b|[]$])*$"},
    "enum": {"enum": [1, "1", True, None, [1], {"a": 0}]},
    "tuple": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "null"}], "items": {"type": "integer"}},
    "const": {"type": "object", "properties": {"a": {"const": 0}, "b": {"const": "x"}}},
}
scalar = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 12),
    st.sampled_from([1.0, 0.5, 2.5, -0.0, 1e30]),
    st.sampled_from(
        ["a", "a\n", "$", "a$b", "1", "01", "12", "0\n", "auto", " x", "\u00e4", "\u2028", "\U0001f600", "", "True"]
    ),
    st.text(max_size=4),
)
names = st.sampled_from(
    ["server", "name", "min_count", "flag", "adminPass", "metadata", "networks", "uuid", "a", "b", "a\n", "zzzz"]
)
body = st.recursive(
    scalar,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=4)),
    max_leaves=8,
)
server_body = st.fixed_dictionaries({
    "server": st.fixed_dictionaries({"name": scalar}, optional={
        "min_count": scalar, "flag": scalar, "adminPass": scalar, "networks": body, "extra": scalar,
        "metadata": st.dictionaries(st.sampled_from(["a", "a\n", "b:", "A", "abcd"]), scalar, max_size=2),
    })
})  # fmt: skip


def judged(schema: Schema, value: Any, version: tuple[int, int] | None = None) -> Invalid | None:
    try:
        schema.check(value, version)
    except Invalid as error:
        return error
    return None


def reference(document: dict[str, Any], draft: str) -> Any:
    """A jsonschema validator that was not built by the code under test; it reads no numbers in texts."""
    checker = jsonschema.FormatChecker(formats=())
    for name, one in FORMATS.items():
        checker.checks(name)(lambda value, accepts=one.accepts: not isinstance(value, str) or accepts(value))
    cls = jsonschema.Draft4Validator if draft == "draft-04" else jsonschema.Draft202012Validator
    return cls(document, format_checker=checker)


def numeric_text(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(numeric_text, value.values()))
    if isinstance(value, list):
        return any(map(numeric_text, value))
    try:
        return isinstance(value, str) and float(value) is not None
    except ValueError:
        return False


@pytest.mark.parametrize("draft", ["2020-12", "draft-04"])
@pytest.mark.parametrize("name", SCHEMAS)
def test_verdicts_are_jsonschemas(name, draft):
    document = copy.deepcopy(SCHEMAS[name])
    if draft == "draft-04" and name == "tuple":
        with pytest.raises(ValueError, match="no prefixItems"):
            Schema(document, draft=draft)
        return
    if draft == "draft-04" and name == "any":
        del document["anyOf"][2]["exclusiveMaximum"]  # a boolean in draft 4
    schema, validator = Schema(document, draft=draft), reference(document, draft)

    @settings(max_examples=200, deadline=None)
    @given(st.one_of(body, server_body if name == "server" else body))
    def compare(value):
        error = judged(schema, value)
        if not numeric_text(value):
            assert (error is None) == validator.is_valid(value)
        # And what fastjsonschema took is what jsonschema takes, numbers in texts included.
        assert (error is None) == (schema._form(None).refusal(value) is None)

    compare()
    assert schema.document == document


def test_one_point_nought_is_an_integer_except_in_draft_4():
    assert judged(Schema({"type": "integer"}), 1.0) is None
    assert judged(Schema({"type": "integer"}, draft="draft-04"), 1.0) is not None


def test_bounds_hold_for_numbers_in_texts():
    schema = Schema({"type": "object", "properties": {"n": COUNT}})
    assert judged(schema, {"n": "9"}) is None
    error = judged(schema, {"n": "10"})
    assert error is not None
    assert error.message == "Invalid input for field/attribute n. Value: 10. 10 is greater than the maximum of 9"
    assert judged(schema, {"n": ""}) is None
    assert judged(schema, {"n": "9" * 5000}) is not None


@pytest.mark.parametrize(
    ("value", "message", "path"),
    [
        ({}, "'server' is a required property", []),
        ([], "[] is not of type 'object'", []),
        ({"server": {"name": "a", "x": 1}}, ("Invalid input for field/attribute server. Value: {'name': 'a', 'x': 1}. "
         "Additional properties are not allowed ('x' was unexpected)"), ["server"]),
        ({"server": {"name": 5}}, "Invalid input for field/attribute name. Value: 5. 5 is not of type 'string'",
         ["server", "name"]),
        ({"server": {"name": ""}}, "Invalid input for field/attribute name. Value: . '' should be non-empty",
         ["server", "name"]),
        ({"server": {"name": " a"}}, ("An invalid 'name' value was provided. The name must be: printable characters. "
         "Can not start or end with whitespace."), ["server", "name"]),
        ({"server": {"name": "a", "networks": [{"uuid": "x"}]}},
         ("Invalid input for field/attribute networks. Value: [{'uuid': 'x'}]. [{'uuid': 'x'}] is not valid under any "
           "of the given schemas"), ["server", "networks"]),
    ],
)  # fmt: skip
def test_refusals_are_worded_as_compute_words_them(value, message, path):
    error = judged(Schema(SCHEMAS["server"]), value)
    assert error is not None
    assert error.message == message
    assert error.fields["path"] == path
    assert set(error.fields) == {"path", "value", "detail"}


def test_of_several_faults_the_first_in_the_schemas_order_is_named():
    document = {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        "required": ["c"],
    }
    value = {"b": 1, "a": 2}
    first, best = judged(Schema(document), value), judged(Schema(document, phrase=as_report), value)
    assert first is not None
    assert best is not None
    assert first.fields["path"] == ["a"]
    assert best.fields["path"] == []


def test_other_services_phrase_a_refusal_differently():
    limit = {"type": "object", "properties": {"limit": {"type": "array", "items": {"type": "integer"}}}}
    value = {"limit": ["x"]}
    query = judged(Schema(limit, phrase=in_query), value)
    assert query is not None
    assert query.message == "Invalid input for query parameters limit. Value: x. 'x' is not of type 'integer'"
    with pytest.raises(jsonschema.ValidationError) as raised:
        jsonschema.validate(value, limit)
    full = judged(Schema(limit, phrase=in_full), value)
    assert full is not None
    assert full.message == f"Invalid input for field 'limit/0': {raised.value}"
    report = judged(Schema(limit, phrase=as_report), value)
    assert report is not None
    assert report.message == str(raised.value)
    top = judged(Schema({"type": "object"}, phrase=in_full), 1)
    assert top is not None
    assert top.message.startswith("1 is not of type 'object'\n\nFailed validating")


@pytest.mark.parametrize("phrase", [in_query, in_full, as_report, in_body])
@pytest.mark.parametrize(
    "rule",
    [
        {"type": "integer"}, {"maxLength": 3}, {"minLength": 99}, {"pattern": "^x$"}, {"enum": ["x", 2]}, {"const": 1},
        {"not": {"type": "string"}}, {"anyOf": [{"type": "null"}, {"enum": [1]}]}, {"format": "uuid"},
        {"oneOf": [{"type": "string"}, {"minLength": 1}]}, {"type": "object", "required": ["x"]},
    ],
)  # fmt: skip
def test_no_refusal_shows_a_secret(rule, phrase):
    secret = "hunter2'\"\\\n$ecr\u00e9t"
    document = {"type": "object", "properties": {"adminPass": rule, "user": {"type": "object", "maxProperties": 1}}}
    schema = Schema(document, phrase=phrase)
    for value in ({"adminPass": secret}, {"user": {"password": secret, "x": {"secret": [secret]}}}):
        error = judged(schema, value)
        assert error is not None
        assert "hunter2" not in error.message + repr(error.fields)
    nested = judged(Schema({"type": "object", "required": ["x"]}), {"user": {"original_password": secret}})
    assert nested is not None
    assert "hunter2" not in repr(nested.fields)


def test_a_body_nested_without_end_is_refused():
    value: Any = "x"
    for _ in range(5000):
        value = [value]
    error = judged(Schema({"type": "object"}), value)
    assert error is not None


def test_defaults_are_not_written_into_the_body():
    value: dict[str, Any] = {}
    Schema({"type": "object", "properties": {"a": {"type": "integer", "default": 1}}}).check(value)
    assert value == {}


@pytest.mark.parametrize(
    "document", [{"format": "uid"}, {"properties": {"a": {"$ref": "#/x"}}}, {"additionalItems": {}}]
)
def test_what_cannot_be_judged_is_refused_when_it_is_written(document):
    with pytest.raises(ValueError, match=r"schemas here have no|no such format"):
        Schema(document)


MARKED = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "tags": {"type": "array", "since": (2, 52)},
        "personality": {"type": "array", "until": (2, 56)},
        "networks": {
            "versions": [
                {"type": "array", "until": (2, 36)},
                {
                    "oneOf": [{"type": "array"}, {"enum": ["auto", {"value": "none", "since": (2, 40)}]}],
                    "since": (2, 37),
                },
            ]
        },
        "since": {"type": "string"},
        "until": {"type": "string"},
        "versions": {"type": "string"},
        "value": {"type": ["string", {"value": "null", "since": (2, 52)}]},
    },
    "required": [{"value": "networks", "since": (2, 37)}],
    "additionalProperties": {"versions": [{"value": True, "until": (2, 36)}, {"value": False, "since": (2, 37)}]},
    "maxProperties": {"versions": [{"value": 2, "since": (2, 57)}]},
}


def test_a_document_changes_at_its_boundaries():
    assert boundaries(MARKED) == [(2, 37), (2, 40), (2, 52), (2, 57)]
    assert boundaries({"type": "string"}) == []
    old = project(MARKED, (2, 1))
    assert "required" not in old
    assert "maxProperties" not in old
    assert old["additionalProperties"] is True
    assert set(old["properties"]) == {"name", "personality", "networks", "since", "until", "versions", "value"}
    assert old["properties"]["value"] == {"type": ["string"]}
    new = project(MARKED, (2, 104))
    assert new == project(MARKED, None)
    assert new == {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "tags": {"type": "array"},
            "networks": {"oneOf": [{"type": "array"}, {"enum": ["auto", "none"]}]},
            "since": {"type": "string"},
            "until": {"type": "string"},
            "versions": {"type": "string"},
            "value": {"type": ["string", "null"]},
        },
        "required": ["networks"],
        "additionalProperties": False,
        "maxProperties": 2,
    }


@pytest.mark.parametrize(
    ("value", "first", "last"),
    [
        ({"networks": [], "tags": []}, (2, 52), (2, 104)),
        ({"networks": [], "personality": []}, (2, 1), (2, 56)),
        ({"networks": "auto"}, (2, 37), (2, 104)),
        ({"networks": "none"}, (2, 40), (2, 104)),
        ({"name": "a"}, (2, 1), (2, 36)),
        ({"networks": [], "name": "a", "value": "b"}, (2, 1), (2, 56)),
        ({"networks": [], "value": None}, (2, 52), (2, 104)),
    ],
)
def test_a_body_is_taken_from_and_to_its_versions(value, first, last):
    schema = Schema(MARKED)
    # An unknown name passes before 2.37, where others are allowed: `tags` only by chance.
    low = (2, 37) if "tags" in value else (2, 1)
    for minor in range(low[1], 105):
        version = (2, minor)
        assert (judged(schema, value, version) is None) == (first <= version <= last), version


def test_each_distinct_form_is_compiled_once(monkeypatch):
    import fastjsonschema

    compiled = []
    real = fastjsonschema.compile
    monkeypatch.setattr(fastjsonschema, "compile", lambda *args, **named: compiled.append(1) or real(*args, **named))
    schema = Schema(MARKED)
    assert compiled == []
    for minor in range(1, 105):
        judged(schema, {}, (2, minor))
    judged(schema, {})
    assert len(compiled) == 5
    redundant = Schema({"type": "object", "properties": {"a": {"versions": [{"until": (2, 5)}, {"since": (2, 6)}]}}})
    for minor in range(1, 20):
        redundant.check({}, (2, minor))
    assert len(compiled) == 6


def test_a_schema_that_is_not_there_at_a_version_is_a_fault_of_the_caller():
    with pytest.raises(ValueError, match="does not exist"):
        project({"type": "object", "since": (2, 5)}, (2, 4))


def test_a_service_may_add_a_format(monkeypatch):
    monkeypatch.setitem(FORMATS, "even", Format(lambda text: len(text) % 2 == 0, "Be even."))
    error = judged(Schema({"type": "string", "format": "even"}), "abc")
    assert error is not None
    assert error.message == "Be even."


# Formats against the libraries that OpenStack asks


def accepts(name: str, text: str) -> bool:
    return FORMATS[name].accepts(text)


@settings(max_examples=300, deadline=None)
@given(st.one_of(
    st.uuids().map(str),
    st.from_regex(r"(urn:)?(uuid:)?\{?[0-9a-fA-F-]{30,38}\}?\n?", fullmatch=True),
    st.text(max_size=36),
))  # fmt: skip
def test_uuid_is_oslos(text):
    assert accepts("uuid", text) == uuidutils.is_uuid_like(text)


@settings(max_examples=300, deadline=None)
@given(st.one_of(
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.from_regex(
        r"20[0-9]{2}(-?[0-3]?[0-9]){0,2}"
        r"([ T][0-2][0-9](:?[0-6][0-9]){0,2}([.,][0-9]{1,3})?)?(Z|[+-][0-2][0-9]:?([0-9]{2})?)?",
        fullmatch=True,
    ),
))  # fmt: skip
def test_moments_are_what_iso8601_reads(text):
    try:
        iso8601.parse_date(text)
        expected = True
    except (iso8601.ParseError, ValueError):
        expected = False
    assert accepts("date-time", text) is expected, text


@settings(max_examples=500, deadline=None)
@given(st.from_regex(
    r"(https?|file|x)?:?/{0,3}(u(:p)?@)?([a-z0-9.-]{0,4}|\[[0-9a-f:]{2,6}\])?(:[0-9]{0,3})?"
    r"(/[a-z%20 é\n]{0,3}){0,2}(\?[a-z/?= \[\"]{0,3})?(#[a-z#]{0,2})?",
    fullmatch=True,
).filter(lambda text: not text.endswith("\n")))  # fmt: skip
def test_uri_is_what_rfc3986_takes(text):
    """Of a line's end the library takes no notice."""
    validator = rfc3986.validators.Validator().require_presence_of("scheme", "host")
    validator = validator.check_validity_of("scheme", "userinfo", "host", "path", "query", "fragment")
    try:
        validator.validate(rfc3986.uri_reference(text))
        expected = True
    except rfc3986.exceptions.RFC3986Exception:
        expected = False
    assert accepts("uri", text) is expected, text


@pytest.mark.parametrize("text", [
    "10.0.0.0/8", "10.0.0.1/24", "10.0.0.0/255.0.0.0", "10.0.0.0/33", "10.0.0.0", "::/0", "fe80::1/64", "fe80::/129",
    "x/8", "10.0.0.0/ 8", "10.0.0.0/8\n", "", "/", "10.0.0.0/-1", "256.0.0.0/8", "fe80::1%eth0/64",
])  # fmt: skip
def test_cidr_is_netaddrs(text):
    try:
        netaddr.IPNetwork(text)
        expected = "/" in text and not any(char.isspace() for char in text)
    except (netaddr.AddrFormatError, ValueError):
        expected = False
    assert accepts("cidr", text) is expected


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("base64", ["", "YQ==", "YWJj", "YW\nJj"], ["\u00e4", "YQ", "YQ=", "a"]),
        ("ipv4", ["10.0.0.1"], ["10.0.0", "010.0.0.1", "10.0.0.256", "::1", "10.0.0.1\n"]),
        ("ipv6", ["::1", "fe80::1", "::ffff:10.0.0.1"], ["10.0.0.1", "fe80::1%eth0", ":::"]),
        ("regex", ["a.*", "(x)"], ["", "(", "*"]),
        ("email", ["a@b"], ["a"]),
        ("mac-address", ["fa:16:3e:00:00:01", "FA:16:3E:00:00:01"],
         ["fa:16:3e:00:00", "fa-16-3e-00-00-01", "fa:16:3e:00:00:01\n"]),
        ("name", ["a", "a b", "\u00e4", "", "a:b", "a\n"], [" a", "a ", "a\tb", "\u2028", "\U0001f600", "\n"]),
        ("name_with_leading_trailing_spaces", ["a", " a ", "a b\n"], ["", " ", "\t", "\n"]),
        ("az_name", ["a", "a b"], ["a:b", " a"]),
        ("az_name_with_leading_trailing_spaces", [" a "], ["a:b", "  "]),
    ],
)  # fmt: skip
def test_formats(name, good, bad):
    assert [text for text in good if not accepts(name, text)] == []
    assert [text for text in bad if accepts(name, text)] == []
