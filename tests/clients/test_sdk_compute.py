# SPDX-License-Identifier: Apache-2.0
"""Every method that openstacksdk has for compute, used on a running cloud; a method that is not used here is told."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import openstack
import pytest
from openstack import exceptions
from openstack.compute.v2 import _proxy

from support.waiting import until

pytestmark = [pytest.mark.clients, pytest.mark.filterwarnings("ignore")]

NAME = "sdk"
# Methods that are not used here, and why.
LEFT_OUT = {
    "create_share_attachment": "servers are given no shared file systems",
    "delete_share_attachment": "servers are given no shared file systems",
    "get_share_attachment": "servers are given no shared file systems",
}


@pytest.fixture(scope="module")
def sdk(cloud):
    """The administrator in a project that nobody else uses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with connect(cloud, "admin") as admin:
            project, me = admin.identity.create_project(name=f"{NAME}-project"), admin.current_user_id
            admin.identity.assign_project_role_to_user(project, me, admin.identity.find_role("admin"))
            with connect(cloud, project.name) as connection:
                yield connection
            admin.identity.delete_project(project)


def connect(cloud, project):
    return openstack.connect(
        auth_url=f"{cloud.control_url}/identity/v3", username="admin", password=cloud.admin_password,
        project_name=project, user_domain_id="default", project_domain_id="default", region_name="RegionOne",
        load_yaml_config=False, load_envvars=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def compute(sdk):
    return sdk.compute


@pytest.fixture(scope="module")
def picture(sdk):
    made = sdk.image.create_image(name=NAME, data=b"system", disk_format="raw", container_format="bare")
    yield made
    sdk.image.delete_image(made)


@pytest.fixture(scope="module")
def flavor(compute):
    made = compute.create_flavor(name=NAME, vcpus=1, ram=64, disk=1)
    yield made
    compute.delete_flavor(made, ignore_missing=False)


@pytest.fixture(scope="module")
def network(sdk):
    made = sdk.network.create_network(name=NAME)
    sdk.network.create_subnet(network_id=made.id, ip_version=4, cidr="10.66.0.0/24", name=NAME)
    yield made
    until(lambda: not list(sdk.network.ports(network_id=made.id, device_owner="compute:nova")))
    sdk.network.delete_network(made)


@pytest.fixture(scope="module")
def server(compute, picture, flavor, network):
    made = compute.create_server(
        name=NAME, image_id=picture.id, flavor_id=flavor.id, networks=[{"uuid": network.id}], admin_password="sdk-word"
    )
    made = compute.wait_for_server(made, interval=0.1)
    yield made
    compute.delete_server(made)
    compute.wait_for_delete(made, interval=0.1)


@pytest.fixture
def volume(sdk):
    made = sdk.block_storage.create_volume(name=NAME, size=1)
    sdk.block_storage.wait_for_status(made, interval=0.1)
    yield made
    until(lambda: sdk.block_storage.get_volume(made).status == "available")
    sdk.block_storage.delete_volume(made)


def becomes(compute, server, status):
    """Wait for the status, with nothing under way."""
    until(lambda: (found := compute.get_server(server)).status == status and found.task_state is None)


def test_extensions(compute):
    assert compute.find_extension("os-keypairs", ignore_missing=False)
    assert "os-keypairs" in [each.alias for each in compute.extensions()]


def test_flavors(sdk, compute, flavor):
    project = sdk.current_project_id
    assert compute.find_flavor(NAME, ignore_missing=False).id == flavor.id
    assert compute.get_flavor(flavor).ram == 64
    assert NAME in [each.name for each in compute.flavors()]
    assert compute.update_flavor(flavor, description="told").description == "told"
    compute.create_flavor_extra_specs(flavor, {"hw:cpu_policy": "shared"})
    assert compute.update_flavor_extra_specs_property(flavor, "hw:cpu_policy", "mixed") == "mixed"
    assert compute.get_flavor_extra_specs_property(flavor, "hw:cpu_policy") == "mixed"
    compute.delete_flavor_extra_specs_property(flavor, "hw:cpu_policy")
    assert compute.fetch_flavor_extra_specs(flavor).extra_specs == {}
    private = compute.create_flavor(name=f"{NAME}-private", vcpus=1, ram=64, disk=1, is_public=False)
    compute.flavor_add_tenant_access(private, project)
    assert [each["tenant_id"] for each in compute.get_flavor_access(private)] == [project]
    compute.flavor_remove_tenant_access(private, project)
    compute.delete_flavor(private)


def test_aggregates(cloud, compute, picture):
    host = cloud.settings.host
    made = compute.create_aggregate(name=NAME)
    assert compute.update_aggregate(made, name=f"{NAME}-new").name == f"{NAME}-new"
    assert compute.find_aggregate(f"{NAME}-new", ignore_missing=False).id == made.id
    assert compute.add_host_to_aggregate(made, host).hosts == [host]
    assert compute.set_aggregate_metadata(made, {"colour": "red"}).metadata["colour"] == "red"
    compute.aggregate_precache_images(made, [picture.id])
    assert compute.get_aggregate(made).hosts == [host]
    assert compute.remove_host_from_aggregate(made, host).hosts == []
    assert made.id in [each.id for each in compute.aggregates()]
    compute.delete_aggregate(made)


def test_images_by_their_older_names(sdk, compute, picture):
    """The SDK has them still; they are there until 2.35, which it asks for by itself."""
    other = sdk.image.create_image(name=f"{NAME}-other", data=b"system", disk_format="raw", container_format="bare")
    assert compute.find_image(f"{NAME}-other", ignore_missing=False).id == other.id
    assert compute.get_image(picture.id).name == NAME
    assert {picture.id, other.id} <= {each.id for each in compute.images()}
    compute.set_image_metadata(other.id, colour="red")
    assert compute.get_image_metadata(other.id).metadata["colour"] == "red"
    compute.delete_image_metadata(other.id, ["colour"])
    assert "colour" not in compute.fetch_image_metadata(other.id).metadata
    compute.delete_image(other.id, ignore_missing=False)


def test_keypairs(sdk, compute):
    made = compute.create_keypair(name=NAME, type="ssh", public_key=sdk.compute.create_keypair(name="sdk-x").public_key)
    assert compute.find_keypair(NAME, ignore_missing=False).fingerprint == made.fingerprint
    assert compute.get_keypair(NAME, user_id=sdk.current_user_id).name == NAME
    assert {NAME, "sdk-x"} <= {each.name for each in compute.keypairs()}
    for name in (NAME, "sdk-x"):
        compute.delete_keypair(name, ignore_missing=False)


def test_limits_quotas_and_usage(sdk, compute, server):
    project = sdk.current_project_id
    assert compute.get_limits().absolute.instances_used >= 1
    assert compute.get_quota_set(project, usage=True).usage["instances"] >= 1
    assert compute.get_quota_set_defaults(project).cores == 20
    other = sdk.identity.create_project(name=NAME)
    assert compute.update_quota_set(other.id, cores=7).cores == 7
    compute.revert_quota_set(other.id)
    assert compute.get_quota_set(other.id).cores == 20
    sdk.identity.delete_project(other)
    assert compute.get_quota_class_set().cores == 20
    assert compute.update_quota_class_set("default", cores=20).cores == 20
    assert compute.get_usage(project).total_memory_mb_usage >= 0
    assert project in [each.project_id for each in compute.usages()]


def test_hosts(cloud, compute, server):
    host = cloud.settings.host
    hypervisor = compute.find_hypervisor(host, ignore_missing=False)
    assert compute.get_hypervisor(hypervisor).state == "up"
    assert "load average" in hypervisor.uptime
    with pytest.raises(exceptions.SDKException, match="not supported anymore"):
        compute.get_hypervisor_uptime(hypervisor)
    assert host in [each.name for each in compute.hypervisors()]
    zones = {each.name: each.hosts for each in compute.availability_zones(details=True)}
    assert host in zones["nova"]
    assert compute.find_service("nova-compute", ignore_missing=False, host=host).host == host
    service = next(each for each in compute.services(binary="nova-compute") if each.host == host)
    assert compute.disable_service(service, host, "nova-compute", "repair").disabled_reason == "repair"
    assert compute.enable_service(service, host, "nova-compute").status == "enabled"
    assert compute.update_service_forced_down(service, host, "nova-compute", True).is_forced_down
    assert compute.force_service_down(service, host, "nova-compute", True).is_forced_down
    assert compute.update_service(service, forced_down=False, status="enabled").is_forced_down is False
    with pytest.raises(exceptions.ConflictException, match="hosting instances"):
        compute.delete_service(service, ignore_missing=False)


def test_server_groups(compute):
    made = compute.create_server_group(name=NAME, policy="affinity")
    assert compute.find_server_group(NAME, ignore_missing=False).id == made.id
    assert compute.get_server_group(made).policy == "affinity"
    assert made.id in [each.id for each in compute.server_groups()]
    compute.delete_server_group(made, ignore_missing=False)


def test_what_servers_are_called(compute, server):
    assert compute.find_server(NAME, ignore_missing=False).id == server.id
    assert server.id in [each.id for each in compute.servers()]
    assert compute.update_server(server, description="told").description == "told"
    compute.set_server_metadata(server, colour="red", size="large")
    assert compute.get_server_metadata(server).metadata == {"colour": "red", "size": "large"}
    compute.delete_server_metadata(server, ["colour"])
    assert compute.fetch_server_metadata(server).metadata == {"size": "large"}
    compute.add_tag_to_server(server, "one")
    compute.add_tag_to_server(server, "two")
    compute.remove_tag_from_server(server, "one")
    assert compute.get_server(server).tags == ["two"]
    compute.remove_tags_from_server(server)
    assert compute.get_server_password(server) in (None, "")
    compute.clear_server_password(server)
    compute.change_server_password(server, "sdk-word")
    compute.reset_server_state(server, "error")
    assert compute.wait_for_status(server, "ERROR", interval=0.1).status == "ERROR"
    compute.reset_server_state(server, "active")
    compute.lock_server(server, locked_reason="mine")
    assert compute.get_server(server).is_locked
    compute.unlock_server(server)


LIVES = [
    (lambda compute, server: compute.stop_server(server), "SHUTOFF"),
    (lambda compute, server: compute.start_server(server), "ACTIVE"),
    (lambda compute, server: compute.pause_server(server), "PAUSED"),
    (lambda compute, server: compute.unpause_server(server), "ACTIVE"),
    (lambda compute, server: compute.suspend_server(server), "SUSPENDED"),
    (lambda compute, server: compute.resume_server(server), "ACTIVE"),
    (lambda compute, server: compute.reboot_server(server, "HARD"), "ACTIVE"),
    (lambda compute, server: compute.rescue_server(server), "RESCUE"),
    (lambda compute, server: compute.unrescue_server(server), "ACTIVE"),
    (lambda compute, server: compute.shelve_server(server), "SHELVED_OFFLOADED"),
    (lambda compute, server: compute.unshelve_server(server), "ACTIVE"),
    (lambda compute, server: compute.trigger_server_crash_dump(server), "ACTIVE"),
]


def test_lives(compute, server, picture):
    for act, status in LIVES:
        act(compute, server)
        becomes(compute, server, status)
    compute.rebuild_server(server, picture)
    becomes(compute, server, "ACTIVE")
    names = [each.action for each in compute.server_actions(server)]
    assert {"create", "rebuild", "shelve", "unrescue"} <= set(names)
    action = next(iter(compute.server_actions(server)))
    assert compute.get_server_action(action, server).action == action.action
    for refused in (compute.restore_server, compute.shelve_offload_server, compute.confirm_server_resize):
        with pytest.raises(exceptions.ConflictException, match="while it is in vm_state active"):
            refused(server)


def test_images_of_servers(sdk, compute, server):
    image = compute.create_server_image(server, f"{NAME}-image", wait=True)
    becomes(compute, server, "ACTIVE")
    backup = compute.backup_server(server, f"{NAME}-backup", "daily", 1)
    until(lambda: sdk.image.get_image(backup.id).status == "active")
    becomes(compute, server, "ACTIVE")
    for made in (image, backup):
        sdk.image.delete_image(made)


def test_addresses(sdk, compute, server, network):
    port = sdk.network.create_port(network_id=network.id, name=NAME)
    made = compute.create_server_interface(server, port_id=port.id)
    assert compute.get_server_interface(made.port_id, server).net_id == network.id
    assert port.id in [each.port_id for each in compute.server_interfaces(server)]
    assert port.fixed_ips[0]["ip_address"] in [each.address for each in compute.server_ips(server, NAME)]
    compute.delete_server_interface(made.port_id, server, ignore_missing=False)
    until(lambda: port.id not in [each.port_id for each in compute.server_interfaces(server)])
    sdk.network.delete_port(port)
    compute.fetch_server_security_groups(server)
    group = sdk.network.create_security_group(name=NAME)
    compute.add_security_group_to_server(server, group)
    assert NAME in [each["name"] for each in compute.fetch_server_security_groups(server).security_groups]
    compute.remove_security_group_from_server(server, group)
    sdk.network.delete_security_group(group)


def test_addresses_by_older_actions(compute, server, network):
    """The SDK asks at the newest version, where Nova has them no more either."""
    for refused in (
        lambda: compute.add_fixed_ip_to_server(server, network.id),
        lambda: compute.remove_fixed_ip_from_server(server, "10.66.0.200"),
        lambda: compute.add_floating_ip_to_server(server, "198.51.100.9"),
        lambda: compute.remove_floating_ip_from_server(server, "198.51.100.9"),
    ):
        with pytest.raises((exceptions.NotFoundException, exceptions.BadRequestException)):
            refused()


def test_volumes(sdk, compute, server, volume):
    compute.create_volume_attachment(server, volume, delete_on_termination=True)
    until(lambda: sdk.block_storage.get_volume(volume).status == "in-use")
    assert compute.get_volume_attachment(server, volume).delete_on_termination
    compute.update_volume_attachment(server, volume, volume.id, delete_on_termination=False)
    assert [each.delete_on_termination for each in compute.volume_attachments(server)] == [False]
    event = {"name": "network-changed", "server_uuid": server.id}
    assert [each.code for each in compute.create_server_external_events([event])] == [200]
    compute.delete_volume_attachment(server, volume)
    assert list(compute.share_attachments(server)) == []


def test_consoles(compute, server):
    assert "output" in compute.get_server_console_output(server, length=5)
    made = compute.create_server_remote_console(server, protocol="vnc", type="novnc")
    token = re.search(r"token(?:=|%3D)([0-9A-Za-z-]+)", made.url)
    assert compute.validate_console_auth_token(token[1]).instance_uuid == server.id
    assert compute.create_console(server, "novnc")["url"]
    with pytest.raises(exceptions.SDKException):
        compute.get_server_console_url(server, "novnc")
    assert compute.get_server_diagnostics(server).state == "running"


def test_moves(compute, server):
    large = compute.create_flavor(name=f"{NAME}-large", vcpus=2, ram=64, disk=1)
    compute.resize_server(server, large)
    becomes(compute, server, "VERIFY_RESIZE")
    compute.revert_server_resize(server)
    becomes(compute, server, "ACTIVE")
    compute.migrate_server(server)
    becomes(compute, server, "ACTIVE")
    with pytest.raises(exceptions.BadRequestException, match="No valid host"):
        compute.live_migrate_server(server)
    with pytest.raises(exceptions.BadRequestException, match="is still in use"):
        compute.evacuate_server(server)
    assert "resize" in [each.migration_type for each in compute.migrations(instance_uuid=server.id)]
    assert list(compute.server_migrations(server)) == []
    for asked in (
        lambda: compute.get_server_migration(1, server, ignore_missing=False),
        lambda: compute.abort_server_migration(1, server, ignore_missing=False),
        lambda: compute.force_complete_server_migration(1, server),
    ):
        with pytest.raises((exceptions.NotFoundException, exceptions.ConflictException)):
            asked()
    compute.delete_flavor(large)


def test_every_method_is_used():
    known = {name for name, value in vars(_proxy.Proxy).items() if not name.startswith("_") and callable(value)}
    assert len(known) > 140
    used = set(re.findall(r"\bcompute\.(\w+)", Path(__file__).read_text()))
    assert known - used == LEFT_OUT.keys()
