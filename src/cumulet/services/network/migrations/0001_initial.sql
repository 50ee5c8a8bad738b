CREATE TABLE network_agent (
	id VARCHAR(36) NOT NULL,
	host VARCHAR(255) NOT NULL,
	admin_state_up BOOLEAN NOT NULL,
	description VARCHAR(255),
	configurations TEXT NOT NULL,
	created_at DATETIME NOT NULL,
	started_at DATETIME NOT NULL,
	heartbeat_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (host)
);

CREATE TABLE network_epoch (
	id INTEGER NOT NULL,
	value VARCHAR(36) NOT NULL,
	PRIMARY KEY (id)
);

CREATE TABLE network_network (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(255) NOT NULL,
	name VARCHAR(255) NOT NULL,
	admin_state_up BOOLEAN NOT NULL,
	shared BOOLEAN NOT NULL,
	external BOOLEAN NOT NULL,
	is_default BOOLEAN NOT NULL,
	mtu INTEGER NOT NULL,
	port_security_enabled BOOLEAN NOT NULL,
	network_type VARCHAR(32) NOT NULL,
	physical_network VARCHAR(64),
	segmentation_id INTEGER,
	availability_zone_hints TEXT NOT NULL,
	description TEXT NOT NULL,
	tags TEXT NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (physical_network),
	UNIQUE (segmentation_id)
);

CREATE INDEX network_network_project ON network_network (project_id);

CREATE TABLE network_quota (
	project_id VARCHAR(255) NOT NULL,
	resource VARCHAR(64) NOT NULL,
	"limit" INTEGER NOT NULL,
	PRIMARY KEY (project_id, resource)
);

