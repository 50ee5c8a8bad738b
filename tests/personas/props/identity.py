# SPDX-License-Identifier: Apache-2.0
"""What the paths of identity name."""

from __future__ import annotations

from typing import Any

from cumulet.kernel import ids
from cumulet.services.identity.store import access_tokens, request_tokens
from cumulet.services.identity.types import AccessToken, RequestToken
from personas.stage import Prop, Stage


def made(stage: Stage, kind: str, **words: Any) -> str:
    """The id of a new thing, made by the administrator."""
    body = {kind: {"name": f"{kind}-{stage.suffix}", **words}}
    return str(stage.make("identity", f"/{kind}s", body, who="admin")[kind]["id"])


def in_home(stage: Stage) -> Prop:
    """A project, a user and a group of the victim's domain, a global role, and grants of it to both everywhere."""
    home = stage.cast.domain_id
    user = stage.casting.people.user(f"granted-{stage.suffix}", home)
    group, project = made(stage, "group", domain_id=home), made(stage, "project", domain_id=home)
    role = stage.casting.people.role("reader")
    stage.make("identity", f"/projects/{project}/tags/tag", None, "admin", "PUT")
    stage.make("identity", f"/groups/{group}/users/{user}", None, "admin", "PUT")
    for actor in (f"users/{user}", f"groups/{group}"):
        for place in (f"projects/{project}", f"domains/{home}", "system"):
            stage.make("identity", f"/{place}/{actor}/roles/{role}", None, "admin", "PUT")
        for place in (f"projects/{project}", f"domains/{home}"):
            path = f"/OS-INHERIT/{place}/{actor}/roles/{role}/inherited_to_projects"
            stage.make("identity", path, None, "admin", "PUT")
    return {
        "user_id": user,
        "group_id": group,
        "project_id": project,
        "domain_id": home,
        "role_id": role,
        "tag": "tag",
        "target": {
            "user": {"id": user, "domain_id": home},
            "group": {"id": group, "domain_id": home},
            "project": {"id": project, "domain_id": home},
            "domain": {"id": home},
            "role": {"id": role, "name": "reader", "domain_id": None},
        },
    }


def empty_domain(stage: Stage) -> Prop:
    """A domain that may be deleted: it is disabled."""
    key = made(stage, "domain", enabled=False)
    return {"domain_id": key, "target": {"domain": {"id": key}}}


def domain_config(stage: Stage) -> Prop:
    """A domain with a configuration, and the names of a part of it."""
    key = made(stage, "domain")
    config = {"ldap": {"url": "ldap://localhost:1"}}
    stage.make("identity", f"/domains/{key}/config", {"config": config}, "admin", "PUT")
    return {"domain_id": key, "group": "ldap", "option": "url"}


def compliance(stage: Stage) -> Prop:
    return {"domain_id": "default", "option": "password_regex"}


def role(stage: Stage) -> Prop:
    key = made(stage, "role")
    return {"role_id": key, "target": {"role": {"id": key, "name": "x", "domain_id": None}}}


def implication(stage: Stage) -> Prop:
    prior, implied = made(stage, "role"), made(stage, "role")
    stage.make("identity", f"/roles/{prior}/implies/{implied}", None, "admin", "PUT")
    return {"prior_role_id": prior, "implied_role_id": implied}


def region(stage: Stage) -> Prop:
    key = f"region-{stage.suffix}"
    stage.make("identity", "/regions", {"region": {"id": key}}, "admin")
    return {"region_id": key}


def service(stage: Stage) -> Prop:
    return {"service_id": made(stage, "service", type=f"type-{stage.suffix}")}


def endpoint(stage: Stage) -> Prop:
    words = {"service_id": service(stage)["service_id"], "interface": "public", "url": "http://localhost"}
    return {"endpoint_id": made(stage, "endpoint", **words)}


def filtered(stage: Stage) -> Prop:
    """A project that is limited to an endpoint and to a group of endpoints."""
    project, endpoint_id = made(stage, "project", domain_id=stage.cast.domain_id), endpoint(stage)["endpoint_id"]
    words = {"endpoint_group": {"name": f"group-{stage.suffix}", "filters": {"interface": "public"}}}
    group = stage.make("identity", "/OS-EP-FILTER/endpoint_groups", words, "admin")["endpoint_group"]["id"]
    stage.make("identity", f"/OS-EP-FILTER/projects/{project}/endpoints/{endpoint_id}", None, "admin", "PUT")
    stage.make("identity", f"/OS-EP-FILTER/endpoint_groups/{group}/projects/{project}", None, "admin", "PUT")
    return {"project_id": project, "endpoint_id": endpoint_id, "endpoint_group_id": group}


