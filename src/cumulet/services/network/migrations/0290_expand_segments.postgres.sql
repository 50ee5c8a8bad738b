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
SELECT gen_random_uuid()::text, id, network_type, coalesce(physical_network, ''),
	coalesce(segmentation_id, CASE WHEN physical_network IS NOT NULL THEN 0 END), 0, '', 0, created_at, updated_at
FROM network_network;

CREATE OR REPLACE FUNCTION network_carry() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	UPDATE network_network SET segment_count = 1, segment_physical = NEW.physical_network,
		segment_number = NEW.segmentation_id WHERE id = NEW.id; INSERT INTO network_segment (id, network_id, network_type, physical_network, segmentation_id, position, description, revision_number, created_at, updated_at)
	VALUES (gen_random_uuid()::text, NEW.id, NEW.network_type, coalesce(NEW.physical_network, ''),
		coalesce(NEW.segmentation_id, CASE WHEN NEW.physical_network IS NOT NULL THEN 0 END),
		0, '', 0, NEW.created_at, NEW.updated_at); RETURN NULL; END $$;

CREATE TRIGGER network_network_carried AFTER INSERT ON network_network
FOR EACH ROW WHEN (NEW.segment_count IS NULL) EXECUTE FUNCTION network_carry();
