# SPDX-License-Identifier: Apache-2.0
"""The mapping engine: as Keystone's own judged the recorded cases, and what holds of every case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cumulet.services.identity.logic import mapping_rules
from cumulet.services.identity.logic.mapping_rules import NoMatch

VECTORS = json.loads((Path(__file__).parent / "mapping_vectors.json").read_text(encoding="utf-8"))


def flat(user: dict[str, Any], group_ids: list[str], names: list[Any], projects: list[Any] | None) -> Any:
    """Without what has no order, what is said twice, and a domain that is said to be none."""

    def clean(thing: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in thing.items() if name != "domain" or value}

    groups = sorted({json.dumps(clean(one), sort_keys=True) for one in names})
    return clean(user), sorted(set(group_ids)), groups, [clean(one) for one in projects or ()]


@pytest.mark.parametrize("case", VECTORS["evaluated"], ids=lambda case: "")
def test_rules_mean_what_they_mean_to_keystone(case: dict[str, Any]) -> None:
    theirs = case["mapped"]
    try:
        ours = mapping_rules.evaluate(case["rules"], case["assertion"], case["version"])
    except NoMatch:
        assert theirs is None
        return
    assert theirs is not None, ours
    assert flat(ours.user, ours.group_ids, ours.group_names, ours.projects) == flat(
        theirs["user"], theirs["group_ids"], theirs["group_names"], theirs["projects"]
    )


@pytest.mark.parametrize("case", VECTORS["forms"], ids=lambda case: "")
def test_a_form_is_refused_in_keystones_words(case: dict[str, Any]) -> None:
    wrong = mapping_rules.problems({"rules": case["rules"], "schema_version": case["version"]})
    assert "".join(f"{line}\n" for line in wrong) == case["message"]


def test_an_unknown_version_is_refused() -> None:
    assert mapping_rules.problems({"rules": [], "schema_version": "9.0"})


texts = st.text(max_size=20)
words = st.sampled_from(
    ["{0}", "{1}", "{}", "{{0}}", "{", "}", "{0.__class__}", "{x}", "{0!r}", "[1,", "['a']", "JSON:{"]
)
locals_ = st.fixed_dictionaries(
    {},
    optional={
        "user": st.fixed_dictionaries({}, optional={"name": words | texts, "id": words, "email": words}),
        "groups": words | texts,
        "group_ids": words,
        "group": st.fixed_dictionaries({"name": words, "domain": st.just({"id": "{0}"})}),
        "domain": st.fixed_dictionaries({"name": words}),
    },
)
names = st.sampled_from(["a", "b"])
remotes = st.fixed_dictionaries({"type": names}) | st.builds(
    lambda name, how, values, regex: {"type": name, how: values, "regex": regex},
    names,
    st.sampled_from(["any_one_of", "not_any_of", "whitelist", "blacklist"]),
    st.lists(texts | st.sampled_from(["(", "a*", "^x"]), max_size=3),
    st.booleans(),
)
rules = st.lists(
    st.fixed_dictionaries(
        {"local": st.lists(locals_, max_size=2), "remote": st.lists(remotes, min_size=1, max_size=2)}
    ),
    min_size=1,
    max_size=2,
)


@settings(max_examples=60, deadline=None)
@given(rules, st.dictionaries(names, texts | st.just("x;y")), st.sampled_from(mapping_rules.VERSIONS))
def test_whatever_the_rules_it_is_an_identity_or_no_match(
    rules: list[Any], assertion: dict[str, str], version: str
) -> None:
    if mapping_rules.problems({"rules": rules, "schema_version": version}):
        return
    try:
        mapped = mapping_rules.evaluate(rules, assertion, version)
    except NoMatch:
        return
    assert mapped.kind in ("local", "ephemeral")
    assert len(set(mapped.group_ids)) == len(mapped.group_ids)
    assert all(isinstance(group["name"], str) and isinstance(group["domain"], dict) for group in mapped.group_names)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(texts.filter(lambda text: ";" not in text and text), min_size=1, max_size=4), st.lists(texts, max_size=3)
)
def test_a_whitelist_and_a_blacklist_share_all_values(values: list[str], listed: list[str]) -> None:
    def kept(how: str) -> set[str]:
        requirement = {"type": "a", how: listed}
        found = mapping_rules._match([requirement], {"a": values})
        assert found is not None
        return set(found[0])

    assert kept("whitelist") | kept("blacklist") == set(values)
    assert not kept("whitelist") & kept("blacklist")


def test_a_group_may_be_called_name() -> None:
    rules = [{"local": [{"groups": "{0}", "domain": {"id": "d"}}], "remote": [{"type": "g"}]}]
    mapped = mapping_rules.evaluate(rules, {"g": "my-name;other"})
    assert [group["name"] for group in mapped.group_names] == ["my-name", "other"]
