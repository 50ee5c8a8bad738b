-- A host has several back ends. The release before knows one a host, and leaves its name empty.
CREATE TABLE block_storage_wider (
	host VARCHAR(255) NOT NULL,
	availability_zone VARCHAR(255) NOT NULL,
	disabled BOOLEAN NOT NULL,
	disabled_reason VARCHAR(255),
	report TEXT NOT NULL,
	created_at DATETIME NOT NULL,
	heard_at DATETIME NOT NULL,
	name VARCHAR(255) NOT NULL DEFAULT '',
	frozen BOOLEAN NOT NULL DEFAULT false,
	PRIMARY KEY (host, name)
);

INSERT INTO block_storage_wider (host, availability_zone, disabled, disabled_reason, report, created_at, heard_at, name)
SELECT host, availability_zone, disabled, disabled_reason, report, created_at, heard_at,
	CASE WHEN instr(report, '"storage_protocol":"fake"') > 0 THEN 'fake' ELSE 'file' END
FROM block_storage_backend;

DROP TABLE block_storage_backend;

ALTER TABLE block_storage_wider RENAME TO block_storage_backend;

ALTER TABLE block_storage_volume ADD COLUMN backend VARCHAR(255) NOT NULL DEFAULT '';
ALTER TABLE block_storage_snapshot ADD COLUMN backend VARCHAR(255) NOT NULL DEFAULT '';

UPDATE block_storage_volume SET backend = (SELECT name FROM block_storage_backend WHERE block_storage_backend.host = block_storage_volume.host)
WHERE host IN (SELECT host FROM block_storage_backend);

UPDATE block_storage_snapshot SET backend = (SELECT name FROM block_storage_backend WHERE block_storage_backend.host = block_storage_snapshot.host)
WHERE host IN (SELECT host FROM block_storage_backend);
