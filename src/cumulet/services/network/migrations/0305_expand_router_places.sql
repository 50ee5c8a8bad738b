ALTER TABLE network_router ADD COLUMN ha BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE network_router ADD COLUMN distributed BOOLEAN NOT NULL DEFAULT false;
CREATE TABLE network_router_place (
	router_id VARCHAR(36) NOT NULL,
	host VARCHAR(255) NOT NULL,
	rank INTEGER NOT NULL,
	state VARCHAR(16) NOT NULL,
	PRIMARY KEY (router_id, host),
	FOREIGN KEY(router_id) REFERENCES network_router (id) ON DELETE CASCADE
);
CREATE INDEX network_router_place_host ON network_router_place (host);
CREATE TABLE network_router_reach (
	network_id VARCHAR(36) NOT NULL,
	router_id VARCHAR(36) NOT NULL,
	PRIMARY KEY (network_id, router_id),
	FOREIGN KEY(network_id) REFERENCES network_network (id) ON DELETE CASCADE,
	FOREIGN KEY(router_id) REFERENCES network_router (id) ON DELETE CASCADE
);
CREATE INDEX network_router_reach_router ON network_router_reach (router_id);
CREATE TABLE network_ha_network (
	project_id VARCHAR(255) NOT NULL,
	network_id VARCHAR(36) NOT NULL,
	PRIMARY KEY (project_id),
	FOREIGN KEY(network_id) REFERENCES network_network (id) ON DELETE CASCADE
);
CREATE INDEX network_ha_network_network ON network_ha_network (network_id);
