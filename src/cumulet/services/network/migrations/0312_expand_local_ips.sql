CREATE TABLE network_local_ip (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(255) NOT NULL,
	name VARCHAR(255) NOT NULL,
	local_port_id VARCHAR(36) NOT NULL,
	network_id VARCHAR(36) NOT NULL,
	local_ip_address VARCHAR(64) NOT NULL,
	ip_mode VARCHAR(32) NOT NULL,
	description TEXT NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(local_port_id) REFERENCES network_port (id) ON DELETE CASCADE
);
CREATE INDEX network_local_ip_project ON network_local_ip (project_id);
CREATE INDEX network_local_ip_port ON network_local_ip (local_port_id);
CREATE TABLE network_local_ip_association (
	id VARCHAR(36) NOT NULL,
	local_ip_id VARCHAR(36) NOT NULL,
	fixed_port_id VARCHAR(36) NOT NULL,
	fixed_ip VARCHAR(64) NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(local_ip_id) REFERENCES network_local_ip (id) ON DELETE CASCADE,
	FOREIGN KEY(fixed_port_id) REFERENCES network_port (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX network_local_ip_association_same ON network_local_ip_association (local_ip_id, fixed_port_id);
CREATE INDEX network_local_ip_association_port ON network_local_ip_association (fixed_port_id);
