-- Tables for other engines to read: every transform, both format versions, columns and partitions that changed, defaults,
-- a declared order, and files that were put together.
CREATE SCHEMA shared;

CREATE TABLE shared.three PARTITIONED BY (bucket(4, id), truncate(3, name)) WITH (format_version = 3) AS
  SELECT value AS id, 'name ' || (value % 7)::text AS name, DATE '1969-12-25' + (value % 20)::int AS on_day
  FROM generate_series(1, 500) AS g(value);

CREATE TABLE shared.evolved (id integer, name text, price numeric(9,2), ratio real, note text);
INSERT INTO shared.evolved SELECT g::integer, 'name ' || g::text, (g % 100)::numeric(9,2), (g / 4.0)::real, 'old' FROM generate_series(1, 50) AS s(g);
ALTER TABLE shared.evolved ADD COLUMN added text;
ALTER TABLE shared.evolved RENAME COLUMN name TO label;
ALTER TABLE shared.evolved ALTER COLUMN id TYPE bigint;
ALTER TABLE shared.evolved ALTER COLUMN ratio TYPE double precision;
ALTER TABLE shared.evolved ALTER COLUMN price TYPE numeric(12,2);
ALTER TABLE shared.evolved DROP COLUMN note;
ALTER TABLE shared.evolved ADD COLUMN note date;
ALTER TABLE shared.evolved ALTER COLUMN label FIRST;
INSERT INTO shared.evolved (id, label, price, ratio, added, note) SELECT 4000000000 + g, 'later', 1234567890.25, g / 8.0, 'new', DATE '2026-11-20' FROM generate_series(1, 10) AS s(g);

CREATE TABLE shared.repartitioned (id bigint, name text, at timestamp) PARTITIONED BY (month(at));
INSERT INTO shared.repartitioned SELECT g, 'name ' || (g % 5)::text, TIMESTAMP '2026-01-01' + ((g * 9)::text || ' hours')::interval FROM generate_series(1, 100) AS s(g);
ALTER TABLE shared.repartitioned ADD PARTITION FIELD bucket(4, id);
INSERT INTO shared.repartitioned SELECT g, NULL, TIMESTAMP '1969-12-30' + (g::text || ' hours')::interval FROM generate_series(101, 150) AS s(g);
ALTER TABLE shared.repartitioned DROP PARTITION FIELD month(at);
ALTER TABLE shared.repartitioned ADD PARTITION FIELD truncate(5, name);
INSERT INTO shared.repartitioned VALUES (151, 'zwölf Boxkämpfer', NULL), (152, '', TIMESTAMP '2026-01-01');

CREATE TABLE shared.defaults (id bigint) WITH (format_version = 3);
INSERT INTO shared.defaults VALUES (1), (2);
ALTER TABLE shared.defaults ADD COLUMN n integer DEFAULT 7;
ALTER TABLE shared.defaults ADD COLUMN word text DEFAULT 'none';
INSERT INTO shared.defaults (id) VALUES (3);
ALTER TABLE shared.defaults ALTER COLUMN n SET DEFAULT 8;
INSERT INTO shared.defaults (id, word) VALUES (4, NULL);

CREATE TABLE shared.ordered (id bigint, name text);
ALTER TABLE shared.ordered WRITE ORDERED BY name DESC NULLS LAST, id;
INSERT INTO shared.ordered SELECT g, 'name ' || (g % 13)::text FROM generate_series(1, 300) AS s(g);

CREATE TABLE shared.upgraded (id bigint, name text);
INSERT INTO shared.upgraded VALUES (1, 'two'), (2, NULL);
ALTER TABLE shared.upgraded SET (format_version = 3);
INSERT INTO shared.upgraded VALUES (3, 'three');

CREATE TABLE shared.put_together (id bigint, name text) PARTITIONED BY (bucket(2, id));
INSERT INTO shared.put_together SELECT g, 'a' FROM generate_series(1, 40) AS s(g);
INSERT INTO shared.put_together SELECT g, 'b' FROM generate_series(41, 60) AS s(g);
INSERT INTO shared.put_together SELECT g, 'c' FROM generate_series(61, 90) AS s(g);
ALTER TABLE shared.put_together EXECUTE optimize;

BEGIN;
CREATE TABLE shared.in_one (id bigint, name text);
INSERT INTO shared.in_one VALUES (1, 'a');
INSERT INTO shared.in_one VALUES (2, 'b');
COMMIT;

