ALTER TABLE network_address_group ADD COLUMN shared BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE network_address_group ADD COLUMN granted BOOLEAN NOT NULL DEFAULT false;
