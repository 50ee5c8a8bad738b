CREATE TABLE network_topology (
	project_id VARCHAR(255) NOT NULL,
	network_id VARCHAR(36) NOT NULL,
	router_id VARCHAR(36),
	PRIMARY KEY (project_id),
	FOREIGN KEY(network_id) REFERENCES network_network (id) ON DELETE CASCADE,
	FOREIGN KEY(router_id) REFERENCES network_router (id) ON DELETE SET NULL
);
CREATE INDEX network_topology_network ON network_topology (network_id);
CREATE INDEX network_topology_router ON network_topology (router_id);
