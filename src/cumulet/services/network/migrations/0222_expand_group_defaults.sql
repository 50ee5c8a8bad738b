CREATE TABLE network_default_group_rule (
	id VARCHAR(36) NOT NULL,
	direction VARCHAR(8) NOT NULL,
	ethertype VARCHAR(8) NOT NULL,
	protocol VARCHAR(40),
	port_range_min INTEGER,
	port_range_max INTEGER,
	remote_ip_prefix VARCHAR(64),
	remote_group_id VARCHAR(36),
	remote_address_group_id VARCHAR(36),
	description TEXT NOT NULL,
	used_in_default_sg BOOLEAN NOT NULL,
	used_in_non_default_sg BOOLEAN NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id)
);
INSERT INTO network_default_group_rule (
	id, direction, ethertype, remote_group_id, description, used_in_default_sg, used_in_non_default_sg,
	revision_number, created_at, updated_at
) VALUES
	('5d0c1a5e-3b7a-4f0e-9c57-2f6f0f5b6a01', 'egress', 'IPv4', NULL, 'Legacy default SG rule for egress traffic', true, true, 0, '2026-11-22 00:00:00.000000', '2026-11-22 00:00:00.000000'),
	('5d0c1a5e-3b7a-4f0e-9c57-2f6f0f5b6a02', 'egress', 'IPv6', NULL, 'Legacy default SG rule for egress traffic', true, true, 0, '2026-11-22 00:00:00.000001', '2026-11-22 00:00:00.000001'),
	('5d0c1a5e-3b7a-4f0e-9c57-2f6f0f5b6a03', 'ingress', 'IPv4', 'PARENT', 'Legacy default SG rule for ingress traffic', true, false, 0, '2026-11-22 00:00:00.000002', '2026-11-22 00:00:00.000002'),
	('5d0c1a5e-3b7a-4f0e-9c57-2f6f0f5b6a04', 'ingress', 'IPv6', 'PARENT', 'Legacy default SG rule for ingress traffic', true, false, 0, '2026-11-22 00:00:00.000003', '2026-11-22 00:00:00.000003');
CREATE TABLE network_default_statefulness (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(255),
	stateful BOOLEAN NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (project_id)
);
