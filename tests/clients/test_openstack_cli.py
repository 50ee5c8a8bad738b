# SPDX-License-Identifier: Apache-2.0
"""What users type, but for servers: the unmodified `openstack` command against a whole cloud with fake drivers."""

from __future__ import annotations

import pytest

from clients.openstack_command import OpenStackCommand, is_gone, names
from support.waiting import until

pytestmark = pytest.mark.clients

# Identity (and every command of it: `test_openstack_commands.py`)


def test_a_process_of_its_own(openstack):
    assert "identity" in openstack.process("catalog list -f value -c Type").split()


def test_catalog_list(cloud, openstack):
    catalog = {row["Type"]: row for row in openstack("catalog list")}
    assert {service.type for service in cloud.control.services if service.catalog} <= catalog.keys()
    assert {endpoint["interface"] for endpoint in catalog["network"]["Endpoints"]} >= {"public"}


# Image


def test_image(openstack, image, picture, tmp_path):
    shown = openstack(f"image show {image}")
    assert (shown["status"], shown["size"]) == ("active", picture.stat().st_size)
    assert "cli-image" in names(openstack("image list"))
    openstack.text(f"image save --file {tmp_path / 'saved'} {image}")
    assert (tmp_path / "saved").read_bytes() == picture.read_bytes()


def test_image_set_and_delete(openstack, picture):
    openstack(f"image create --file {picture} --disk-format raw cli-image-gone")
    openstack.text("image set --property os_distro=debian --tag cli cli-image-gone")
    shown = openstack("image show cli-image-gone")
    assert shown["tags"] == ["cli"]
    assert shown["properties"]["os_distro"] == "debian"
    openstack.text("image delete cli-image-gone")
    assert is_gone(openstack, "image show cli-image-gone")


# Network


def test_router_and_floating_ip(openstack, network):
    assert "cli-router" in names(openstack("router list"))
    gateway = openstack("router show cli-router")["external_gateway_info"]
    assert gateway["external_fixed_ips"][0]["ip_address"].startswith("198.51.100.")
    port = openstack(f"port create --network {network} cli-floating-port")
    floating = openstack(f"floating ip create --port {port['id']} cli-outside")
    address = floating["floating_ip_address"]
    assert address in names(openstack("floating ip list"), "Floating IP Address")
    shown = openstack(f"floating ip show {address}")
    assert shown["fixed_ip_address"] == port["fixed_ips"][0]["ip_address"]
    openstack.text(f"floating ip delete {address}")
    openstack.text(f"port delete {port['id']}")


def test_security_group(openstack):
    made = openstack("security group create --description web cli-group")
    assert len(made["rules"]) == 2
    assert "cli-group" in names(openstack("security group list"))
    rule = openstack("security group rule create --protocol tcp --dst-port 80:81 --remote-ip 192.0.2.0/24 cli-group")
    assert (rule["port_range_min"], rule["port_range_max"]) == (80, 81)
    assert rule["id"] in names(openstack("security group rule list cli-group"), "ID")
    assert openstack(f"security group rule show {rule['id']}")["protocol"] == "tcp"
    openstack.text(f"security group rule delete {rule['id']}")
    assert len(openstack("security group show cli-group")["rules"]) == 2
    openstack.text("security group delete cli-group")
    assert is_gone(openstack, "security group show cli-group")


# Block storage


def test_volume(openstack):
    made = openstack("volume create --size 1 --description blank cli-volume")
    until(lambda: openstack(f"volume show {made['id']}")["status"] == "available")
    assert "cli-volume" in names(openstack("volume list"))
    snapshot = openstack("volume snapshot create --volume cli-volume cli-snapshot")["id"]
    until(lambda: openstack(f"volume snapshot show {snapshot}")["status"] == "available")
    assert "cli-snapshot" in names(openstack("volume snapshot list"))
    openstack.text(f"volume snapshot delete {snapshot}")
    until(lambda: is_gone(openstack, f"volume snapshot show {snapshot}"))
    openstack.text(f"volume delete {made['id']}")
    until(lambda: is_gone(openstack, f"volume show {made['id']}"))


def test_volume_from_image(openstack, image):
    made = openstack(f"volume create --size 1 --image {image} --bootable cli-bootable")
    until(lambda: openstack(f"volume show {made['id']}")["status"] == "available")
    assert openstack(f"volume show {made['id']}")["bootable"] is True
    openstack.text(f"volume delete {made['id']}")
    until(lambda: is_gone(openstack, f"volume show {made['id']}"))


def test_volume_service_list(openstack):
    services = {row["Binary"]: row["State"] for row in openstack("volume service list")}
    assert services["cinder-volume"] == "up"


# Placement


def test_resource_provider_of_our_own(cloud):
    openstack = OpenStackCommand(cloud, OS_PLACEMENT_API_VERSION="1.39")
    made = openstack("resource provider create cli-provider")["uuid"]
    openstack.text(f"resource provider inventory set {made} --resource VCPU=4 --resource VCPU:max_unit=2")
    found = openstack("allocation candidate list --resource VCPU=2")
    assert made in names(found, "resource provider")
    openstack.text("trait create CUSTOM_CLI")
    openstack.text(f"resource provider trait set --trait CUSTOM_CLI {made}")
    assert names(openstack(f"resource provider trait list {made}"), "name") == ["CUSTOM_CLI"]
    openstack.text(f"resource provider inventory delete {made} --resource-class VCPU")
    openstack.text(f"resource provider delete {made}")
    assert made not in names(openstack("resource provider list"), "uuid")
