CREATE TABLE identity_region (
	id VARCHAR(255) NOT NULL,
	description TEXT NOT NULL,
	parent_region_id VARCHAR(255),
	PRIMARY KEY (id),
	FOREIGN KEY(parent_region_id) REFERENCES identity_region (id)
);

CREATE INDEX identity_region_parent ON identity_region (parent_region_id);
