CREATE TABLE image_image (
	id VARCHAR(36) NOT NULL,
	name VARCHAR(255),
	owner VARCHAR(255),
	status VARCHAR(30) NOT NULL,
	visibility VARCHAR(16) NOT NULL,
	disk_format VARCHAR(20),
	container_format VARCHAR(20),
	min_disk BIGINT NOT NULL,
	min_ram BIGINT NOT NULL,
	protected BOOLEAN NOT NULL,
	os_hidden BOOLEAN NOT NULL,
	size BIGINT,
	virtual_size BIGINT,
	checksum VARCHAR(32),
	os_hash_algo VARCHAR(64),
	os_hash_value VARCHAR(128),
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX image_image_created ON image_image (created_at, id);

CREATE INDEX image_image_owner ON image_image (owner);

CREATE TABLE image_task (
	id VARCHAR(36) NOT NULL,
	type VARCHAR(30) NOT NULL,
	status VARCHAR(30) NOT NULL,
	owner VARCHAR(255),
	image_id VARCHAR(36) NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	request_id VARCHAR(64) NOT NULL,
	input TEXT NOT NULL,
	result TEXT,
	message TEXT NOT NULL,
	expires_at DATETIME,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX image_task_image ON image_task (image_id);

CREATE TABLE image_member (
	image_id VARCHAR(36) NOT NULL,
	member_id VARCHAR(255) NOT NULL,
	status VARCHAR(20) NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (image_id, member_id),
	FOREIGN KEY(image_id) REFERENCES image_image (id) ON DELETE CASCADE
);

CREATE INDEX image_member_member ON image_member (member_id);

CREATE TABLE image_property (
	image_id VARCHAR(36) NOT NULL,
	name VARCHAR(255) NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (image_id, name),
	FOREIGN KEY(image_id) REFERENCES image_image (id) ON DELETE CASCADE
);

CREATE TABLE image_tag (
	image_id VARCHAR(36) NOT NULL,
	value VARCHAR(255) NOT NULL,
	PRIMARY KEY (image_id, value),
	FOREIGN KEY(image_id) REFERENCES image_image (id) ON DELETE CASCADE
);
