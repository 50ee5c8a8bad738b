CREATE TABLE placement_consumer (
	uuid VARCHAR(36) NOT NULL,
	project_id VARCHAR(255) NOT NULL,
	user_id VARCHAR(255) NOT NULL,
	type VARCHAR(255),
	generation INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME,
	PRIMARY KEY (uuid)
);

CREATE INDEX placement_consumer_project ON placement_consumer (project_id, user_id);

CREATE TABLE placement_provider (
	uuid VARCHAR(36) NOT NULL,
	name VARCHAR(200) NOT NULL,
	generation INTEGER NOT NULL,
	parent_uuid VARCHAR(36),
	root_uuid VARCHAR(36) NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME,
	PRIMARY KEY (uuid),
	FOREIGN KEY(parent_uuid) REFERENCES placement_provider (uuid)
);

CREATE UNIQUE INDEX placement_provider_name ON placement_provider (name);

CREATE INDEX placement_provider_parent ON placement_provider (parent_uuid);

CREATE INDEX placement_provider_root ON placement_provider (root_uuid);

CREATE TABLE placement_resource_class (
	name VARCHAR(255) NOT NULL,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (name)
);

CREATE TABLE placement_trait (
	name VARCHAR(255) NOT NULL,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (name)
);

CREATE TABLE placement_allocation (
	consumer_uuid VARCHAR(36) NOT NULL,
	provider_uuid VARCHAR(36) NOT NULL,
	resource_class VARCHAR(255) NOT NULL,
	used INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (consumer_uuid, provider_uuid, resource_class),
	FOREIGN KEY(consumer_uuid) REFERENCES placement_consumer (uuid),
	FOREIGN KEY(provider_uuid) REFERENCES placement_provider (uuid)
);

CREATE INDEX placement_allocation_provider ON placement_allocation (provider_uuid, resource_class, used);

CREATE TABLE placement_inventory (
	provider_uuid VARCHAR(36) NOT NULL,
	resource_class VARCHAR(255) NOT NULL,
	total INTEGER NOT NULL,
	reserved INTEGER NOT NULL,
	min_unit INTEGER NOT NULL,
	max_unit INTEGER NOT NULL,
	step_size INTEGER NOT NULL,
	allocation_ratio FLOAT NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME,
	PRIMARY KEY (provider_uuid, resource_class),
	FOREIGN KEY(provider_uuid) REFERENCES placement_provider (uuid)
);

CREATE INDEX placement_inventory_class ON placement_inventory (resource_class);

CREATE TABLE placement_provider_aggregate (
	provider_uuid VARCHAR(36) NOT NULL,
	aggregate_uuid VARCHAR(36) NOT NULL,
	PRIMARY KEY (provider_uuid, aggregate_uuid),
	FOREIGN KEY(provider_uuid) REFERENCES placement_provider (uuid)
);

CREATE INDEX placement_provider_aggregate_aggregate ON placement_provider_aggregate (aggregate_uuid);

CREATE TABLE placement_provider_trait (
	provider_uuid VARCHAR(36) NOT NULL,
	trait VARCHAR(255) NOT NULL,
	PRIMARY KEY (provider_uuid, trait),
	FOREIGN KEY(provider_uuid) REFERENCES placement_provider (uuid)
);

CREATE INDEX placement_provider_trait_trait ON placement_provider_trait (trait);
