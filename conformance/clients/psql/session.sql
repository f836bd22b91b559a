-- A short session as a file: variables, conditions, several statements.
\set threshold 5
CREATE TABLE from_file AS SELECT value AS id FROM generate_series(1, 8) AS g(value);
SELECT count(*) AS large FROM from_file WHERE id > :threshold \gset
\if :large
  \echo :large
\endif
DROP TABLE from_file;