def policy(stage: Stage) -> Prop:
    """A stored policy for an endpoint, for its service, and for that in a region."""
    words = {"policy": {"type": "text/plain", "blob": stage.suffix}}
    key = stage.make("identity", "/policies", words, "admin")["policy"]["id"]
    prop = {"policy_id": key, **endpoint(stage), **service(stage), **region(stage)}
    service_path = f"services/{prop['service_id']}"
    for place in (f"endpoints/{prop['endpoint_id']}", service_path, f"{service_path}/regions/{prop['region_id']}"):
        stage.make("identity", f"/policies/{key}/OS-ENDPOINT-POLICY/{place}", None, "admin", "PUT")
    return prop


def policed_endpoint(stage: Stage) -> Prop:
    return {"endpoint_id": policy(stage)["endpoint_id"]}


def credential(stage: Stage) -> Prop:
    owner = stage.cast.owner_id
    words = {"type": "cert", "blob": f"blob {stage.suffix}", "user_id": owner}
    found = stage.make("identity", "/credentials", {"credential": words}, "admin")
    return {"credential_id": found["credential"]["id"], "target": {"credential": {"user_id": owner}}}


def person(stage: Stage) -> Prop:
    """The victim's owner, with an application credential, and an access rule that none needs."""
    owner = stage.cast.owner_id
    narrow = {
        "name": f"narrow-{stage.suffix}",
        "access_rules": [{"service": "x", "path": f"/{stage.suffix}", "method": "GET"}],
    }
    passing = stage.make("identity", f"/users/{owner}/application_credentials", {"application_credential": narrow})
    key = passing["application_credential"]["id"]
    stage.make("identity", f"/users/{owner}/application_credentials/{key}", None, method="DELETE")
    words = {"application_credential": {"name": f"pass-{stage.suffix}"}}
    found = stage.make("identity", f"/users/{owner}/application_credentials", words)
    return {
        "user_id": owner,
        "credential_id": found["application_credential"]["id"],
        "access_rule_id": passing["application_credential"]["access_rules"][0]["id"],
        "target": {"user": {"id": owner, "domain_id": stage.cast.domain_id}},
    }


def access_key(stage: Stage) -> Prop:
    """An access key of the victim's owner."""
    owner = stage.cast.owner_id
    words = {"tenant_id": stage.cast.project_id}
    found = stage.make("identity", f"/users/{owner}/credentials/OS-EC2", words)
    return {
        "user_id": owner,
        "access": found["credential"]["access"],
        "target": {"credential": {"user_id": owner}},
    }


def consumer(stage: Stage) -> Prop:
    found = stage.make("identity", "/OS-OAUTH1/consumers", {"consumer": {"description": "asks"}}, "admin")
    return {"consumer_id": found["consumer"]["id"]}


def request_token(stage: Stage) -> Prop:
    """What a consumer asks for on the victim's project."""
    token = RequestToken(ids.new_hex(), consumer(stage)["consumer_id"], stage.cast.project_id, None, None, None, None)
    stage.cloud.control.cloud.db.write(lambda tx: request_tokens.add(tx, token))
    return {"request_token_id": token.id}


def access_token(stage: Stage) -> Prop:
    """What the victim's owner has lent a consumer."""
    owner, role_id = stage.cast.owner_id, stage.casting.people.role("reader")
    named = (consumer(stage)["consumer_id"], stage.cast.project_id, owner)
    token = AccessToken(ids.new_hex(), *named, [role_id], None)
    stage.cloud.control.cloud.db.write(lambda tx: access_tokens.add(tx, token))
    return {"user_id": owner, "access_token_id": token.id, "role_id": role_id}


def loose_user(stage: Stage) -> Prop:
    """A user of the victim's domain whom nobody needs."""
    home = stage.cast.domain_id
    key = stage.casting.people.user(f"loose-{stage.suffix}", home)
    return {"user_id": key, "target": {"user": {"id": key, "domain_id": home}}}


def registered_limit(stage: Stage) -> Prop:
    words = {"service_id": service(stage)["service_id"], "resource_name": f"things-{stage.suffix}", "default_limit": 5}
    found = stage.make("identity", "/registered_limits", {"registered_limits": [words]}, "admin")
    return {"limit_id": found["registered_limits"][0]["id"]}


def limit(stage: Stage) -> Prop:
    project = stage.cast.project_id
    words = {"service_id": service(stage)["service_id"], "resource_name": f"things-{stage.suffix}"}
    stage.make("identity", "/registered_limits", {"registered_limits": [{**words, "default_limit": 5}]}, "admin")
    own = {**words, "resource_limit": 6, "project_id": project}
    found = stage.make("identity", "/limits", {"limits": [own]}, "admin")
    owner = {"project_id": project, "project": {"domain_id": stage.cast.domain_id}}
    return {"limit_id": found["limits"][0]["id"], "target": {"limit": owner}}


CONFIG = "/domains/{domain_id}/config"


