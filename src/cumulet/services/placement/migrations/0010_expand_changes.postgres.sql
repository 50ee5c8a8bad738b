-- Who has changed since a moment: triggers, so that the release before this one, and an operator's hand, tell it too.
-- Numbers are those of transactions, for they commit in another order than they take numbers of a sequence; a moment
-- says which of them a snapshot does not see: those from `xmax` on, and those under way.
CREATE TABLE placement_change (
	provider_uuid VARCHAR(36) NOT NULL,
	number BIGINT NOT NULL,
	PRIMARY KEY (provider_uuid)
);

CREATE INDEX placement_change_number ON placement_change (number);

CREATE OR REPLACE VIEW placement_moment AS
SELECT extract(epoch FROM pg_postmaster_start_time())::text || '|' || pg_snapshot_xmax(snapshot)::text || '|'
	|| coalesce((SELECT string_agg(id::text, ',') FROM pg_snapshot_xip(snapshot) AS id), '') AS moment
FROM (SELECT pg_current_snapshot() AS snapshot) AS now
LEFT JOIN placement_change ON false;

CREATE OR REPLACE FUNCTION placement_note_providers() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO placement_change (provider_uuid, number)
	SELECT DISTINCT uuid, pg_current_xact_id()::text::bigint FROM touched ORDER BY 1
	ON CONFLICT (provider_uuid) DO UPDATE SET number = excluded.number
	WHERE placement_change.number <> excluded.number; RETURN NULL; END $$;

CREATE OR REPLACE FUNCTION placement_note_parts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO placement_change (provider_uuid, number)
	SELECT DISTINCT provider_uuid, pg_current_xact_id()::text::bigint FROM touched ORDER BY 1
	ON CONFLICT (provider_uuid) DO UPDATE SET number = excluded.number
	WHERE placement_change.number <> excluded.number; RETURN NULL; END $$;

CREATE TRIGGER placement_provider_added AFTER INSERT ON placement_provider
REFERENCING NEW TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION placement_note_providers();

CREATE TRIGGER placement_provider_changed AFTER UPDATE ON placement_provider
REFERENCING NEW TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION placement_note_providers();

CREATE TRIGGER placement_provider_removed AFTER DELETE ON placement_provider
REFERENCING OLD TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION placement_note_providers();

CREATE TRIGGER placement_inventory_added AFTER INSERT ON placement_inventory
REFERENCING NEW TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION placement_note_parts();

CREATE TRIGGER placement_inventory_changed AFTER UPDATE ON placement_inventory
REFERENCING NEW TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION placement_note_parts();

CREATE TRIGGER placement_inventory_removed AFTER DELETE ON placement_inventory
REFERENCING OLD TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION placement_note_parts();

CREATE TRIGGER placement_provider_trait_added AFTER INSERT ON placement_provider_trait
REFERENCING NEW TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION placement_note_parts();

CREATE TRIGGER placement_provider_trait_changed AFTER UPDATE ON placement_provider_trait
REFERENCING NEW TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION placement_note_parts();

CREATE TRIGGER placement_provider_trait_removed AFTER DELETE ON placement_provider_trait
REFERENCING OLD TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION placement_note_parts();

CREATE TRIGGER placement_provider_aggregate_added AFTER INSERT ON placement_provider_aggregate
REFERENCING NEW TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION placement_note_parts();

CREATE TRIGGER placement_provider_aggregate_changed AFTER UPDATE ON placement_provider_aggregate
REFERENCING NEW TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION placement_note_parts();

CREATE TRIGGER placement_provider_aggregate_removed AFTER DELETE ON placement_provider_aggregate
REFERENCING OLD TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION placement_note_parts();

CREATE TRIGGER placement_allocation_added AFTER INSERT ON placement_allocation
REFERENCING NEW TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION placement_note_parts();

CREATE TRIGGER placement_allocation_changed AFTER UPDATE ON placement_allocation
REFERENCING NEW TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION placement_note_parts();

CREATE TRIGGER placement_allocation_removed AFTER DELETE ON placement_allocation
REFERENCING OLD TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION placement_note_parts();
