CREATE TABLE image_metadef_namespace (
	id VARCHAR(36) NOT NULL,
	namespace VARCHAR(80) NOT NULL,
	display_name VARCHAR(80),
	description TEXT,
	visibility VARCHAR(16) NOT NULL,
	protected BOOLEAN NOT NULL,
	owner VARCHAR(255),
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id)
);

CREATE UNIQUE INDEX image_metadef_namespace_name ON image_metadef_namespace (namespace);

CREATE TABLE image_metadef_resource_type (
	name VARCHAR(80) NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (name)
);

CREATE TABLE image_metadef_association (
	namespace_id VARCHAR(36) NOT NULL,
	name VARCHAR(80) NOT NULL,
	prefix VARCHAR(80),
	properties_target VARCHAR(80),
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (namespace_id, name),
	FOREIGN KEY(namespace_id) REFERENCES image_metadef_namespace (id) ON DELETE CASCADE,
	FOREIGN KEY(name) REFERENCES image_metadef_resource_type (name)
);

CREATE INDEX image_metadef_association_name ON image_metadef_association (name);

CREATE TABLE image_metadef_object (
	namespace_id VARCHAR(36) NOT NULL,
	name VARCHAR(80) NOT NULL,
	description TEXT,
	required TEXT NOT NULL,
	properties TEXT NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (namespace_id, name),
	FOREIGN KEY(namespace_id) REFERENCES image_metadef_namespace (id) ON DELETE CASCADE
);

CREATE TABLE image_metadef_property (
	namespace_id VARCHAR(36) NOT NULL,
	name VARCHAR(80) NOT NULL,
	schema TEXT NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (namespace_id, name),
	FOREIGN KEY(namespace_id) REFERENCES image_metadef_namespace (id) ON DELETE CASCADE
);

CREATE TABLE image_metadef_tag (
	namespace_id VARCHAR(36) NOT NULL,
	name VARCHAR(80) NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (namespace_id, name),
	FOREIGN KEY(namespace_id) REFERENCES image_metadef_namespace (id) ON DELETE CASCADE
);
