CREATE TABLE network_flavor (
	id VARCHAR(36) NOT NULL,
	name VARCHAR(255) NOT NULL,
	description TEXT,
	service_type VARCHAR(36) NOT NULL,
	enabled BOOLEAN NOT NULL,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (id)
);
CREATE TABLE network_service_profile (
	id VARCHAR(36) NOT NULL,
	description TEXT,
	driver TEXT NOT NULL,
	metainfo TEXT NOT NULL,
	enabled BOOLEAN NOT NULL,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (id)
);
CREATE TABLE network_flavor_profile (
	flavor_id VARCHAR(36) NOT NULL,
	service_profile_id VARCHAR(36) NOT NULL,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (flavor_id, service_profile_id),
	FOREIGN KEY(flavor_id) REFERENCES network_flavor (id) ON DELETE CASCADE,
	FOREIGN KEY(service_profile_id) REFERENCES network_service_profile (id)
);
CREATE INDEX network_flavor_profile_profile ON network_flavor_profile (service_profile_id);
ALTER TABLE network_router ADD COLUMN flavor_id VARCHAR(36);
CREATE INDEX network_router_flavor ON network_router (flavor_id);
