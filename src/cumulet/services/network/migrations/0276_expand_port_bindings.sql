ALTER TABLE network_port ADD COLUMN vif_type VARCHAR(64);
ALTER TABLE network_port ADD COLUMN vif_details TEXT;

CREATE TABLE network_port_binding (
	port_id VARCHAR(36) NOT NULL,
	host VARCHAR(255) NOT NULL,
	vnic_type VARCHAR(64) NOT NULL,
	profile TEXT NOT NULL,
	vif_type VARCHAR(64) NOT NULL,
	vif_details TEXT NOT NULL,
	PRIMARY KEY (port_id, host),
	FOREIGN KEY(port_id) REFERENCES network_port (id) ON DELETE CASCADE
);
