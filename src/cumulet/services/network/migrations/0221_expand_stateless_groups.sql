ALTER TABLE network_security_group ADD COLUMN stateful BOOLEAN NOT NULL DEFAULT true;
