CREATE TABLE network_qos_policy (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(255) NOT NULL,
	name VARCHAR(255) NOT NULL,
	shared BOOLEAN NOT NULL,
	granted BOOLEAN NOT NULL,
	is_default BOOLEAN NOT NULL,
	description TEXT NOT NULL,
	tags TEXT NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id)
);
CREATE INDEX network_qos_policy_project ON network_qos_policy (project_id);

CREATE TABLE network_qos_rule (
	id VARCHAR(36) NOT NULL,
	qos_policy_id VARCHAR(36) NOT NULL,
	type VARCHAR(32) NOT NULL,
	direction VARCHAR(8),
	max_kbps INTEGER,
	max_burst_kbps INTEGER,
	min_kbps INTEGER,
	max_kpps INTEGER,
	max_burst_kpps INTEGER,
	min_kpps INTEGER,
	dscp_mark INTEGER,
	revision_number INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(qos_policy_id) REFERENCES network_qos_policy (id) ON DELETE CASCADE
);
CREATE INDEX network_qos_rule_policy ON network_qos_rule (qos_policy_id);

ALTER TABLE network_network ADD COLUMN qos_policy_id VARCHAR(36);
CREATE INDEX network_network_qos ON network_network (qos_policy_id);
ALTER TABLE network_port ADD COLUMN qos_policy_id VARCHAR(36);
CREATE INDEX network_port_qos ON network_port (qos_policy_id);
ALTER TABLE network_floating_ip ADD COLUMN qos_policy_id VARCHAR(36);
CREATE INDEX network_floating_ip_qos ON network_floating_ip (qos_policy_id);
ALTER TABLE network_router ADD COLUMN gateway_qos_policy_id VARCHAR(36);
CREATE INDEX network_router_qos ON network_router (gateway_qos_policy_id);