CREATE TABLE network_router (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(255) NOT NULL,
	name VARCHAR(255) NOT NULL,
	admin_state_up BOOLEAN NOT NULL,
	status VARCHAR(16) NOT NULL,
	gateway_network_id VARCHAR(36),
	gateway_port_id VARCHAR(36),
	enable_snat BOOLEAN NOT NULL,
	routes TEXT NOT NULL,
	host VARCHAR(255) NOT NULL,
	availability_zone_hints TEXT NOT NULL,
	description TEXT NOT NULL,
	tags TEXT NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX network_router_host ON network_router (host);

CREATE INDEX network_router_project ON network_router (project_id);

CREATE TABLE network_security_group (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(255) NOT NULL,
	name VARCHAR(255) NOT NULL,
	is_default BOOLEAN NOT NULL,
	description TEXT NOT NULL,
	tags TEXT NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX network_security_group_project ON network_security_group (project_id);

CREATE TABLE network_subnet_pool (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(255) NOT NULL,
	name VARCHAR(255) NOT NULL,
	ip_version INTEGER NOT NULL,
	prefixes TEXT NOT NULL,
	default_prefixlen INTEGER NOT NULL,
	min_prefixlen INTEGER NOT NULL,
	max_prefixlen INTEGER NOT NULL,
	default_quota INTEGER,
	is_default BOOLEAN NOT NULL,
	shared BOOLEAN NOT NULL,
	description TEXT NOT NULL,
	tags TEXT NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX network_subnet_pool_project ON network_subnet_pool (project_id);

CREATE TABLE network_port (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(255) NOT NULL,
	network_id VARCHAR(36) NOT NULL,
	name VARCHAR(255) NOT NULL,
	mac_address VARCHAR(32) NOT NULL,
	admin_state_up BOOLEAN NOT NULL,
	status VARCHAR(16) NOT NULL,
	device_id VARCHAR(255) NOT NULL,
	device_owner VARCHAR(255) NOT NULL,
	host VARCHAR(255) NOT NULL,
	vnic_type VARCHAR(64) NOT NULL,
	profile TEXT NOT NULL,
	port_security_enabled BOOLEAN NOT NULL,
	allowed_address_pairs TEXT NOT NULL,
	extra_dhcp_opts TEXT NOT NULL,
	made_for_server BOOLEAN NOT NULL,
	position INTEGER NOT NULL,
	tag VARCHAR(60),
	description TEXT NOT NULL,
	tags TEXT NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(network_id) REFERENCES network_network (id)
);

CREATE INDEX network_port_device ON network_port (device_id);

CREATE INDEX network_port_host ON network_port (host);

CREATE UNIQUE INDEX network_port_mac ON network_port (network_id, mac_address);

CREATE INDEX network_port_network_host ON network_port (network_id, host);

CREATE INDEX network_port_project ON network_port (project_id);

CREATE TABLE network_security_group_rule (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(255) NOT NULL,
	security_group_id VARCHAR(36) NOT NULL,
	direction VARCHAR(8) NOT NULL,
	ethertype VARCHAR(8) NOT NULL,
	protocol VARCHAR(40),
	port_range_min INTEGER,
	port_range_max INTEGER,
	remote_ip_prefix VARCHAR(64),
	remote_group_id VARCHAR(36),
	description TEXT NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(security_group_id) REFERENCES network_security_group (id) ON DELETE CASCADE,
	FOREIGN KEY(remote_group_id) REFERENCES network_security_group (id) ON DELETE CASCADE
);

CREATE INDEX network_security_group_rule_group ON network_security_group_rule (security_group_id);

CREATE INDEX network_security_group_rule_project ON network_security_group_rule (project_id);

CREATE INDEX network_security_group_rule_remote ON network_security_group_rule (remote_group_id);

CREATE TABLE network_subnet (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(255) NOT NULL,
	network_id VARCHAR(36) NOT NULL,
	name VARCHAR(255) NOT NULL,
	ip_version INTEGER NOT NULL,
	cidr VARCHAR(64) NOT NULL,
	gateway_ip VARCHAR(64),
	enable_dhcp BOOLEAN NOT NULL,
	allocation_pools TEXT NOT NULL,
	dns_nameservers TEXT NOT NULL,
	host_routes TEXT NOT NULL,
	ipv6_ra_mode VARCHAR(16),
	ipv6_address_mode VARCHAR(16),
	subnetpool_id VARCHAR(36),
	service_types TEXT NOT NULL,
	description TEXT NOT NULL,
	tags TEXT NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(network_id) REFERENCES network_network (id),
	FOREIGN KEY(subnetpool_id) REFERENCES network_subnet_pool (id)
);

CREATE INDEX network_subnet_network ON network_subnet (network_id);

CREATE INDEX network_subnet_pool_of ON network_subnet (subnetpool_id);

CREATE INDEX network_subnet_project ON network_subnet (project_id);

CREATE TABLE network_allocation (
	subnet_id VARCHAR(36) NOT NULL,
	address VARCHAR(64) NOT NULL,
	port_id VARCHAR(36) NOT NULL,
	network_id VARCHAR(36) NOT NULL,
	position INTEGER NOT NULL,
	PRIMARY KEY (subnet_id, address),
	FOREIGN KEY(subnet_id) REFERENCES network_subnet (id),
	FOREIGN KEY(port_id) REFERENCES network_port (id) ON DELETE CASCADE
);

CREATE INDEX network_allocation_address ON network_allocation (network_id, address);

CREATE INDEX network_allocation_port ON network_allocation (port_id);

CREATE TABLE network_floating_ip (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(255) NOT NULL,
	floating_network_id VARCHAR(36) NOT NULL,
	floating_port_id VARCHAR(36) NOT NULL,
	floating_ip_address VARCHAR(64) NOT NULL,
	port_id VARCHAR(36),
	fixed_ip_address VARCHAR(64),
	router_id VARCHAR(36),
	status VARCHAR(16) NOT NULL,
	description TEXT NOT NULL,
	tags TEXT NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(floating_network_id) REFERENCES network_network (id),
	FOREIGN KEY(floating_port_id) REFERENCES network_port (id),
	FOREIGN KEY(router_id) REFERENCES network_router (id)
);

CREATE UNIQUE INDEX network_floating_ip_address ON network_floating_ip (floating_network_id, floating_ip_address);

CREATE INDEX network_floating_ip_port ON network_floating_ip (port_id);

CREATE INDEX network_floating_ip_project ON network_floating_ip (project_id);

CREATE INDEX network_floating_ip_router ON network_floating_ip (router_id);

CREATE TABLE network_membership (
	port_id VARCHAR(36) NOT NULL,
	security_group_id VARCHAR(36) NOT NULL,
	PRIMARY KEY (port_id, security_group_id),
	FOREIGN KEY(port_id) REFERENCES network_port (id) ON DELETE CASCADE,
	FOREIGN KEY(security_group_id) REFERENCES network_security_group (id)
);

CREATE INDEX network_membership_group ON network_membership (security_group_id);
