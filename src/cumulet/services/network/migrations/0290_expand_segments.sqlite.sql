-- What carries networks. The first segment stands in the row of its network too. The two old columns, unique whatever
-- the type, stay for the release before; a network that it makes (it leaves `segment_count` empty) gets its segment here.
CREATE TABLE network_segment (
	id VARCHAR(36) NOT NULL,
	network_id VARCHAR(36) NOT NULL,
	network_type VARCHAR(32) NOT NULL,
	physical_network VARCHAR(64) NOT NULL,
	segmentation_id BIGINT,
	position INTEGER NOT NULL,
	name VARCHAR(255),
	description TEXT NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(network_id) REFERENCES network_network (id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX network_segment_number ON network_segment (network_type, physical_network, segmentation_id);

CREATE INDEX network_segment_network ON network_segment (network_id);

ALTER TABLE network_network ADD COLUMN segment_count INTEGER;
ALTER TABLE network_network ADD COLUMN segment_physical VARCHAR(64);
ALTER TABLE network_network ADD COLUMN segment_number BIGINT;

UPDATE network_network SET segment_count = 1, segment_physical = physical_network, segment_number = segmentation_id;

INSERT INTO network_segment (id, network_id, network_type, physical_network, segmentation_id, position, description, revision_number, created_at, updated_at)
SELECT lower(substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-4' || substr(h, 14, 3) || '-a' || substr(h, 18, 3) || '-' || substr(h, 21, 12)),
	id, network_type, coalesce(physical_network, ''),
	coalesce(segmentation_id, CASE WHEN physical_network IS NOT NULL THEN 0 END), 0, '', 0, created_at, updated_at
FROM (SELECT hex(randomblob(16)) AS h, * FROM network_network);

CREATE TRIGGER network_network_carried AFTER INSERT ON network_network WHEN new.segment_count IS NULL BEGIN
	UPDATE network_network SET segment_count = 1, segment_physical = new.physical_network,
		segment_number = new.segmentation_id WHERE id = new.id; INSERT INTO network_segment (id, network_id, network_type, physical_network, segmentation_id, position, description, revision_number, created_at, updated_at)
	SELECT lower(substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-4' || substr(h, 14, 3) || '-a' || substr(h, 18, 3) || '-' || substr(h, 21, 12)),
		new.id, new.network_type, coalesce(new.physical_network, ''),
		coalesce(new.segmentation_id, CASE WHEN new.physical_network IS NOT NULL THEN 0 END),
		0, '', 0, new.created_at, new.updated_at FROM (SELECT hex(randomblob(16)) AS h); END;
