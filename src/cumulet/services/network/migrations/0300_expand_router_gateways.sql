ALTER TABLE network_router ADD COLUMN more_gateways TEXT DEFAULT '[]' NOT NULL;
ALTER TABLE network_router ADD COLUMN enable_default_route_ecmp BOOLEAN DEFAULT false NOT NULL;
