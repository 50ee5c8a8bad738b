# SPDX-License-Identifier: Apache-2.0
"""What users type about servers and their hosts: the unmodified `openstack` command, with fake drivers."""

from __future__ import annotations

import pytest

from clients.openstack_command import OpenStackCommand, is_gone, names
from support.waiting import until

pytestmark = pytest.mark.clients


def test_flavor(openstack, flavor):
    assert "cli-flavor" in names(openstack("flavor list"))
    assert openstack(f"flavor show {flavor}")["ram"] == 128
    openstack("flavor create --vcpus 1 --ram 1 --property hw:boot_menu=true cli-flavor-gone")
    assert openstack("flavor show cli-flavor-gone")["properties"] == {"hw:boot_menu": "true"}
    openstack.text("flavor delete cli-flavor-gone")
    assert is_gone(openstack, "flavor show cli-flavor-gone")


def test_keypair(openstack, tmp_path):
    private = tmp_path / "key"
    openstack.text(f"keypair create --private-key {private} cli-made-here")
    assert "PRIVATE KEY" in private.read_text()
    public = tmp_path / "key.pub"
    public.write_text(openstack.text("keypair show --public-key cli-made-here"))
    assert public.read_text().startswith("ssh-")
    given = openstack(f"keypair create --public-key {public} cli-given")
    assert given["fingerprint"] == openstack("keypair show cli-made-here")["fingerprint"]
    assert {"cli-made-here", "cli-given"} <= set(names(openstack("keypair list")))
    openstack.text("keypair delete cli-made-here cli-given")
    assert is_gone(openstack, "keypair show cli-given")


def status_is(openstack, server, status):
    return until(lambda: openstack(f"server show {server}")["status"] == status)


def test_server(openstack, server, image, flavor):
    shown = openstack(f"server show {server}")
    assert shown["status"] == "ACTIVE"
    assert shown["addresses"]["cli-inside"][0].startswith("10.77.0.")
    row = next(row for row in openstack("server list") if row["ID"] == server)
    assert (row["Name"], row["Image"], row["Flavor"]) == ("cli-server", "cli-image", "cli-flavor")
    openstack.text(f"server set --name cli-renamed --property colour=red {server}")
    assert openstack(f"server show {server}")["properties"] == {"colour": "red"}
    openstack.text(f"server set --name cli-server {server}")


def test_server_stop_start_and_reboot(openstack, server):
    openstack.text(f"server stop {server}")
    status_is(openstack, server, "SHUTOFF")
    openstack.text(f"server start {server}")
    status_is(openstack, server, "ACTIVE")
    openstack.text(f"server reboot --soft {server}")
    status_is(openstack, server, "ACTIVE")
    openstack.text(f"server reboot --hard {server}")
    status_is(openstack, server, "ACTIVE")
    actions = names(openstack(f"server event list {server}"), "Action")
    assert actions.count("reboot") == 2
    assert {"create", "stop", "start"} <= set(actions)


def test_server_suspend_rescue_and_shelve(openstack, server):
    for there, then, back in (
        ("suspend", "SUSPENDED", "resume"),
        ("rescue", "RESCUE", "unrescue"),
        ("shelve", "SHELVED_OFFLOADED", "unshelve"),
    ):
        openstack.text(f"server {there} {server}")
        status_is(openstack, server, then)
        openstack.text(f"server {back} {server}")
        status_is(openstack, server, "ACTIVE")


def test_server_rebuild(openstack, server, image):
    rebuilt = openstack(f"server rebuild --image {image} --description anew --password cli-word {server}")
    assert (rebuilt["id"], rebuilt["status"]) == (server, "REBUILD")
    status_is(openstack, server, "ACTIVE")
    assert openstack(f"server show {server}")["description"] == "anew"


def test_server_backup_create(openstack, server):
    made = openstack(f"server backup create --name cli-backup --type daily --rotate 1 {server}")
    until(lambda: openstack(f"image show {made['id']}")["status"] == "active")
    openstack.text(f"image delete {made['id']}")
    until(lambda: openstack(f"server show {server}")["OS-EXT-STS:task_state"] is None)


def test_server_dump_password_and_state(openstack, server):
    openstack.text(f"server dump create {server}")
    openstack.text(f"server set --password cli-word {server}")
    openstack.text(f"server set --auto-approve --state error {server}")
    assert openstack(f"server show {server}")["status"] == "ERROR"
    openstack.text(f"server set --auto-approve --state active {server}")
    assert openstack(f"server show {server}")["status"] == "ACTIVE"
    assert "resetState" in names(openstack(f"server event list {server}"), "Action")


def test_server_event_show(openstack, server):
    request = openstack(f"server event list {server}")[-1]["Request ID"]
    assert openstack(f"server event show {server} {request}")["action"] == "create"


def test_console_log_show(openstack, server):
    assert isinstance(openstack.text(f"console log show {server}"), str)


def test_console_url_show(openstack, server):
    assert "/console/novnc/vnc_lite.html?path=" in openstack(f"console url show --novnc {server}")["url"]
    assert openstack(f"console url show --serial {server}")["url"].startswith("ws://")
    with pytest.raises(AssertionError, match="Unavailable console type spice-html5"):
        openstack.text(f"console url show --spice {server}")


