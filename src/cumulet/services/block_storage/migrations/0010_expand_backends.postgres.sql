-- A host has several back ends. The release before knows one a host, and leaves its name empty.
ALTER TABLE block_storage_backend ADD COLUMN name VARCHAR(255) NOT NULL DEFAULT '';
ALTER TABLE block_storage_backend ADD COLUMN frozen BOOLEAN NOT NULL DEFAULT false;
UPDATE block_storage_backend SET name = CASE WHEN strpos(report, '"storage_protocol":"fake"') > 0 THEN 'fake' ELSE 'file' END;
ALTER TABLE block_storage_backend DROP CONSTRAINT block_storage_backend_pkey;
ALTER TABLE block_storage_backend ADD PRIMARY KEY (host, name);

ALTER TABLE block_storage_volume ADD COLUMN backend VARCHAR(255) NOT NULL DEFAULT '';
ALTER TABLE block_storage_snapshot ADD COLUMN backend VARCHAR(255) NOT NULL DEFAULT '';

UPDATE block_storage_volume SET backend = (SELECT name FROM block_storage_backend WHERE block_storage_backend.host = block_storage_volume.host)
WHERE host IN (SELECT host FROM block_storage_backend);

UPDATE block_storage_snapshot SET backend = (SELECT name FROM block_storage_backend WHERE block_storage_backend.host = block_storage_snapshot.host)
WHERE host IN (SELECT host FROM block_storage_backend);
