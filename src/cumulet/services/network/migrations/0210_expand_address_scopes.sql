CREATE TABLE network_address_scope (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(255) NOT NULL,
	name VARCHAR(255) NOT NULL,
	ip_version INTEGER NOT NULL,
	shared BOOLEAN NOT NULL,
	granted BOOLEAN NOT NULL,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX network_address_scope_project ON network_address_scope (project_id);

ALTER TABLE network_subnet_pool ADD COLUMN address_scope_id VARCHAR(36);
CREATE INDEX network_subnet_pool_scope ON network_subnet_pool (address_scope_id);
