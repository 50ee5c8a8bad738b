ALTER TABLE network_agent ADD COLUMN resources_synced BOOLEAN;
