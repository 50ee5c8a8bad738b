ALTER TABLE network_router ADD COLUMN enable_default_route_bfd BOOLEAN DEFAULT false NOT NULL;
