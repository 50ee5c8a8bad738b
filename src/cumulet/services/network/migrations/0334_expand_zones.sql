ALTER TABLE network_agent ADD COLUMN availability_zone VARCHAR(255) DEFAULT 'nova' NOT NULL;
ALTER TABLE network_network ADD COLUMN zones TEXT DEFAULT '[]' NOT NULL;
ALTER TABLE network_router ADD COLUMN zones TEXT DEFAULT '[]' NOT NULL;
UPDATE network_network SET zones = availability_zone_hints;
UPDATE network_router SET zones = availability_zone_hints;
