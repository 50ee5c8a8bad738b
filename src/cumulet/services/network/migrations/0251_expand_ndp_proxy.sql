ALTER TABLE network_router ADD COLUMN enable_ndp_proxy BOOLEAN NOT NULL DEFAULT false;
CREATE TABLE network_ndp_proxy (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(255) NOT NULL,
	name VARCHAR(255) NOT NULL,
	router_id VARCHAR(36) NOT NULL,
	port_id VARCHAR(36) NOT NULL,
	ip_address VARCHAR(64) NOT NULL,
	description TEXT NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(router_id) REFERENCES network_router (id) ON DELETE CASCADE,
	FOREIGN KEY(port_id) REFERENCES network_port (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX network_ndp_proxy_address ON network_ndp_proxy (router_id, ip_address);
CREATE INDEX network_ndp_proxy_port ON network_ndp_proxy (port_id);
CREATE INDEX network_ndp_proxy_project ON network_ndp_proxy (project_id);
