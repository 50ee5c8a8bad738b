CREATE TABLE network_conntrack_helper (
	id VARCHAR(36) NOT NULL,
	router_id VARCHAR(36) NOT NULL,
	protocol VARCHAR(40) NOT NULL,
	port INTEGER NOT NULL,
	helper VARCHAR(64) NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(router_id) REFERENCES network_router (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX network_conntrack_helper_same ON network_conntrack_helper (router_id, protocol, port, helper);
