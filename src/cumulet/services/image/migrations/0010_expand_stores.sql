CREATE TABLE image_location (
	image_id VARCHAR(36) NOT NULL,
	position INTEGER NOT NULL,
	store VARCHAR(64) NOT NULL,
	"key" TEXT NOT NULL,
	metadata TEXT NOT NULL,
	PRIMARY KEY (image_id, position),
	FOREIGN KEY(image_id) REFERENCES image_image (id) ON DELETE CASCADE
);

CREATE INDEX image_location_key ON image_location (key);

INSERT INTO image_location (image_id, position, store, key, metadata)
SELECT id, 0, 'local', id, '{}' FROM image_image WHERE status IN ('active', 'deactivated');

CREATE TABLE image_cached (
	image_id VARCHAR(36) NOT NULL,
	node VARCHAR(64) NOT NULL,
	state VARCHAR(16) NOT NULL,
	size BIGINT NOT NULL,
	hits BIGINT NOT NULL,
	accessed_at DATETIME NOT NULL,
	changed_at DATETIME NOT NULL,
	PRIMARY KEY (image_id, node),
	FOREIGN KEY(image_id) REFERENCES image_image (id) ON DELETE CASCADE
);
