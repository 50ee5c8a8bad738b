CREATE TABLE network_port_forwarding (
	id VARCHAR(36) NOT NULL,
	floatingip_id VARCHAR(36) NOT NULL,
	internal_port_id VARCHAR(36) NOT NULL,
	internal_ip_address VARCHAR(64) NOT NULL,
	protocol VARCHAR(40) NOT NULL,
	external_low INTEGER NOT NULL,
	external_high INTEGER NOT NULL,
	internal_low INTEGER NOT NULL,
	internal_high INTEGER NOT NULL,
	description TEXT NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(floatingip_id) REFERENCES network_floating_ip (id) ON DELETE CASCADE,
	FOREIGN KEY(internal_port_id) REFERENCES network_port (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX network_port_forwarding_outside ON network_port_forwarding (floatingip_id, protocol, external_low);
CREATE INDEX network_port_forwarding_port ON network_port_forwarding (internal_port_id);