-- Deleted and changed rows: position deletes of version 2, deletion vectors of version 3, and files written again.
CREATE TABLE shared.deleted_two (id bigint, name text) WITH (format_version = 2, "write.delete.mode" = 'merge-on-read', "write.update.mode" = 'merge-on-read');
CREATE TABLE shared.deleted_three (id bigint, name text) PARTITIONED BY (bucket(3, id)) WITH (format_version = 3, "write.delete.mode" = 'merge-on-read', "write.update.mode" = 'merge-on-read', "write.merge.mode" = 'merge-on-read');
CREATE TABLE shared.written_again (id bigint, name text) WITH (format_version = 3, "write.delete.mode" = 'copy-on-write', "write.update.mode" = 'copy-on-write', "write.merge.mode" = 'copy-on-write');
INSERT INTO shared.deleted_two SELECT g, 'name ' || g::text FROM generate_series(1, 400) AS s(g);
INSERT INTO shared.deleted_three SELECT g, 'name ' || g::text FROM generate_series(1, 400) AS s(g);
INSERT INTO shared.written_again SELECT g, 'name ' || g::text FROM generate_series(1, 400) AS s(g);
DELETE FROM shared.deleted_two WHERE id % 7 = 3;
DELETE FROM shared.deleted_three WHERE id % 7 = 3;
DELETE FROM shared.written_again WHERE id % 7 = 3;
DELETE FROM shared.deleted_two WHERE id BETWEEN 100 AND 120;
DELETE FROM shared.deleted_three WHERE id BETWEEN 100 AND 120;
UPDATE shared.deleted_two SET name = 'changed' WHERE id % 50 = 1;
UPDATE shared.deleted_three SET name = 'changed' WHERE id % 50 = 1;
UPDATE shared.written_again SET name = 'changed' WHERE id % 50 = 1;
MERGE INTO shared.deleted_three AS t USING (SELECT g AS id FROM generate_series(395, 410) AS s(g)) AS s ON t.id = s.id
  WHEN MATCHED AND s.id % 2 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET name = 'merged' WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'new');
MERGE INTO shared.written_again AS t USING (SELECT g AS id FROM generate_series(395, 410) AS s(g)) AS s ON t.id = s.id
  WHEN MATCHED AND s.id % 2 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET name = 'merged' WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'new');
DELETE FROM shared.evolved WHERE label = 'name 7' OR added = 'nothing';
UPDATE shared.evolved SET added = 'changed' WHERE id < 5;
DELETE FROM shared.repartitioned WHERE id % 10 = 0;
DELETE FROM shared.upgraded WHERE id = 2;

-- Fields inside structs, lists and maps (none of them NULL: PyIceberg reads such a list as an empty one) that came, went, came again under their old name, changed names and became wider.
CREATE TABLE shared.nested_evolved (id bigint, s struct<x integer, y text, w real>, l array<struct<e integer, f text>>, m map<text, struct<v numeric(9,2), u integer>>);
INSERT INTO shared.nested_evolved SELECT g, named_struct('x', g::integer, 'y', 'y' || g::text, 'w', (g / 4.0)::real), [named_struct('e', g::integer, 'f', 'f')], map(ARRAY['k' || (g % 3)::text], ARRAY[named_struct('v', (g + 0.5)::numeric(9,2), 'u', 7)]) FROM generate_series(1, 30) AS t(g);
INSERT INTO shared.nested_evolved SELECT 31, NULL, [named_struct('e', 31, 'f', NULL)], map(ARRAY['k'], ARRAY[named_struct('v', 1.5, 'u', NULL)]);
ALTER TABLE shared.nested_evolved ADD COLUMN s.z integer FIRST, ADD COLUMN l.element.g text, ADD COLUMN m.value.t text;
ALTER TABLE shared.nested_evolved ALTER COLUMN s.x TYPE bigint, ALTER COLUMN s.w TYPE double precision, ALTER COLUMN l.element.e TYPE bigint, ALTER COLUMN m.value.v TYPE numeric(20,2);
INSERT INTO shared.nested_evolved SELECT g, named_struct('x', 7000000000 + g, 'z', g::integer), [named_struct('e', 8000000000 + g, 'g', 'new')], map(ARRAY['k', 'l'], ARRAY[named_struct('v', 123456789012.5, 't', 'one'), named_struct('v', 0.25, 't', 'two')]) FROM generate_series(41, 60) AS t(g);
ALTER TABLE shared.nested_evolved RENAME COLUMN s.x TO a, RENAME COLUMN s.y TO x, RENAME COLUMN s.a TO y, RENAME COLUMN l.element.f TO eff;
ALTER TABLE shared.nested_evolved DROP COLUMN s.w, DROP COLUMN l.element.g, DROP COLUMN m.value.u;
ALTER TABLE shared.nested_evolved ADD COLUMN s.w text, ADD COLUMN l.element.g integer, ADD COLUMN m.value.u integer;
INSERT INTO shared.nested_evolved SELECT g, named_struct('x', 'later', 'w', 'double-u'), [named_struct('e', 1, 'g', 2)], map(ARRAY['k'], ARRAY[named_struct('u', 3)]) FROM generate_series(71, 80) AS t(g);
ALTER TABLE shared.nested_evolved ALTER COLUMN s.w AFTER z;
DELETE FROM shared.nested_evolved WHERE s.y = 7000000041 OR s.w = 'nothing';