def test_server_diagnostics(openstack, server):
    """The SDK has them where the command has not."""
    assert openstack(f"server show --diagnostics {server}")["state"] == "running"


def test_server_floating_ip(openstack, server):
    address = openstack("floating ip create cli-outside")["floating_ip_address"]
    openstack.text(f"server add floating ip {server} {address}")
    assert address in openstack(f"server show {server}")["addresses"]["cli-inside"]
    openstack.text(f"server remove floating ip {server} {address}")
    assert address not in openstack(f"server show {server}")["addresses"]["cli-inside"]
    openstack.text(f"floating ip delete {address}")


def test_server_volume(openstack, server):
    volume = openstack("volume create --size 1 cli-attached")["id"]
    until(lambda: openstack(f"volume show {volume}")["status"] == "available")
    assert openstack(f"server add volume {server} {volume}")["Device"].startswith("/dev/vd")
    until(lambda: openstack(f"volume show {volume}")["status"] == "in-use")
    assert volume in [each["id"] for each in openstack(f"server show {server}")["volumes_attached"]]
    openstack.text(f"server remove volume {server} {volume}")
    until(lambda: openstack(f"volume show {volume}")["status"] == "available")
    openstack.text(f"volume delete {volume}")


def test_server_pause(openstack, server):
    openstack.text(f"server pause {server}")
    status_is(openstack, server, "PAUSED")
    openstack.text(f"server unpause {server}")
    status_is(openstack, server, "ACTIVE")


def test_server_port(openstack, server, network):
    port = openstack(f"port create --network {network} cli-second")
    address = port["fixed_ips"][0]["ip_address"]
    openstack.text(f"server add port {server} {port['id']}")
    until(lambda: address in openstack(f"server show {server}")["addresses"]["cli-inside"])
    assert port["id"] in names(openstack(f"port list --server {server}"), "ID")
    openstack.text(f"server remove port {server} {port['id']}")
    until(lambda: address not in openstack(f"server show {server}")["addresses"]["cli-inside"])
    openstack.text(f"port delete {port['id']}")


def test_server_image_create(openstack, server):
    made = openstack(f"server image create --name cli-of-a-server {server}")["id"]
    until(lambda: openstack(f"image show {made}")["status"] == "active")
    status_is(openstack, server, "ACTIVE")
    openstack.text(f"image delete {made}")


def test_server_delete(openstack, image, flavor, network):
    made = openstack(f"server create --image {image} --flavor {flavor} --network {network} cli-server-gone")
    openstack.text(f"server delete {made['id']}")
    until(lambda: is_gone(openstack, f"server show {made['id']}"))


def test_a_member_of_a_new_project(cloud, openstack, image, flavor, network):
    openstack("project create cli-newcomers")
    openstack("user create --password 'correct horse' cli-newcomer")
    openstack.text("role add --user cli-newcomer --project cli-newcomers member")
    member = OpenStackCommand(
        cloud, OS_USERNAME="cli-newcomer", OS_PASSWORD="correct horse", OS_PROJECT_NAME="cli-newcomers"
    )
    member("network create cli-own")
    member("subnet create --network cli-own --subnet-range 10.79.0.0/24 cli-own")
    made = member(f"server create --image {image} --flavor {flavor} cli-own-server")
    until(lambda: member("server show cli-own-server")["status"] == "ACTIVE")
    assert member("server show cli-own-server")["addresses"]["cli-own"][0].startswith("10.79.0.")
    assert names(member("server list")) == ["cli-own-server"]
    assert is_gone(member, f"network show {network}")
    member.text("server delete cli-own-server")
    until(lambda: is_gone(member, f"server show {made['id']}"))
    member.text("network delete cli-own")
    openstack.text("user delete cli-newcomer")
    openstack.text("project delete cli-newcomers")


def test_hypervisors_and_compute_services(cloud, openstack, server):
    own = cloud.settings.host
    hypervisor = next(row for row in openstack("hypervisor list") if row["Hypervisor Hostname"] == own)
    assert hypervisor["State"] == "up"
    assert openstack(f"hypervisor show {hypervisor['ID']}")["status"] == "enabled"
    services = {row["Binary"]: row["State"] for row in openstack("compute service list") if row["Host"] == own}
    assert services["nova-compute"] == "up"


def test_availability_zone_list(openstack):
    assert "nova" in names(openstack("availability zone list"), "Zone Name")


def test_limits_show(openstack, server):
    limits = {row["Name"]: row["Value"] for row in openstack("limits show --absolute")}
    assert limits["total_instances_used"] >= 1
    assert limits["max_total_volumes"]


def test_quota_show(openstack):
    quota = {row["Resource"]: row["Limit"] for row in openstack("quota show")}
    assert {"instances", "cores", "networks", "volumes"} <= quota.keys()


def test_resource_provider(openstack, server):
    claim = openstack(f"resource provider allocation show {server}")[0]
    provider = claim["resource_provider"]
    assert provider in names(openstack("resource provider list"), "uuid")
    inventory = {row["resource_class"]: row for row in openstack(f"resource provider inventory list {provider}")}
    assert {"VCPU", "MEMORY_MB", "DISK_GB"} <= inventory.keys()
    usage = {row["resource_class"]: row["usage"] for row in openstack(f"resource provider usage show {provider}")}
    assert usage["VCPU"] >= claim["resources"]["VCPU"] == 1
