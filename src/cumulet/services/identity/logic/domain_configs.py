# SPDX-License-Identifier: Apache-2.0
"""A domain's own configuration: where its users come from. Sensitive options are sealed and never shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import CumuletError, NotFound
from cumulet.services.identity.logic import projects
from cumulet.services.identity.logic.domain_options import OPTIONS, check, check_known, read, refusal
from cumulet.services.identity.store import domain_options as store
from cumulet.services.identity.types import DEFAULT_DOMAIN, DomainOption

Config = dict[str, Any]
COMPLIANCE = "security_compliance"
READABLE = ("password_regex", "password_regex_description")


def get(source: Source, domain_id: str, section: str | None = None, name: str | None = None) -> Config:
    """What may be shown of a configuration; with a `name` that option alone, without its section."""
    check_known(section, name)
    found = [one for one in store.find_all(source, domain_id, section, name) if not _is_sensitive(one)]
    if not found:
        raise missing(domain_id, section, name)
    projects.get_domain(source, domain_id)
    return {found[0].name: found[0].value} if name is not None else _by_section(found)


def defaults(section: str | None = None, name: str | None = None) -> Config:
    """What holds where a domain says nothing, in the same form."""
    check_known(section, name)
    if section is not None and name is not None:
        option = OPTIONS[section][name]
        if option.sensitive:
            raise refusal(f"Reading the default for option {name} in group {section} is not supported")
        return {name: option.default}
    return {
        one: {name: option.default for name, option in options.items() if not option.sensitive}
        for one, options in OPTIONS.items()
        if section in (None, one)
    }


def compliance(cloud: Cloud, domain_id: str, name: str | None = None) -> Config:
    """The rule of passwords, as everybody may read it to choose one."""
    if domain_id != DEFAULT_DOMAIN:
        raise refusal(
            "Reading security compliance information for any domain other than the default domain is not allowed or "
            "supported."
        )
    if name is not None and name not in READABLE:
        raise refusal(
            "Reading security compliance values other than password_regex and password_regex_description is not "
            "allowed."
        )
    shown = {one: getattr(cloud.settings.security_compliance, one) for one in READABLE}
    return {name: shown[name]} if name is not None else {COMPLIANCE: shown}


def create(cloud: Cloud, domain_id: str, config: Any) -> tuple[Config, bool]:
    """Make this the domain's whole configuration; what may be shown of it, and whether there was none before."""
    projects.get_domain(cloud.db, domain_id)
    check(config)
    before = store.find_all(cloud.db, domain_id)
    options = _options(cloud, domain_id, config)

    def write(tx: Tx) -> None:
        projects.get_domain(tx, domain_id)
        store.remove(tx, domain_id)
        for option in options:
            store.put(tx, option)

    cloud.db.write(write)
    said = {(option.section, option.name) for option in options}
    forget_secrets(cloud, (one for one in before if (one.section, one.name) not in said))
    return _by_section(one for one in options if not _is_sensitive(one)), not before


def update(cloud: Cloud, domain_id: str, said: Any, section: str | None = None, name: str | None = None) -> Config:
    """Change the options that are said: within a section, or one alone, where these are there already."""
    projects.get_domain(cloud.db, domain_id)
    config = {section: said} if section is not None and name is not None else said
    check(config)
    check_known(section, name)
    if section is not None:
        _check_alone(config, section, name)
        if not store.find_all(cloud.db, domain_id, section, name):
            raise missing(domain_id, section, name)
    options = _options(cloud, domain_id, config)

    def write(tx: Tx) -> None:
        projects.get_domain(tx, domain_id)
        for option in options:
            store.put(tx, option)

    cloud.db.write(write)
    return get(cloud.db, domain_id)


def delete(cloud: Cloud, domain_id: str, section: str | None = None, name: str | None = None) -> None:
    """Remove a configuration, or the part that is named, which must be there."""
    projects.get_domain(cloud.db, domain_id)
    check_known(section, name)
    old = store.find_all(cloud.db, domain_id, section, name)
    if section is not None and not old:
        there = store.find_all(cloud.db, domain_id, section)
        raise missing(domain_id, section, name if there else None)
    cloud.db.write(lambda tx: store.remove(tx, domain_id, section, name))
    forget_secrets(cloud, old)


def whole(cloud: Cloud, domain_id: str) -> Mapping[str, Mapping[str, Any]]:
    """All options as they hold, in their types, secrets among them; never to be shown or logged.

    `%(password)s` in a text stands for the sensitive option of that name.
    """
    config: dict[str, dict[str, Any]] = {
        section: {name: option.default for name, option in options.items()} for section, options in OPTIONS.items()
    }
    said = store.find_all(cloud.db, domain_id)
    secrets = {one.name: _open(cloud, one) for one in said if _is_sensitive(one)}
    for one in said:
        value = secrets[one.name] if _is_sensitive(one) else _substitute(one.value, secrets)
        config[one.section][one.name] = read(one.section, one.name, value)
    return config


def missing(domain_id: str, section: str | None, name: str | None) -> CumuletError:
    if section is None:
        what = "any options"
    else:
        what = f"group {section}" if name is None else f"option {name} in group {section}"
    return NotFound(
        f"Could not find {what} in domain configuration for domain {domain_id}.", code="DomainConfigNotFound"
    )


def _check_alone(config: Config, section: str, name: str | None) -> None:
    """A change of one section, or one option, says nothing else."""
    if len(config) != 1 or (name is not None and len(config[section]) != 1):
        if name is not None:
            raise refusal(
                f"Trying to update option {name} in group {section}, so that, and only that, option must be specified "
                " in the config"
            )
        raise refusal(
            f"Trying to update group {section}, so that, and only that, group must be specified in the config"
        )
    if section not in config:
        raise refusal(
            f"request to update group {section}, but config provided contains group {next(iter(config))} instead"
        )
    if name is not None and name not in config[section]:
        other = next(iter(config[section]))
        raise refusal(
            f"Trying to update option {name} in group {section}, but config provided contains option {other} instead"
        )


def _options(cloud: Cloud, domain_id: str, config: Mapping[str, Mapping[str, Any]]) -> list[DomainOption]:
    """The rows of a configuration; its secrets are sealed before any row speaks of them."""
    rows = []
    for section, options in config.items():
        for name, value in options.items():
            row = DomainOption(domain_id, section, name, value)
            if _is_sensitive(row):
                sealed = ("" if value is None else str(value)).encode()
                cloud.vault.change(_secret_name(row), lambda old, new=sealed: new)  # type: ignore[misc]
                row = DomainOption(domain_id, section, name, None)
            rows.append(row)
    return rows


def forget_secrets(cloud: Cloud, gone: Iterable[DomainOption]) -> None:
    for option in gone:
        if _is_sensitive(option):
            cloud.vault.remove(_secret_name(option))


def _open(cloud: Cloud, option: DomainOption) -> str:
    return (cloud.vault.get(_secret_name(option)) or b"").decode()


def _secret_name(option: DomainOption) -> str:
    return f"identity.domain.{option.domain_id}.{option.section}.{option.name}"


def _is_sensitive(option: DomainOption) -> bool:
    return OPTIONS[option.section][option.name].sensitive


def _substitute(value: Any, secrets: Mapping[str, str]) -> Any:
    try:
        return value % secrets if isinstance(value, str) else value
    except (KeyError, ValueError, TypeError):
        return value


def _by_section(options: Iterable[DomainOption]) -> Config:
    config: Config = {}
    for option in options:
        config.setdefault(option.section, {})[option.name] = option.value
    return config