def trust(stage: Stage) -> Prop:
    """What the victim's owner lends somebody."""
    owner, trustee = stage.cast.owner_id, stage.casting.people.user(f"trustee-{stage.suffix}", stage.cast.domain_id)
    sides = {"trustor_user_id": owner, "trustee_user_id": trustee}
    words = {**sides, "project_id": stage.cast.project_id, "impersonation": True, "roles": [{"name": "reader"}]}
    found = stage.make("identity", "/OS-TRUST/trusts", {"trust": words})
    return {
        "trust_id": found["trust"]["id"],
        "role_id": stage.casting.people.role("reader"),
        "target": {"trust": sides},
    }


def mapping(stage: Stage) -> Prop:
    key = f"mapping-{stage.suffix}"
    rules = [{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "name"}]}]
    stage.make("identity", f"/OS-FEDERATION/mappings/{key}", {"mapping": {"rules": rules}}, "admin", "PUT")
    return {"mapping_id": key}


def identity_provider(stage: Stage) -> Prop:
    """With a protocol."""
    key, where = f"provider-{stage.suffix}", "/OS-FEDERATION/identity_providers"
    words = {"domain_id": stage.cast.domain_id, "enabled": True}
    stage.make("identity", f"{where}/{key}", {"identity_provider": words}, "admin", "PUT")
    protocol = {"mapping_id": mapping(stage)["mapping_id"]}
    stage.make("identity", f"{where}/{key}/protocols/mapped", {"protocol": protocol}, "admin", "PUT")
    return {"idp_id": key, "protocol_id": "mapped"}


def service_provider(stage: Stage) -> Prop:
    key = f"elsewhere-{stage.suffix}"
    words = {"auth_url": "http://localhost/v3", "sp_url": "http://localhost/sp"}
    path = f"/OS-FEDERATION/service_providers/{key}"
    stage.make("identity", path, {"service_provider": words}, "admin", "PUT")
    return {"service_provider_id": key}


def a_protocol(stage: Stage) -> Prop:
    return {"protocol_id": "mapped"}


MAKERS = {
    **{
        f"{verb} {CONFIG}{part}": domain_config
        for verb in ("GET", "PUT", "PATCH", "DELETE")
        for part in ("", "/{group}", "/{group}/{option}")
    },
    **{f"GET {CONFIG}/security_compliance{part}": compliance for part in ("", "/{option}")},
    "/domains/config/{group}": domain_config,
    "/domains/{domain_id}": in_home,
    "PATCH /domains/{domain_id}": empty_domain,
    "DELETE /domains/{domain_id}": empty_domain,
    "/projects/{project_id}": in_home,
    "/groups/{group_id}": in_home,
    "/users/{user_id}": person,
    "PATCH /users/{user_id}": loose_user,
    "DELETE /users/{user_id}": loose_user,
    "DELETE /users/{user_id}/tokens": loose_user,
    "/OS-TRUST/trusts/{trust_id}": trust,
    "POST /users/{user_id}/credentials/OS-EC2": access_key,
    "GET /users/{user_id}/credentials/OS-EC2/{access}": access_key,
    "DELETE /users/{user_id}/credentials/OS-EC2/{access}": access_key,
    "/system/users/{user_id}": in_home,
    "/system/groups/{group_id}": in_home,
    "/OS-INHERIT/projects/{project_id}": in_home,
    "/OS-INHERIT/domains/{domain_id}": in_home,
    "/roles/{role_id}": role,
    "/roles/{prior_role_id}": implication,
    "/regions/{region_id}": region,
    "/services/{service_id}": service,
    "/endpoints/{endpoint_id}": endpoint,
    "GET /endpoints/{endpoint_id}/OS-ENDPOINT-POLICY/policy": policed_endpoint,
    "/OS-EP-FILTER/projects/{project_id}": filtered,
    "/OS-EP-FILTER/endpoints/{endpoint_id}": filtered,
    "/OS-EP-FILTER/endpoint_groups/{endpoint_group_id}": filtered,
    "/policies/{policy_id}": policy,
    "/OS-OAUTH1/consumers/{consumer_id}": consumer,
    "/OS-OAUTH1/authorize/{request_token_id}": request_token,
    **{
        f"{verb} /users/{{user_id}}/OS-OAUTH1/access_tokens/{{access_token_id}}{rest}": access_token
        for verb, rest in (("GET", ""), ("DELETE", ""), ("GET", "/roles"), ("GET", "/roles/{role_id}"))
    },
    "/credentials/{credential_id}": credential,
    "/registered_limits/{limit_id}": registered_limit,
    "/limits/{limit_id}": limit,
    "/OS-FEDERATION/identity_providers/{idp_id}": identity_provider,
    "/OS-FEDERATION/mappings/{mapping_id}": mapping,
    "/OS-FEDERATION/service_providers/{service_provider_id}": service_provider,
    "/auth/OS-FEDERATION/websso/{protocol_id}": a_protocol,
    "/auth/OS-FEDERATION/identity_providers/{idp_id}": identity_provider,
}
