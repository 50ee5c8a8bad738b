-- Whether subnets of the network are on segments of it: of others, nobody asks what segments a host has.
ALTER TABLE network_network ADD COLUMN routed BOOLEAN DEFAULT false NOT NULL;

UPDATE network_network SET routed = true WHERE id IN (SELECT network_id FROM network_subnet WHERE segment_id IS NOT NULL);
