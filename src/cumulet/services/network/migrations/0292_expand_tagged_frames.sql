ALTER TABLE network_network ADD COLUMN vlan_transparent BOOLEAN DEFAULT false NOT NULL;
ALTER TABLE network_network ADD COLUMN qinq BOOLEAN DEFAULT false NOT NULL;
